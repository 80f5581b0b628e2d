// SPDX-License-Identifier: MIT
// Layers side by side, as tables and as JSON.
#include <algorithm>

#include "bench/compare/print.h"

namespace axiom::compare {
namespace {

std::string us(double ns) {
    return format("%.1f", ns / 1e3);
}

std::string verdict(const LayerLine& line) {
    if (!line.has_ratio || line.too_few) return "";
    if (!line.differs) return "~";
    return line.ratio > 1 ? "slower" : "faster";
}

std::string amount(const LayerGroup& group) {
    const size_t n_runs = group.n_passes.size();
    size_t n_passes = 0;
    for (const size_t n : group.n_passes) n_passes += n;
    std::string out = std::to_string(n_runs) + (n_runs == 1 ? " run" : " runs");
    if (n_passes != 0)
        out += ", " + std::to_string(n_passes) + (n_passes == 1 ? " pass" : " passes");
    return out;
}

std::vector<std::string> cells_of(const LayerLine& line) {
    std::vector<std::string> cells = {
        line.stage, line.layer < 0 ? "all" : std::to_string(line.layer), us(line.base_ns),
        us(line.other_ns), format("%+.1f", (line.other_ns - line.base_ns) / 1e3)};
    const bool tested = line.has_ratio && !line.too_few;
    cells.push_back(line.has_ratio ? format("%.3f", line.ratio) : "");
    cells.push_back(tested ? range(line.interval) : "");
    cells.push_back(tested ? probability(line.test.p) : "");
    cells.push_back(verdict(line));
    return cells;
}

Json to_json(const LayerLine& line) {
    Json out = {{"stage", line.stage},
                {"layer", line.layer < 0 ? Json() : Json(line.layer)},
                {"base_ns", line.base_ns},
                {"other_ns", line.other_ns}};
    for (const char* name : {"ratio", "ratio_low", "ratio_high", "p", "verdict"})
        out[name] = Json();
    if (line.has_ratio) {
        out["ratio"] = line.ratio;
        out["ratio_low"] = number_or_null(line.interval.low);
        out["ratio_high"] = number_or_null(line.interval.high);
        out["p"] = line.test.p;
        out["verdict"] = verdict(line);
    }
    return out;
}

}  // namespace

std::string title_of(const LayerPair& pair) {
    const LayerGroup& base = pair.base;
    return "layers: " + base.model.name() + ", " + base.test +
           ", threads: " + std::to_string(base.n_threads) + ", " + base.what() + ": " +
           base.side->name + " (" + amount(base) + ") and " + pair.other.side->name + " (" +
           amount(pair.other) + ")";
}

Table table_of(const LayerPair& pair, double confidence, size_t most_layers) {
    Table out;
    out.headings = {"stage",
                    "layer",
                    plain(pair.base.side->name) + ", us",
                    plain(pair.other.side->name) + ", us",
                    "change",
                    "ratio",
                    format("%g %%", confidence * 100),
                    "p",
                    ""};
    out.first_number = 1;
    for (const LayerLine& line : pair.totals) out.lines.push_back(cells_of(line));
    for (size_t i = 0; i < std::min(most_layers, pair.lines.size()); i++)
        out.lines.push_back(cells_of(pair.lines[i]));
    return out;
}

std::string legend(const LayerPair& pair) {
    return "us a pass: of a run the median of its passes, of a side the median of its runs; ratio: "
           "of "
           "the baseline's time, above 1 is slower. Layers by how much they changed." +
           what_chance_gives(pair);
}

std::string what_chance_gives(const LayerPair& pair) {
    const bool tested = std::any_of(pair.totals.begin(), pair.totals.end(),
                                    [](const LayerLine& l) { return l.has_ratio && !l.too_few; });
    if (!tested) return " Too few runs to show any difference; passes inside a run do not count.";
    return " Of " + std::to_string(pair.lines.size()) + " figures of single layers " +
           std::to_string(pair.n_shown) + " differ; by chance alone about " +
           format("%.0f", pair.n_by_chance) + " would.";
}

Json to_json(const LayerPair& pair) {
    Json out = {{"baseline_side", pair.base.side->name},
                {"side", pair.other.side->name},
                {"model", pair.base.model.name()},
                {"test", pair.base.test},
                {"n_threads", pair.base.n_threads},
                {"passes", pair.base.what()},
                {"n_runs", {pair.base.n_passes.size(), pair.other.n_passes.size()}},
                {"n_shown", pair.n_shown},
                {"n_by_chance", pair.n_by_chance},
                {"totals", Json::array()},
                {"layers", Json::array()}};
    for (const LayerLine& line : pair.totals) out["totals"].push_back(to_json(line));
    for (const LayerLine& line : pair.lines) out["layers"].push_back(to_json(line));
    return out;
}

}  // namespace axiom::compare
