// SPDX-License-Identifier: MIT
// How many tokens of a prompt a pass takes. Where layers are read from a disk meanwhile, a pass is worth
// its reading only if it computes as long: the fewest tokens with which it does are found from what
// passes take.
// Must not know: whose tokens they are, or what they are computed with.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace axiom {

class PassSize {
  public:
    // Always `most`, for weights in memory.
    PassSize() = default;
    explicit PassSize(size_t most) : least_(most), most_(most) {}
    // For streamed weights: `least` where fewer would do, as small passes cost more a token. What is
    // known before any pass, in ticks, 0 for nothing: computing a row, reading what a pass reads.
    PassSize(size_t least, size_t most, double row_ticks, double read_ticks)
        : least_(std::min(least, most)),
          most_(most),
          row_ticks_(row_ticks),
          read_ticks_(read_ticks) {}

    // The fewest rows whose computing covers the reading, if both are known; else 0.
    size_t covering() const;
    // As many as a pass may have, or needs.
    size_t rows() const { return std::clamp(covering(), least_, most_); }
    // Of n pending tokens, those of the next pass: so that all passes of a prompt are worth their reading,
    // none is left over.
    size_t next(size_t n_pending) const;

    // What a pass of n rows took, and how long of it was waiting for weights.
    void took(size_t n_rows, uint64_t ticks, uint64_t wait_ticks);

  private:
    size_t least_ = 1, most_ = 1;
    double row_ticks_ = 0, read_ticks_ = 0;
    bool is_first_ = true;
};

}  // namespace axiom
