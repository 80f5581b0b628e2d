// SPDX-License-Identifier: MIT
// --trace: of every pass what each layer's attention, feed-forward, boundary and stall took. Kept in
// memory until the run is over, because after the exit there is nothing to write to meanwhile.
// Must not know: what the passes were for, or where the lines go.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.h"
#include "model/report/record.h"

namespace axiom {

enum class Stage : uint8_t { prefill, decode };

// One pass as it ended; [n_layer] ticks each. `layer` has attention's in it.
struct TracedPass {
    Stage stage = Stage::decode;
    size_t n_rows = 0;
    uint64_t ticks = 0;
    const uint64_t* layer = nullptr;
    const uint64_t* attention = nullptr;
    const uint64_t* boundary = nullptr;
    const uint64_t* stall = nullptr;
};

class PassTrace {
  public:
    // Passes that are kept, at most; those that follow are counted.
    static constexpr uint64_t kMaxPasses = 4096;
    // Words of memory for n_passes.
    static constexpr uint64_t n_words(uint64_t n_passes, size_t n_layer) {
        return n_passes * (kHeadWords + uint64_t{kTimes} * n_layer);
    }
    PassTrace() = default;  // not wanted
    PassTrace(std::span<uint64_t> memory, size_t n_layer)
        : memory_(memory), n_layer_(n_layer), n_max_(memory.size() / n_words(1, n_layer)) {}

    bool is_wanted() const { return n_max_ != 0; }
    void clear() { n_passes_ = n_dropped_ = 0; }
    void add(const TracedPass& pass);
    uint64_t n_passes() const { return n_passes_; }
    uint64_t n_dropped() const { return n_dropped_; }

    // A line that says what ran, then one a pass.
    void print(const Record& record, const Clock& clock, TextSink write, void* context) const;

  private:
    static constexpr size_t kHeadWords = 2;  // ticks; rows and stage
    static constexpr size_t kTimes = 4;      // attention, feed-forward, boundary, stall

    void print_head(const Record& record, TextSink write, void* context) const;

    std::span<uint64_t> memory_;  // [n_max][kHeadWords + n_layer * kTimes]
    size_t n_layer_ = 0, n_max_ = 0;
    uint64_t n_passes_ = 0, n_dropped_ = 0;
};

}  // namespace axiom
