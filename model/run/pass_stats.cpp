// SPDX-License-Identifier: MIT
#include "model/run/pass_stats.h"

namespace axiom {
namespace {

uint64_t sum(std::span<const uint64_t> ticks) {
    uint64_t total = 0;
    for (const uint64_t t : ticks) total += t;
    return total;
}

}  // namespace

PassStats::PassStats(std::span<uint64_t> memory, size_t n_layer)
    : memory_(memory), n_layer_(n_layer), n_max_(memory.size() / n_words(1, n_layer)) {}

PassTimes PassStats::begin() const {
    if (n_passes_ == n_max_) return {};
    const auto next = [&](Time time) {
        return of_layers(time, n_max_).data() + n_passes_ * n_layer_;
    };
    return {next(kLayer), next(kBoundary), next(kStall)};
}

void PassStats::end(uint64_t pass_ticks) {
    if (n_passes_ < n_max_) memory_[n_passes_++] = pass_ticks;
}

uint64_t PassStats::total_ticks() const {
    return sum(memory_.first(n_passes_));
}

void PassStats::fill_costs(const Clock& clock, std::span<LayerCost> costs) const {
    const auto mean_ns = [&](Time time, size_t i_layer) {
        uint64_t total = 0;
        const std::span<const uint64_t> ticks = of_layers(time, n_max_);
        for (size_t i = 0; i < n_passes_; i++) total += ticks[i * n_layer_ + i_layer];
        return n_passes_ != 0 ? clock.seconds(total) * 1e9 / double(n_passes_) : 0;
    };
    for (size_t i = 0; i < costs.size(); i++) {
        costs[i].compute_ns = mean_ns(kLayer, i);
        costs[i].stall_ns = mean_ns(kStall, i);
    }
}

void PassStats::fill_layers(const Clock& clock, uint64_t whole_ticks, Record* record) {
    const auto share = [&](Time time) {
        return double(sum(of_layers(time, n_passes_))) / double(whole_ticks);
    };
    const auto order = [&](Time time) {
        return percentiles(of_layers(time, n_passes_), clock.ticks_per_second);
    };
    record->boundary_share = share(kBoundary);
    record->stall_share = share(kStall);
    record->layer = order(kLayer);
    record->boundary = order(kBoundary);
    record->stall = order(kStall);
}

std::span<const uint64_t> PassStats::pass_ns(const Clock& clock) {
    for (uint64_t& ticks : memory_.first(n_passes_)) ticks = clock.ns(ticks);
    return memory_.first(n_passes_);
}

}  // namespace axiom
