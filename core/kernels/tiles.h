// SPDX-License-Identifier: MIT
// Matmul of several tokens by tiles: a few tokens share one unpacking of the weights. For the
// sets whose products are sums of 16 bits, where unpacking costs little beside multiplying.
#pragma once

#include "core/kernels/matmul.h"

namespace axiom::kernels {

inline constexpr size_t kTileTokens = 4;

// Tokens [token, token + T) of x.
template <WeightLanes V, StoredType type, size_t T>
void multiply_tile(const uint8_t* weights, const QuantizedActs& x, size_t token, float* y,
                   size_t y_stride, size_t row_begin, size_t row_end) {
    constexpr size_t W = QuantizedActs::kTileWidth;
    const size_t n_blocks = x.n_cols / kBlockCols;
    for (size_t row = row_begin; row < row_end; row += kGroupRows) {
        for (size_t part = 0; part < kRegs<V>; part++) {
            multiply_rows<V, type, T, W, 1, 1>(
                weights + row / kGroupRows * group_bytes(type, n_blocks), Acts<W>::of(x, token),
                n_blocks, part, y + token * y_stride + row, y_stride);
        }
    }
}

// Weights that a run of row groups may have, for the second-level cache to hold them while all
// tiles go past.
inline constexpr size_t kRunBytes = 384 * 1024;

template <WeightLanes V>
struct Tiles {
    template <StoredType type>
    static void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                       size_t y_stride, size_t row_begin, size_t row_end, const Reading& reading) {
        const uint8_t* const w = static_cast<const uint8_t*>(weights);
        if (x.width == 1) return multiply_one<V, type>(w, x, y, row_begin, row_end, reading);
        const size_t groups_in_run = kRunBytes / group_bytes(type, x.n_cols / kBlockCols) + 1;
        for (size_t row = row_begin; row < row_end; row += groups_in_run * kGroupRows) {
            const size_t last = row + groups_in_run * kGroupRows;
            const size_t end = last < row_end ? last : row_end;
            size_t t = 0;
            for (; t + kTileTokens <= n_tokens; t += kTileTokens)
                multiply_tile<V, type, kTileTokens>(w, x, t, y, y_stride, row, end);
            for (; t < n_tokens; t++) multiply_tile<V, type, 1>(w, x, t, y, y_stride, row, end);
        }
    }
};

}  // namespace axiom::kernels
