// SPDX-License-Identifier: MIT
// Floats -> the fields of a stored block: the quantizers, by rows of 32 or, for the K formats, of
// 256 weights. Must not know: files, extents, sources, or the model.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quant.h"

namespace axiom::packer {

// How hard to look for a scale (and minimum). `none` takes the range of the block; `rms` tries
// several and keeps the one with the smallest root mean square error.
enum class Search { none, rms };

// Fills row `row` of `block` from 32 weights; q4, q4m, q5 and q8. False if a scale or minimum would
// not fit binary16 (|w| beyond 8.3 million for q8, 1 million for q5, 0.5 million for q4).
// Bounds: q8 errs by at most half a scale, scale <= max|w|/127 * (1 + 2^-11) + 2^-24.
[[nodiscard]] bool quantize_32(StoredType type, Search search, const float* weights,
                               BlockSource* block, size_t row);

// Fills row `row` of a super-block of a K format and of its scales from 256 weights, from the range
// of each sub-block (32 columns of q4k and q5k, 16 of q6k). False if d or dmin would not fit
// binary16. The small scales and minimums of q4k and q5k use all of 0..255, not only the 0..63 that
// ggml's formats have room for.
[[nodiscard]] bool quantize_256(StoredType type, const float* weights,
                                BlockSource (&blocks)[kSuperBlocks], SuperScales* super,
                                size_t row);

// A row of padding: weights that are exactly +0. The scales of super-blocks are then 0 too.
void zero_32(StoredType type, BlockSource* block, size_t row);

}  // namespace axiom::packer
