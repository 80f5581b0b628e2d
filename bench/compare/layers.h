// SPDX-License-Identifier: MIT
// Traces, and the costs of layers in records, side by side: which stage of which layer gained or lost.
// The unit is a run here as well: its value is the median of its passes.
// Must not know: files, or how results are printed.
#pragma once

#include <string>
#include <vector>

#include "bench/compare/run.h"
#include "bench/compare/statistics.h"

namespace axiom::compare {

// The passes of one side that do the same work: of one test, "prefill" or "decode", with so many rows.
struct LayerGroup {
    const Side* side = nullptr;
    Model model;
    std::string test, pass;
    uint64_t n_rows = 0, n_threads = 0;
    std::vector<std::string> stages;  // what is timed in each layer
    size_t n_layer = 0;
    std::vector<size_t> n_passes;         // of each run; 0: means that a record states
    std::vector<std::vector<Values>> ns;  // [stage][layer], of each run
    std::vector<Values> stage_ns;         // [stage], all layers of a pass together
    Values pass_ns;                       // the whole pass, where it is known
    std::vector<Values> in_order;         // of each run, every pass as it came

    std::string what() const;  // "decode, 1 row"
    bool same_work(const LayerGroup& other) const;
};

// Times of one stage in one layer, or in all of them.
struct LayerLine : Difference {
    std::string stage;
    int layer = -1;                    // -1: all layers together
    double base_ns = 0, other_ns = 0;  // medians of the runs
    bool has_ratio = false;            // no time is 0
};

struct LayerPair {
    LayerGroup base, other;
    std::vector<LayerLine> totals;  // of each stage and, where it is known, the whole pass
    std::vector<LayerLine> lines;   // of each stage and layer, the largest change first
    size_t n_shown = 0;             // of `lines`, that are shown to differ
    double n_by_chance = 0;         // that many would be, were there no difference
};

std::vector<LayerGroup> layer_groups(const Side& side);
// Every side beside the baseline; where that has no layers, the first that has.
std::vector<LayerPair> compare_layers(const std::vector<Side>& sides, const Side& baseline,
                                      double confidence);

}  // namespace axiom::compare
