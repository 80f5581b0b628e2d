// SPDX-License-Identifier: MIT
// How times are distributed: of tokens, layers and boundaries, and what disturbs a core.
#include <algorithm>
#include <cmath>

#include "bench/compare/page/charts_parts.h"

namespace axiom::compare {
namespace {

constexpr size_t kMostPoints = 400;  // of one curve

// (time, how many): of a histogram each bin counts at its upper end, which no time in it exceeds.
using Weighted = std::vector<std::pair<double, double>>;

void add(const Times& times, Weighted* out) {
    for (const double ns : times.raw) out->push_back({ns, 1});
    if (!times.raw.empty()) return;
    const Histogram& h = times.histogram;
    for (size_t i = 0; i < h.counts.size(); i++) {
        if (h.counts[i] > 0) out->push_back({h.lower_ns(i + 1), h.counts[i]});
    }
}

double nines(double share, double most) {
    return std::min(most, -std::log10(std::max(1 - share, 1e-300)));
}

// The share of times that are at most so long. Where there are too many points for a curve, those are
// left out that stand less than a pixel from one that is kept; the last one is always kept.
Series curve(Weighted times, double most_nines, std::string name, std::string colour, int dash) {
    Series out{std::move(name), std::move(colour), "step", dash, {}, {}};
    std::sort(times.begin(), times.end());
    double n = 0, before = 0, kept = -1;
    for (const auto& [ns, count] : times) n += count;
    for (size_t i = 0; i < times.size(); i++) {
        before += times[i].second;
        if (i + 1 < times.size() && times[i + 1].first == times[i].first) continue;
        const double share = before / n, height = nines(share, most_nines);
        const bool last = i + 1 == times.size();
        if (times.size() > kMostPoints && !last && kept >= 0 &&
            height - kept < most_nines / double(kMostPoints))
            continue;
        kept = height;
        out.x.push_back(times[i].first);
        out.y.push_back(last ? 1 : share);
    }
    return out;
}

double count_of(const Weighted& times) {
    double n = 0;
    for (const auto& [ns, count] : times) n += count;
    return n;
}

// The time that a share q of all does not exceed, where so many times support it: a quantile is stated
// if at least one time can be expected above it with 99 % (n >= log(0.01) / log(q)).
double supported(Weighted times, double q) {
    const double n = count_of(times);
    if (n < 1 || (q < 1 && n < std::log(0.01) / std::log(q))) return kUnknown;
    std::sort(times.begin(), times.end());
    double before = 0;
    for (const auto& [ns, count] : times) {
        before += count;
        if (before >= q * n * (1 - 1e-12)) return ns;
    }
    return times.back().first;
}

std::string or_none(double ns) {
    return std::isnan(ns) ? "" : time_text(ns);
}

// Curves of several sources on one pair of axes.
class Curves {
  public:
    Curves(std::string title, std::string label) {
        chart_.title = std::move(title);
        chart_.x = {std::move(label), "ns", "log", false, 0, kUnknown, {}};
        chart_.y = {"share that is at most so long", "share", "nines", false, 1, kUnknown, {}};
        std::vector<std::string> headings = {"of", "times"};
        for (const Quantile& quantile : kQuantiles) headings.push_back(quantile.name);
        headings.push_back("");
        chart_.table = table(std::move(headings), 1);
    }
    void add(Weighted times, std::string name, std::string colour) {
        if (times.empty()) return;
        chart_.y.nines = std::max(chart_.y.nines, std::ceil(std::log10(count_of(times)) + 0.3));
        all_.push_back({std::move(times), std::move(name), std::move(colour)});
    }
    bool empty() const { return all_.empty(); }
    Chart chart() {
        int dash = 0;
        for (auto& [times, name, colour] : all_) {
            std::vector<std::string> cells = {name, format("%.0f", count_of(times))};
            for (const Quantile& quantile : kQuantiles)
                cells.push_back(or_none(supported(times, quantile.q)));
            chart_.text += (chart_.text.empty() ? "" : "; ") + name + ": half within " + cells[2] +
                           (cells[4].empty() ? "" : ", 99 % within " + cells[4]) +
                           ", the longest " + cells[6] + ", of " + cells[1];
            cells.push_back("");
            chart_.table.lines.push_back(std::move(cells));
            chart_.series.push_back(curve(std::move(times), chart_.y.nines, std::move(name),
                                          std::move(colour), dash++ % kDashes));
        }
        chart_.text += ".";
        return std::move(chart_);
    }

