// SPDX-License-Identifier: MIT
// Speeds: of every run, of memory, and under disturbances.
#include "bench/compare/page/charts.h"

#include <algorithm>
#include <cmath>

#include "bench/compare/page/charts_parts.h"

namespace axiom::compare {
namespace {

constexpr size_t kColours = 8;

Axis rows_axis(std::vector<std::string> rows) {
    Axis axis;
    axis.scale = "rows";
    axis.rows = std::move(rows);
    return axis;
}

// A line from low to high on one row, where both are known.
void add_range(const Interval& interval, const std::string& name, const std::string& colour,
               double row, Chart* chart) {
    if (!interval.low || !interval.high) return;
    Series series{name, colour, "range", 0, {*interval.low, *interval.high}, {row, row}};
    chart->series.push_back(std::move(series));
}
void add_points(const char* draw, const Values& values, const std::string& name,
                const std::string& colour, double row, Chart* chart) {
    chart->series.push_back({name, colour, draw, 0, values, Values(values.size(), row)});
}

// Every run of one test on every side, a row each.
Chart speeds(const Results& r, const std::vector<const Row*>& rows) {
    Chart chart;
    chart.title = work_of(rows[0]->group.first());
    chart.x = {"tokens per second", "tokens/s", "linear", false, 0, kUnknown, {}};
    const std::string percent = format("%g %%", r.comparison.confidence * 100);
    chart.table = table(
        {"side", "runs", "median", percent + " of the median", "min", "25 %", "75 %", "max"}, 1);
    std::vector<std::string> names;
    for (const Row* row : rows) {
        const Group& group = row->group;
        const std::string& name = group.side->name;
        const std::string colour = colour_of(r, group.side);
        const double place = double(names.size());
        const Values values = group.speeds();
        const Interval of_median = quantile_interval(values, 0.5, r.comparison.confidence);
        names.push_back(name);
        add_range(of_median, name + ", interval of the median", colour, place, &chart);
        add_points("points", values, name, colour, place, &chart);
        add_points("mark", {median(values)}, name + ", median", colour, place, &chart);
        chart.text += (chart.text.empty() ? "" : "; ") + name + " " + rate(median(values)) +
                      " tokens/s (" + rate(quantile(values, 0)) + " to " +
                      rate(quantile(values, 1)) + ", " + counted(values.size(), "run") + ")";
        if (row->pair)
            chart.text += ", " + format("%.3f", row->pair->ratio) + " times " +
                          row->pair->base.side->name + " (" + range(row->pair->interval) + ")";
        chart.table.lines.push_back({name, std::to_string(values.size()), rate(median(values)),
                                     range(of_median), rate(quantile(values, 0)),
                                     rate(quantile(values, 0.25)), rate(quantile(values, 0.75)),
                                     rate(quantile(values, 1))});
    }
    chart.text += ".";
    chart.y = rows_axis(std::move(names));
    return chart;
}

Section throughput(const Results& r) {
    Section section{
        "throughput",
        "Tokens per second",
        "A dot is a run, the stroke the median of the runs, the line its interval. The axis does "
        "not begin at 0.",
        {}};
    const std::vector<Row>& rows = r.comparison.rows;
    for (size_t i = 0; i < rows.size();) {
        std::vector<const Row*> together = {&rows[i++]};
        while (i < rows.size() && rows[i].pair) together.push_back(&rows[i++]);
        section.charts.push_back(speeds(r, together));
    }
    return section;
}

// Of one machine with so many threads.
Chart reads(const Results& r, const std::string& machine, uint64_t n_threads,
            const std::vector<const Group*>& groups) {
    Chart chart;
    chart.title = machine + ", " + counted(n_threads, "thread");
    chart.x = {"GB of weights per second", "GB/s", "linear", true, 0, kUnknown, {}};
    chart.table = table({"side", "work", "runs", "median GB/s", "of the limit"}, 2);
    double limit = 0;
    for (const ReadPeak& peak : r.input.peaks) {
        if (peak.machine == machine && peak.n_threads == n_threads) limit = peak.gb_per_s;
    }
    if (limit > 0) chart.limits = {limit};
    std::vector<std::string> names;
    for (const Group* group : groups) {
        Values values;
        for (const Run* run : group->runs) {
            if (run->details.gb_per_s > 0) values.push_back(run->details.gb_per_s);
        }
        const std::string name = group->side->name + ": " + group->first().model.name() + ", " +
                                 group->first().test.name();
        const std::string colour = colour_of(r, group->side);
        const double place = double(names.size()), middle = median(values);
        names.push_back(name);
        add_points("points", values, name, colour, place, &chart);
        add_points("mark", {middle}, name + ", median", colour, place, &chart);
        const std::string share = limit > 0 ? format("%.0f %%", 100 * middle / limit) : "";
        chart.text += (chart.text.empty() ? "" : "; ") + name + " " + rate(middle) + " GB/s" +
                      (share.empty() ? "" : ", " + share + " of the limit");
        chart.table.lines.push_back(
            {group->side->name, group->first().model.name() + ", " + group->first().test.name(),
             std::to_string(values.size()), rate(middle), share});
    }
    chart.text += limit > 0 ? ". Dashed: the most that this machine was measured to read, " +
                                  rate(limit) + " GB/s."
                            : ". These files do not say how fast this machine reads memory: add "
                              "that of axiom-bench-kernels --peaks --json FILE.";
    chart.y = rows_axis(std::move(names));
    return chart;
}

Section bandwidth(const Results& r) {
    Section section{
        "bandwidth",
        "Bandwidth against the machine's limit",
        "Generating one token reads all weights. What is smaller than a cache can exceed "
        "the limit, which is of memory.",
        {}};
    std::vector<const Group*> left;
    for (const Row& row : r.comparison.rows) {
        const bool known = std::any_of(row.group.runs.begin(), row.group.runs.end(),
                                       [](const Run* run) { return run->details.gb_per_s > 0; });
        if (known) left.push_back(&row.group);
    }
    while (!left.empty()) {
        const Run& first = left[0]->first();
        const auto same = [&](const Group* group) {
            return group->first().machine == first.machine &&
                   group->first().n_threads == first.n_threads;
        };
        std::vector<const Group*> mine;
        std::copy_if(left.begin(), left.end(), std::back_inserter(mine), same);
        section.charts.push_back(reads(r, first.machine, first.n_threads, mine));
        left.erase(std::remove_if(left.begin(), left.end(), same), left.end());
    }
    return section;
}

bool same_build(const Side& a, const Side& b) {
    return a.program == b.program && a.backend == b.backend && a.build == b.build;
}

// Whose speed a disturbed side's is held against: undisturbed runs of the same build, in the same file
// or, where that has none, the baseline's.
const Side* undisturbed(const Results& r, const Side& disturbed) {
    const Side* found = nullptr;
    for (const Side& side : r.input.sides) {
        if (!side.disturb.empty() || side.runs.empty() || !same_build(side, disturbed)) continue;
        if (side.file == disturbed.file) return &side;
        if (&side == r.comparison.baseline) found = &side;
    }
    return found;
}

// What each disturbance takes from undisturbed runs.
Section ablation(const Results& r) {
    Section section{
        "ablation",
        "What each disturbance costs",
        "Change of tokens per second against the same build without the disturbance; the "
        "line is its interval. Left of 0 it costs.",
        {}};
    for (const Side& plain_side : r.input.sides) {
        if (!plain_side.disturb.empty() || plain_side.runs.empty()) continue;
        std::vector<Side> sides = {plain_side};
        for (const Side& side : r.input.sides) {
            if (!side.disturb.empty() && undisturbed(r, side) == &plain_side) sides.push_back(side);
        }
        if (sides.size() == 1) continue;
        const Comparison costs = compare(sides, sides[0], {r.comparison.confidence, false});
        std::vector<const Row*> rows;
        for (const Row& row : costs.rows) {
            if (row.pair) rows.push_back(&row);
        }
        while (!rows.empty()) {
            const std::string work = work_of(rows[0]->group.first());
            const auto same = [&](const Row* row) { return work_of(row->group.first()) == work; };
            Chart chart;
            chart.title = plain_side.name + ": " + work;
            chart.x = {"change of tokens per second", "%", "linear", true, 0, kUnknown, {}};
            chart.table =
                table({"disturbance", "runs", "ticks a run", "change", "interval", "p", ""}, 1);
            chart.limits = {0};
            std::vector<std::string> names;
            for (const Row* row : rows) {
                if (!same(row)) continue;
                const Pair& pair = *row->pair;
                const std::string& name = row->group.side->disturb;
                const auto change = [](double ratio) { return (ratio - 1) * 100; };
                Interval interval;
                if (pair.interval.low) interval.low = change(*pair.interval.low);
                if (pair.interval.high) interval.high = change(*pair.interval.high);
                Values ticks;
                for (const Run* run : row->group.runs) {
                    if (run->details.n_disturb_ticks >= 0)
                        ticks.push_back(run->details.n_disturb_ticks);
                }
                const auto place = std::find_if(
                    r.input.sides.begin(), r.input.sides.end(),
                    [&](const Side& side) { return side.name == row->group.side->name; });
                const std::string colour = colour_of(r, &*place);
                const double at = double(names.size());
                names.push_back(name);
                add_range(interval, name + ", interval", colour, at, &chart);
                add_points("mark", {change(pair.ratio)}, name, colour, at, &chart);
                const std::string verdict =
                    pair.differs ? (pair.ratio < 1 ? "costs" : "gains") : "nothing shown";
                const std::string of_change = interval.low
                                                  ? format("%+.1f", *interval.low) + ".." +
                                                        format("%+.1f", *interval.high) + " %"
                                                  : "too few runs";
                chart.text += (chart.text.empty() ? "" : "; ") + name + " " +
                              format("%+.1f %%", change(pair.ratio)) + " (" + of_change + "), " +
                              verdict;
                chart.table.lines.push_back({name, std::to_string(row->group.runs.size()),
                                             ticks.empty() ? "" : format("%.0f", median(ticks)),
                                             format("%+.1f %%", change(pair.ratio)), of_change,
                                             probability(pair.test.p), verdict});
            }
            chart.text += ".";
            chart.y = rows_axis(std::move(names));
            section.charts.push_back(std::move(chart));
            rows.erase(std::remove_if(rows.begin(), rows.end(), same), rows.end());
        }
    }
    return section;
}

Json axis_json(const Axis& axis) {
    Json out = {
        {"label", axis.label}, {"unit", axis.unit}, {"scale", axis.scale}, {"zero", axis.zero}};
    if (axis.nines > 0) out["nines"] = axis.nines;
    if (!std::isnan(axis.most)) out["most"] = axis.most;
    if (!axis.rows.empty()) out["rows"] = axis.rows;
    return out;
}

}  // namespace

size_t place_of(const Results& r, const Side* side) {
    return size_t(side - r.input.sides.data());
}
std::string colour_of(const Results& r, const Side* side, size_t which) {
    return "side" + std::to_string((place_of(r, side) + which * r.input.sides.size()) % kColours);
}

std::string counted(uint64_t n, const char* noun) {
    return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}
std::string work_of(const Run& run) {
    return run.model.name() + ", " + run.test.name() + ", " + counted(run.n_threads, "thread");
}

Table table(std::vector<std::string> headings, size_t first_number) {
    Table out;
    out.headings = std::move(headings);
    out.first_number = first_number;
    return out;
}

std::string time_text(double ns) {
    if (ns >= 1e9) return format("%.4g s", ns / 1e9);
    if (ns >= 1e6) return format("%.4g ms", ns / 1e6);
    if (ns >= 1e3) return format("%.4g µs", ns / 1e3);
    return format("%.4g ns", ns);
}

std::vector<Section> sections_of(const Results& r) {
    std::vector<Section> out;
    for (Section (*section)(const Results&) : {throughput, ablation, token_times, layer_times,
                                               boundary_times, layers, noise, bandwidth, boot})
        out.push_back(section(r));
    return out;
}

Json to_json(const Chart& chart) {
    Json series = Json::array(), lines = Json::array();
    for (const Series& s : chart.series)
        series.push_back({{"name", s.name},
                          {"colour", s.colour},
                          {"draw", s.draw},
                          {"dash", s.dash},
                          {"x", s.x},
                          {"y", s.y}});
    for (const double at : chart.limits) lines.push_back({{"at", at}});
    return {{"title", chart.title},
            {"x", axis_json(chart.x)},
            {"y", axis_json(chart.y)},
            {"series", std::move(series)},
            {"lines", std::move(lines)}};
}

}  // namespace axiom::compare
