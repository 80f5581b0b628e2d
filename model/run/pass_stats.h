// SPDX-License-Identifier: MIT
// The times of many forward passes, layer by layer, and what a record says of them. Memory does not
// grow with the run: times go into histograms, but for one word a pass where passes are told apart.
// Must not know: what the passes were for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.h"
#include "core/histogram.h"
#include "model/engine/transformer.h"
#include "model/report/record.h"
#include "model/run/pass_trace.h"

namespace axiom {

class PassStats {
  public:
    // Words of memory, where the times of n_passes whole passes are told apart.
    static constexpr uint64_t n_words(uint64_t n_passes, size_t n_layer) {
        return kHistogramWords + uint64_t{kNTimes + kNSums} * n_layer + n_passes;
    }
    PassStats() = default;
    // `memory`: n_words(), 8-byte aligned, outlives this and the records it fills.
    PassStats(std::span<uint64_t> memory, size_t n_layer, const Clock& clock,
              const PassTrace& trace = {});

    // Where the next pass is to leave its times. They count once end() says how long the whole pass
    // took, and for how many rows.
    ForwardTimes begin() const;
    void end(uint64_t pass_ticks, size_t n_rows);
    // What the passes from here on are; passes that do not count are traced only.
    void set_stage(Stage stage, bool counts = true) { stage_ = stage, counts_ = counts; }
    // What a token took that came of these passes.
    void add_token(double ns) { histograms().token.add(ns); }
    // Forgets what was counted and traced.
    void clear();

    size_t n_passes() const { return n_passes_; }
    uint64_t total_ticks() const { return total_ticks_; }  // of the passes
    const PassTrace& trace() const { return trace_; }
    // The mean compute and stall of each layer.
    void fill_costs(std::span<LayerCost> costs) const;
    // Percentiles and histograms of layers, boundaries, stalls and tokens, and the shares of the
    // passes' time that were boundary and stall. The record views the histograms.
    void fill_layers(Record* record) const;
    // What a pass took, in ns, once; views into the memory. Of as many passes as are told apart.
    std::span<const uint64_t> pass_ns();

  private:
    struct Histograms {
        FineLogHistogram layer, boundary, stall, token;
    };
    static_assert(alignof(Histograms) <= alignof(uint64_t));
    static constexpr size_t kHistogramWords = sizeof(Histograms) / sizeof(uint64_t);
    // Of the pass under way, and summed over passes.
    enum Time : size_t { kLayer, kStall, kNSums, kBoundary = kNSums, kAttention, kNTimes };

    Histograms& histograms() const { return *reinterpret_cast<Histograms*>(memory_.data()); }
    std::span<uint64_t> of_pass(Time time) const {
        return memory_.subspan(kHistogramWords + time * n_layer_, n_layer_);
    }
    std::span<uint64_t> sum_of(Time time) const {
        return memory_.subspan(kHistogramWords + (kNTimes + time) * n_layer_, n_layer_);
    }
    std::span<uint64_t> pass_ticks() const { return memory_.subspan(n_words(0, n_layer_), n_max_); }

    // Histograms, [kNTimes, n_layer], [kNSums, n_layer], [n_max] passes.
    std::span<uint64_t> memory_;
    size_t n_layer_ = 0, n_max_ = 0, n_passes_ = 0;
    uint64_t total_ticks_ = 0;
    Clock clock_;
    PassTrace trace_;
    Stage stage_ = Stage::decode;
    bool counts_ = true;
};

}  // namespace axiom
