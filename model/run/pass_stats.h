// SPDX-License-Identifier: MIT
// The times of many forward passes, layer by layer, and what a record says of them.
// Must not know: what the passes were for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.h"
#include "core/layer_loop.h"
#include "model/report/record.h"

namespace axiom {

class PassStats {
  public:
    // Words of memory for n_passes.
    static constexpr uint64_t n_words(uint64_t n_passes, size_t n_layer) {
        return n_passes * (1 + uint64_t{kNTimes} * n_layer);
    }
    PassStats() = default;
    // `memory`: n_words(), outlives this and the records it fills.
    PassStats(std::span<uint64_t> memory, size_t n_layer);

    // Where the loop is to leave the times of the next pass; null pointers when there is no room
    // for one. They count once end() says how long the whole pass took.
    PassTimes begin() const;
    void end(uint64_t pass_ticks);
    void clear() { n_passes_ = 0; }

    size_t n_passes() const { return n_passes_; }
    uint64_t total_ticks() const;  // of the passes
    // The mean compute and stall of each layer. Before fill_layers().
    void fill_costs(const Clock& clock, std::span<LayerCost> costs) const;
    // Percentiles of layers, boundaries and stalls, and the shares of `whole_ticks` that were
    // boundary and stall. Sorts what it reads: once, after the last pass.
    void fill_layers(const Clock& clock, uint64_t whole_ticks, Record* record);
    // What a pass took, in ns, once; views into the memory.
    std::span<const uint64_t> pass_ns(const Clock& clock);

  private:
    enum Time : size_t { kLayer, kBoundary, kStall, kNTimes };
    std::span<uint64_t> of_layers(Time time, size_t n_passes) const {
        return memory_.subspan(n_max_ + time * n_max_ * n_layer_, n_passes * n_layer_);
    }

    std::span<uint64_t> memory_;  // [n_max] passes, then [kNTimes, n_max, n_layer]
    size_t n_layer_ = 0, n_max_ = 0, n_passes_ = 0;
};

}  // namespace axiom
