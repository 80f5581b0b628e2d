// SPDX-License-Identifier: MIT
#include "model/run/pass_stats.h"

#include <algorithm>
#include <new>

namespace axiom {

PassStats::PassStats(std::span<uint64_t> memory, size_t n_layer, const Clock& clock,
                     const PassTrace& trace)
    : memory_(memory),
      n_layer_(n_layer),
      n_max_(memory.size() - size_t(n_words(0, n_layer))),
      clock_(clock),
      trace_(trace) {
    AXIOM_CHECK(memory.size() >= n_words(0, n_layer));
    clear();
}

void PassStats::clear() {
    new (memory_.data()) Histograms;
    for (const Time time : {kLayer, kStall}) {
        const std::span<uint64_t> sums = sum_of(time);
        std::fill(sums.begin(), sums.end(), 0);
    }
    n_passes_ = 0;
    total_ticks_ = 0;
    trace_.clear();
}

ForwardTimes PassStats::begin() const {
    return {{.layer_ticks = of_pass(kLayer).data(),
             .boundary_ticks = of_pass(kBoundary).data(),
             .stall_ticks = of_pass(kStall).data()},
            trace_.is_wanted() ? of_pass(kAttention).data() : nullptr};
}

void PassStats::end(uint64_t ticks, size_t n_rows) {
    const std::span<const uint64_t> layer = of_pass(kLayer), boundary = of_pass(kBoundary),
                                    stall = of_pass(kStall);
    if (trace_.is_wanted()) {
        trace_.add({.stage = stage_,
                    .n_rows = n_rows,
                    .ticks = ticks,
                    .layer = layer.data(),
                    .attention = of_pass(kAttention).data(),
                    .boundary = boundary.data(),
                    .stall = stall.data()});
    }
    if (!counts_) return;
    if (n_passes_ < n_max_) pass_ticks()[n_passes_] = ticks;
    n_passes_++;
    total_ticks_ += ticks;
    const double ns = 1e9 / double(clock_.ticks_per_second);
    Histograms& h = histograms();
    for (size_t i = 0; i < n_layer_; i++) {
        h.layer.add(double(layer[i]) * ns);
        h.boundary.add(double(boundary[i]) * ns);
        h.stall.add(double(stall[i]) * ns);
        sum_of(kLayer)[i] += layer[i];
        sum_of(kStall)[i] += stall[i];
    }
}

void PassStats::fill_costs(std::span<LayerCost> costs) const {
    const auto mean_ns = [&](Time time, size_t i_layer) {
        return n_passes_ != 0 ? clock_.seconds(sum_of(time)[i_layer]) * 1e9 / double(n_passes_) : 0;
    };
    for (size_t i = 0; i < costs.size(); i++) {
        costs[i].compute_ns = mean_ns(kLayer, i);
        costs[i].stall_ns = mean_ns(kStall, i);
    }
}

void PassStats::fill_layers(Record* record) const {
    const Histograms& h = histograms();
    const double whole_ns = clock_.seconds(total_ticks_) * 1e9;
    const auto share = [&](const FineLogHistogram& times) {
        return whole_ns > 0 ? times.sum_ns() / whole_ns : 0;
    };
    record->boundary_share = share(h.boundary);
    record->stall_share = share(h.stall);
    record->layer = percentiles(h.layer);
    record->boundary = percentiles(h.boundary);
    record->stall = percentiles(h.stall);
    record->token = percentiles(h.token);
}

std::span<const uint64_t> PassStats::pass_ns() {
    const std::span<uint64_t> kept = pass_ticks().first(std::min(n_passes_, n_max_));
    for (uint64_t& ticks : kept) ticks = clock_.ns(ticks);
    return kept;
}

}  // namespace axiom
