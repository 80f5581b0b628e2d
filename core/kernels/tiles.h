// SPDX-License-Identifier: MIT
// Matmul of several tokens by tiles of 2 registers of rows x up to 4 tokens, for the sets with 16
// registers: the sums of a block stay in registers, a load of activations serves both registers of
// rows, an unpacked register of weights all tokens. Sums of rows are in memory meanwhile.
#pragma once

#include "core/kernels/matmul.h"

namespace axiom::kernels {

inline constexpr size_t kTileParts = 2;
inline constexpr size_t kTileTokens = 4;

// sums[i][t] = start(t) + the products of columns [4 first, 4 (first + n)) of a block.
template <WeightLanes V, StoredType type, size_t first, size_t n, class Start, size_t W, size_t T>
[[gnu::always_inline]] inline void sum_columns(const uint8_t* p, const Acts<W>& x, Start start,
                                               Ints<V> (&sums)[kTileParts][T]) {
    constexpr int kMax = max_weight<V>(type);
    Ints<V> pairs[kTileParts][T];
    for_columns<first, n>([&]<size_t k>() __attribute__((always_inline)) {
        Ints<V> columns[T];
#pragma GCC unroll 4
        for (size_t t = 0; t < T; t++) columns[t] = V::broadcast4(x.columns(t) + 4 * k);
#pragma GCC unroll 2
        for (size_t i = 0; i < kTileParts; i++) {
            const Ints<V> w = columns_of<V, type, k>(p + i * 4 * V::kWidth);
#pragma GCC unroll 4
            for (size_t t = 0; t < T; t++) {
                if constexpr (DotLanes<V>) {
                    sums[i][t] = V::dot4(k == first ? start(t) : sums[i][t], w, columns[t]);
                } else {
                    constexpr size_t kFit = fitting_pairs(kMax), at = (k - first) % kFit;
                    const Ints<V> product = V::template multiply<kMax>(w, columns[t]);
                    pairs[i][t] = at == 0 ? product : V::add_pairs(pairs[i][t], product);
                    // GCC would add all products of a sum in the end, when they no longer fit the
                    // registers: it must take this sum as it is here.
                    if constexpr (kFit > 1) asm("" : "+x"(pairs[i][t]));
                    if constexpr (at == kFit - 1 || k == first + n - 1)
                        sums[i][t] =
                            V::add_up(k - first < kFit ? start(t) : sums[i][t], pairs[i][t]);
                    if constexpr (kFit == 1) asm("" : "+x"(sums[i][t]));
                }
            }
        }
    });
}

// Adds one block of a tile's rows, from part `part` of a group on, times T tokens to acc.
template <WeightLanes V, StoredType type, size_t W, size_t T>
[[gnu::always_inline]] inline void add_tile_block(const uint8_t* block, size_t part,
                                                  const SuperScale<V> (&super)[kTileParts],
                                                  const Acts<W>& x, Reg<V> (&acc)[kTileParts][T]) {
    using A = QuantizedActs;
    const uint8_t* const p = block + part * 4 * V::kWidth;
    Ints<V> sums[kTileParts][T];
    Scales<V, type> scales[kTileParts];
    if constexpr (type == StoredType::q6k) {
        Reg<V> products[kTileParts][T];
        sum_columns<V, type, 0, 4>(
            p, x, [&](size_t t) { return V::broadcast4(x.field_of(A::minus_32_low_sum, t)); },
            sums);
        for (size_t i = 0; i < kTileParts; i++) scales[i].read(block, part + i, super[i]);
        for_tile<kTileParts, T>([&](size_t i, size_t t) {
            products[i][t] = V::mul(V::to_floats(sums[i][t]), scales[i].scale_low);
        });
        sum_columns<V, type, 4, 4>(
            p, x, [&](size_t t) { return V::broadcast4(x.field_of(A::minus_32_high_sum, t)); },
            sums);
        for_tile<kTileParts, T>([&](size_t i, size_t t) {
            products[i][t] =
                V::add(products[i][t], V::mul(V::to_floats(sums[i][t]), scales[i].scale_high));
            acc[i][t] = add_scaled_products<V, type>(acc[i][t], products[i][t], scales[i], x, t);
        });
    } else {
        sum_columns<V, type, 0, 8>(
            p, x, [&](size_t t) { return start<V, type>(x, t); }, sums);
        for (size_t i = 0; i < kTileParts; i++) scales[i].read(block, part + i, super[i]);
        for_tile<kTileParts, T>([&](size_t i, size_t t) {
            acc[i][t] =
                add_scaled_products<V, type>(acc[i][t], V::to_floats(sums[i][t]), scales[i], x, t);
        });
    }
}

// y[t, rows] = the group at p times T tokens. Meanwhile `ahead` is fetched, ahead_bytes a block of 16 rows.
template <WeightLanes V, StoredType type, size_t T>
[[gnu::noinline]] void multiply_tile(const uint8_t* group, size_t n_blocks,
                                     Acts<QuantizedActs::kTileWidth> first, const uint8_t* ahead,
                                     size_t ahead_bytes, float* y, size_t y_stride) {
    constexpr size_t kParts = kRegs<V>;
    ahead_bytes = (ahead_bytes * kTileParts + kParts - 1) / kParts;
    for (size_t part = 0; part < kParts; part += kTileParts) {
        Reg<V> acc[kTileParts][T];
        for_tile<kTileParts, T>([&](size_t i, size_t t) { acc[i][t] = V::set1(0); });
        SuperScale<V> super[kTileParts] = {};
        const uint8_t* p = group;
        Acts<QuantizedActs::kTileWidth> x = first;
        for (size_t b = 0; b < n_blocks; b++) {
            if constexpr (is_k_quant(type)) {
                if (b % kSuperBlocks == 0) {
                    for (size_t i = 0; i < kTileParts; i++)
                        super[i] = read_super_scale<V, type>(p, part + i);
                    p += super_scale_bytes(type);
                }
            }
            for (size_t line = 0; line < ahead_bytes; line += 64)
                __builtin_prefetch(ahead + line, 0, 2);
            ahead += ahead_bytes;
            add_tile_block<V, type>(p, part, super, x, acc);
            p += block_bytes(type);
            x.to_next_block();
        }
        for_tile<kTileParts, T>([&](size_t i, size_t t) {
            V::store(y + t * y_stride + (part + i) * V::kWidth, acc[i][t]);
        });
    }
}

// The same for a number of tokens known at run time, 1 to T.
template <WeightLanes V, StoredType type, size_t T, class... Args>
void multiply_tile_of(size_t n_tokens, Args... args) {
    if (n_tokens == T) return multiply_tile<V, type, T>(args...);
    if constexpr (T > 1) multiply_tile_of<V, type, T - 1>(n_tokens, args...);
}

// How many tokens the tile from token t on has: the fewest tiles of equal sizes, none of which reaches
// across interleaved ones.
[[gnu::always_inline]] inline size_t tile_tokens(size_t t, size_t n_tokens) {
    const size_t left =
        least(n_tokens - t, QuantizedActs::kTileWidth - t % QuantizedActs::kTileWidth);
    return left / ((left + kTileTokens - 1) / kTileTokens);
}

// Weights that a run of row groups may have: the second-level cache holds them while all tiles go past.
inline constexpr size_t kRunBytes = 128 * 1024;

template <WeightLanes V>
struct Tiles {
    static constexpr bool kReadsFewAlike = false;

