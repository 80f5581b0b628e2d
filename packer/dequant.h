// SPDX-License-Identifier: MIT
// ggml's block types -> floats, exactly (formats: ggml-common.h's block structs; every product is
// exact in binary32, sums round once). Must not know: what will be stored.
#pragma once

#include <cstddef>
#include <cstdint>

#include "packer/gguf.h"

namespace axiom::packer {

// n_cols weights of one row, starting at a block boundary; n_cols is a multiple of the block's
// columns. `blocks` needs no alignment.
void dequantize(gguf::TensorType type, const uint8_t* blocks, size_t n_cols, float* out);

// The 6-bit scale and minimum of sub-block 0..7 in the 12 packed bytes of Q4_K and Q5_K.
struct KScale {
    uint8_t scale, minimum;
};
KScale k_scale(const uint8_t packed[12], size_t i_sub_block);

}  // namespace axiom::packer
