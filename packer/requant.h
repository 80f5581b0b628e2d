// SPDX-License-Identifier: MIT
// One 16 x 32 block of a matrix -> what is stored: copied bit for bit where the source's block
// format is one of ours, otherwise quantized from floats. Must not know: files, extents, or the
// model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "core/quant.h"
#include "packer/gguf.h"

namespace axiom::packer {

// How hard to look for a scale (and minimum). `none` takes the range of the block; `rms` tries
// several and keeps the one with the smallest root mean square error.
enum class Search { none, rms };

// Fills row `row` of `block` from 32 weights. False if a scale or minimum would not fit binary16
// (|w| beyond 8.3 million for q8, 0.5 million for q4).
// Bounds: q8 errs by at most half a scale, scale <= max|w|/127 * (1 + 2^-11) + 2^-24.
[[nodiscard]] bool quantize_32(StoredType type, Search search, const float* weights,
                               BlockSource* block, size_t row);

// The stored type that keeps this source type best: q4 for Q4_0, q4m for Q4_1 and Q4_K, q8
// otherwise.
StoredType natural_type(gguf::TensorType source);

// Source blocks whose integers can be kept: Q4_0 -> q4, Q4_1 -> q4m, Q8_0 -> q8 (exact) and
// Q4_K -> q4m (scale and minimum are rounded to binary16).
bool keeps_integers(gguf::TensorType source, StoredType stored);

// Takes over columns [32*i_block, +32) of the source row at `row_data`. Where Q4_K's products leave
// binary16's range the result is not finite: the caller checks what it stored.
void copy_32(gguf::TensorType source, const uint8_t* row_data, size_t i_block, BlockSource* block,
             size_t row);

// A row of padding: weights that are exactly zero.
void zero_32(StoredType type, BlockSource* block, size_t row);

}  // namespace axiom::packer