    template <StoredType type>
    static void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                       size_t y_stride, size_t row_begin, size_t row_end, const Reading& reading) {
        const uint8_t* const w = static_cast<const uint8_t*>(weights);
        if (x.width == 1) return multiply_one<V, type>(w, x, y, row_begin, row_end, reading);
        const size_t n_blocks = x.n_cols / kBlockCols;
        const size_t group_stride = group_bytes(type, n_blocks);
        // A few tokens are done with a group while it is in the first-level cache. All tiles of a run
        // share the fetching of the run that follows.
        const size_t run_groups =
            n_tokens <= QuantizedActs::kTileWidth ? 1 : kRunBytes / group_stride + 1;
        const size_t n_tiles = (n_tokens + kTileTokens - 1) / kTileTokens;
        const size_t ahead_bytes = (group_stride / n_blocks + n_tiles) / n_tiles;
        for (size_t row = row_begin; row < row_end; row += run_groups * kGroupRows) {
            const size_t end = least(row + run_groups * kGroupRows, row_end);
            const uint8_t* ahead = w + end / kGroupRows * group_stride;
            for (size_t t = 0; t < n_tokens;) {
                const size_t n = tile_tokens(t, n_tokens);
                for (size_t r = row; r < end; r += kGroupRows) {
                    multiply_tile_of<V, type, kTileTokens>(
                        n, w + r / kGroupRows * group_stride, n_blocks,
                        Acts<QuantizedActs::kTileWidth>::of(x, t), ahead, ahead_bytes,
                        y + t * y_stride + r, y_stride);
                    ahead += n_blocks * ahead_bytes;
                }
                t += n;
            }
        }
    }
};

}  // namespace axiom::kernels
