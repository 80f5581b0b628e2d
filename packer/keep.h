// SPDX-License-Identifier: MIT
// A GGUF's blocks -> the fields of a stored block, integers and scales bit for bit, where one of
// our formats holds them. Must not know: floats, files, extents, or the model.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/quant.h"
#include "packer/gguf.h"

namespace axiom::packer {

// The stored type that keeps this source type best: the one without loss where there is one (q4 for
// Q4_0, q4m for Q4_1, q5 for Q5_0, q8 for Q8_0, q4k, q5k and q6k for Q4_K, Q5_K and Q6_K), q8
// otherwise.
StoredType natural_type(gguf::TensorType source);

// Whether copying gives the very weights of the source.
bool keeps_source(gguf::TensorType source, StoredType stored);

// Takes over columns [32*i_block, +32) of the source row at `row_data`.
void copy_32(gguf::TensorType source, const uint8_t* row_data, size_t i_block, BlockSource* block,
             size_t row);

// Takes over the scales of the super-block that holds block i_block; K formats only.
void copy_super_scales(gguf::TensorType source, const uint8_t* row_data, size_t i_block,
                       SuperScales* super, size_t row);

}  // namespace axiom::packer
