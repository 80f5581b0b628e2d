// SPDX-License-Identifier: MIT
// What came after what: the layers of a pass, the passes of a run, the phases of a start.
#include <algorithm>
#include <cmath>

#include "bench/compare/page/charts_parts.h"

namespace axiom::compare {
namespace {

std::string work_of(const LayerGroup& group) {
    return group.model.name() + ", " + group.test + ", " + counted(group.n_threads, "thread") +
           ", " + group.what();
}

// One side's pass, layer by layer, its stages on one another.
Chart columns(const LayerGroup& group, double most_ns) {
    Chart chart;
    chart.title = group.side->name + ": " + work_of(group);
    chart.x = {"layer", "", "whole", false, 0, kUnknown, {}};
    chart.y = {"time in the layer", "ns", "linear", true, 0, most_ns, {}};
    std::vector<std::string> headings = {"layer"};
    for (const std::string& stage : group.stages) headings.push_back(stage);
    headings.push_back("");
    chart.table = table(headings, 0);
    double total = 0;
    for (const Values& of : group.stage_ns) total += median(of);
    for (size_t s = 0; s < group.stages.size(); s++) {
        Series series{group.stages[s], "stage" + std::to_string(s), "stack", 0, {}, {}};
        for (size_t l = 0; l < group.n_layer; l++) {
            series.x.push_back(double(l));
            series.y.push_back(median(group.ns[s][l]));
        }
        chart.series.push_back(std::move(series));
        const double mine = median(group.stage_ns[s]);
        chart.text += (s == 0 ? "" : ", ") + group.stages[s] + " " + time_text(mine) +
                      (total > 0 ? format(" (%.1f %%)", 100 * mine / total) : "");
    }
    chart.text += " in all " + std::to_string(group.n_layer) + " layers of a pass, medians of " +
                  counted(group.n_passes.size(), "run") + ".";
    for (size_t l = 0; l < group.n_layer; l++) {
        std::vector<std::string> cells = {std::to_string(l)};
        for (size_t s = 0; s < group.stages.size(); s++)
            cells.push_back(time_text(median(group.ns[s][l])));
        cells.push_back("");
        chart.table.lines.push_back(std::move(cells));
    }
    return chart;
}

// Which layer gained or lost, a line for each stage.
Chart changes(const LayerPair& pair, double confidence) {
    Chart chart;
    chart.title =
        pair.other.side->name + " less " + pair.base.side->name + ": " + work_of(pair.base);
    chart.x = {"layer", "", "whole", false, 0, kUnknown, {}};
    chart.y = {"change of time in the layer", "ns", "linear", true, 0, kUnknown, {}};
    chart.table = table_of(pair, confidence, pair.lines.size());
    for (size_t s = 0; s < pair.base.stages.size(); s++) {
        Series series{
            pair.base.stages[s], "stage" + std::to_string(s), "line", int(s) % kDashes, {}, {}};
        for (size_t l = 0; l < pair.base.n_layer; l++) {
            series.x.push_back(double(l));
            series.y.push_back(median(pair.other.ns[s][l]) - median(pair.base.ns[s][l]));
        }
        chart.series.push_back(std::move(series));
    }
    for (const LayerLine& line : pair.totals) {
        const double change = line.other_ns - line.base_ns;
        chart.text += (chart.text.empty() ? "" : ", ") + line.stage + " " +
                      (change < 0 ? "-" : "+") + time_text(std::abs(change));
        if (line.has_ratio) chart.text += format(" (%.3f times)", line.ratio);
    }
    chart.text += " a pass. Above 0 is slower." + what_chance_gives(pair);
    return chart;
}

// The passes of the first run of each side, as they came.
Chart passes(const Results& r, const std::vector<const LayerGroup*>& groups) {
    Chart chart;
    chart.title = "Passes in order: " + work_of(*groups[0]);
    chart.x = {"pass", "", "whole", false, 0, kUnknown, {}};
    chart.y = {"time of the pass", "ns", "linear", false, 0, kUnknown, {}};
    chart.table = table({"side", "passes", "median", "min", "max", ""}, 1);
    for (const LayerGroup* group : groups) {
        const Values& of = group->in_order[0];
        Series series{group->side->name,
                      colour_of(r, group->side),
                      "line",
                      int(place_of(r, group->side)) % kDashes,
                      {},
                      of};
        for (size_t i = 0; i < of.size(); i++) series.x.push_back(double(i));
        chart.text += (chart.text.empty() ? "" : "; ") + group->side->name + ": " +
                      std::to_string(of.size()) + " passes, median " + time_text(median(of)) +
                      ", the longest " + time_text(quantile(of, 1));
        chart.table.lines.push_back({group->side->name, std::to_string(of.size()),
                                     time_text(median(of)), time_text(quantile(of, 0)),
                                     time_text(quantile(of, 1)), ""});
        chart.series.push_back(std::move(series));
    }
    chart.text += ". Of the first run of each side.";
    return chart;
}

double phase_ns(const Run& run, const std::string& name) {
    for (const Phase& phase : run.details.boot) {
        if (phase.name == name) return phase.ns;
    }
    return 0;  // phases that took nothing are left out of records
}

// A row for each phase, one after another.
Chart waterfall(const Results& r, const Side& side, const std::vector<const Run*>& runs) {
    const std::vector<Phase>& names =
        (*std::max_element(runs.begin(), runs.end(), [](const Run* a, const Run* b) {
            return a->details.boot.size() < b->details.boot.size();
        }))->details.boot;
    Chart chart;
    chart.title = side.name;
    chart.x = {"since power-on or the program's start", "ns", "linear", true, 0, kUnknown, {}};
    chart.y.scale = "rows";
    chart.table = table({"phase", "from", "to", "takes", "share"}, 1);
    double at = 0, total = 0;
    Values medians;
    for (size_t i = 0; i < names.size(); i++) {
        Values of;
        for (const Run* run : runs) of.push_back(phase_ns(*run, names[i].name));
        medians.push_back(median(of));
        total += medians.back();
    }
    size_t longest = 0;
    for (size_t i = 0; i < names.size(); i++) {
        const double ns = medians[i];
        if (ns > medians[longest]) longest = i;
        chart.y.rows.push_back(names[i].name + ", " + time_text(ns));
        chart.series.push_back(
            {names[i].name, colour_of(r, &side), "bar", 0, {at, at + ns}, {double(i), double(i)}});
        chart.table.lines.push_back({names[i].name, time_text(at), time_text(at + ns),
                                     time_text(ns),
                                     total > 0 ? format("%.1f %%", 100 * ns / total) : ""});
        at += ns;
    }
    chart.text = "The first token after " + time_text(total) + "; the longest phase is " +
                 names[longest].name + ", " + time_text(medians[longest]) + ". Medians of " +
                 counted(runs.size(), "run") + ".";
    return chart;
}

}  // namespace

Section layers(const Results& r) {
    Section section{"layers",
                    "Layer by layer",
                    "From traces; without them from what records say of streamed layers.",
                    {}};
    std::vector<LayerGroup> all;
    for (const Side& side : r.input.sides) {
        for (LayerGroup& group : layer_groups(side)) all.push_back(std::move(group));
    }
    for (size_t i = 0; i < all.size(); i++) {
        std::vector<const LayerGroup*> together;
        bool earlier = false;
        for (size_t k = 0; k < all.size(); k++) {
            if (!all[k].same_work(all[i])) continue;
            earlier |= k < i;
            together.push_back(&all[k]);
        }
        if (earlier) continue;
        double most = 0;
        for (const LayerGroup* group : together) {
            for (size_t l = 0; l < group->n_layer; l++) {
                double sum = 0;
                for (const auto& stage : group->ns) sum += median(stage[l]);
                most = std::max(most, sum);
            }
        }
        for (const LayerGroup* group : together) section.charts.push_back(columns(*group, most));
        for (const LayerPair& pair : r.layers) {
            if (pair.base.same_work(all[i]))
                section.charts.push_back(changes(pair, r.comparison.confidence));
        }
        const bool known = std::all_of(together.begin(), together.end(), [](const LayerGroup* g) {
            return !g->in_order.empty() && g->in_order[0].size() > 1;
        });
        if (known) section.charts.push_back(passes(r, together));
    }
    return section;
}

Section boot(const Results& r) {
    Section section{"boot", "From start to the first token", "", {}};
    for (const Side& side : r.input.sides) {
        std::vector<const Run*> runs;
        for (const Run& run : side.runs) {
            if (!run.details.boot.empty()) runs.push_back(&run);
        }
        if (!runs.empty()) section.charts.push_back(waterfall(r, side, runs));
    }
    return section;
}

}  // namespace axiom::compare