  private:
    struct Source {
        Weighted times;
        std::string name, colour;
    };
    Chart chart_;
    std::vector<Source> all_;
};

// One chart for each test, a curve for each side, of all its runs together.
void add_curves(const Results& r, Times Details::*kind, const char* label, Section* section) {
    const std::vector<Row>& rows = r.comparison.rows;
    for (size_t i = 0; i < rows.size();) {
        Curves curves(work_of(rows[i].group.first()), label);
        do {
            Weighted times;
            for (const Run* one : rows[i].group.runs) add(one->details.*kind, &times);
            curves.add(std::move(times), rows[i].group.side->name,
                       colour_of(r, rows[i].group.side));
            i++;
        } while (i < rows.size() && rows[i].pair);
        if (!curves.empty()) section->charts.push_back(curves.chart());
    }
}

constexpr const char* kHow =
    " All runs of a side together. The axis of shares widens towards 100 %, so that the tail "
    "shows; a "
    "quantile is stated only where there are times enough for it. Times of a histogram stand at "
    "the upper end of their bin.";

// At most so many bins a doubling: of few gaps, finer ones would have one each.
constexpr double kCoarse = 4;
Histogram coarse(const Histogram& h) {
    if (h.per_doubling <= kCoarse) return h;
    Histogram out;
    out.from_ns = h.from_ns;
    out.per_doubling = kCoarse;
    for (size_t i = 0; i < h.counts.size(); i++) {
        const size_t bin = size_t(double(i) * kCoarse / h.per_doubling);
        if (bin == out.counts.size()) out.counts.push_back(0);
        out.counts[bin] += h.counts[i];
    }
    return out;
}

// Gaps a second by their length: cores that were watched for different times compare.
void add_gaps(const Results& r, Section* section) {
    Chart chart;
    chart.title = "Gaps in which a core did nothing of ours";
    chart.x = {"length of the gap", "ns", "log", false, 0, kUnknown, {}};
    chart.y = {"gaps a second", "", "log", false, 0, kUnknown, {}};
    chart.table = table({"core", "watched", "threshold", "gaps", "together", "of the time", "p50",
                         "p90", "p99", "p99.9", "max", ""},
                        1);
    for (const Side& side : r.input.sides) {
        for (const Noise& noise : side.noise) {
            const std::string name = side.name + ", core " + std::to_string(noise.core);
            std::vector<std::string> cells = {
                name,
                or_none(noise.duration_ns),
                or_none(noise.threshold_ns),
                std::isnan(noise.n_gaps) ? "" : format("%.0f", noise.n_gaps),
                or_none(noise.gap_ns),
                noise.duration_ns > 0 && noise.gap_ns >= 0
                    ? format("%.4f %%", 100 * noise.gap_ns / noise.duration_ns)
                    : ""};
            for (const double ns : noise.gap.quantiles) cells.push_back(or_none(ns));
            cells.push_back("");
            chart.text += (chart.text.empty() ? "" : "; ") + name + ": " + cells[3] + " gaps" +
                          (cells[4].empty() ? "" : ", together " + cells[4]) +
                          (cells[5].empty() ? "" : " (" + cells[5] + ")") +
                          (cells[10].empty() ? "" : ", the longest " + cells[10]);
            chart.table.lines.push_back(std::move(cells));
            const Histogram h = coarse(noise.gap.histogram);
            const double seconds = noise.duration_ns > 0 ? noise.duration_ns / 1e9 : 1;
            Series series{name,        colour_of(r, &side, noise.core),
                          "histogram", int(noise.core % kDashes),
                          {},          {}};
            for (size_t i = 0; i < h.counts.size(); i++) {
                if (h.counts[i] <= 0) continue;
                series.x.push_back(std::sqrt(h.lower_ns(i) * h.lower_ns(i + 1)));
                series.y.push_back(h.counts[i] / seconds);
            }
            if (!series.x.empty()) chart.series.push_back(std::move(series));
        }
    }
    chart.text += ". A point is a bin of the histogram.";
    if (!chart.series.empty()) section->charts.push_back(std::move(chart));
}

}  // namespace

Section token_times(const Results& r) {
    Section section{"tokens", "Times of tokens", std::string("Of single passes.") + kHow, {}};
    add_curves(r, &Details::token, "time of a token", &section);
    return section;
}
Section layer_times(const Results& r) {
    Section section{
        "layer-times", "Times of layers", std::string("Of every layer of every pass.") + kHow, {}};
    add_curves(r, &Details::layer, "time of a layer", &section);
    return section;
}
Section boundary_times(const Results& r) {
    Section section{"boundaries",
                    "Times between layers",
                    std::string("What runs at the boundary of two layers.") + kHow,
                    {}};
    add_curves(r, &Details::boundary, "time of a boundary", &section);
    return section;
}

Section noise(const Results& r) {
    Section section{
        "noise",
        "Noise",
        "Each core ran a loop that only looks at the clock, then a fixed amount of work again "
        "and again.",
        {}};
    add_gaps(r, &section);
    Curves quanta("A fixed amount of work", "time it took");
    for (const Side& side : r.input.sides) {
        for (const Noise& one : side.noise) {
            Weighted times;
            add(one.quantum, &times);
            quanta.add(std::move(times), side.name + ", core " + std::to_string(one.core),
                       colour_of(r, &side, one.core));
        }
    }
    if (!quanta.empty()) section.charts.push_back(quanta.chart());
    return section;
}

}  // namespace axiom::compare
