// SPDX-License-Identifier: MIT
// Attention over values of 8 bits (Kernels::attention_values_q8), the same text for every vector width.
// Over keys of 8 bits it is a matrix product.
#pragma once

#include "core/kernels/elementwise.h"

namespace axiom::kernels {

// What a block's values are multiplied by: weights in pairs of positions, and the step they are in.
struct ValueWeights {
    alignas(64) int16_t q[kKvPositions];
    float step;  // 0: all of them are nothing

    [[gnu::always_inline]] int32_t pair(size_t i) const {
        int32_t both;
        __builtin_memcpy(&both, q + 2 * i, sizeof both);
        return both;
    }
};

template <PairLanes V>
[[gnu::always_inline]] inline void weigh(const float* p, const uint8_t* scales, ValueWeights* out) {
    constexpr size_t kN = kKvPositions / V::kWidth;
    Reg<V> w[kN];
    Reg<V> most = V::set1(0);
#pragma GCC unroll 8
    for (size_t i = 0; i < kN; i++) {
        const uint16_t* const halves = reinterpret_cast<const uint16_t*>(scales) + i * V::kWidth;
        w[i] = V::mul(V::load(p + i * V::kWidth), V::load_half(halves));
        most = V::greater(w[i], most);
    }
    const float max = V::most(most);
    // Not so of a NaN: then all are NaN that are not 0, as softmax makes them.
    const bool usable = max >= CachedValues::kLeastWeight;
    const Reg<V> inverse = V::set1(usable ? CachedValues::kMaxWeight / max : 0);
    out->step = usable ? max / CachedValues::kMaxWeight : 0;
#pragma GCC unroll 8
    for (size_t i = 0; i < kN; i++) V::store_int16(out->q + i * V::kWidth, V::mul(w[i], inverse));
}

// 32 columns of n_queries queries: two registers of columns at a time, so that each value is widened
// once for all queries.
template <PairLanes V, size_t n_queries>
[[gnu::noinline]] void add_values(const float* const* p, const uint8_t* block, float* const* out,
                                  size_t column) {
    ValueWeights w[n_queries];
    for (size_t j = 0; j < n_queries; j++) weigh<V>(p[j], block + CachedValues::scale_at(0), &w[j]);
    for (size_t c = 0; c < kBlockCols; c += 2 * V::kWidth) {
        Ints<V> sum[n_queries][2];
        for (auto& s : sum) s[0] = s[1] = V::set1_ints(0);
        const uint8_t* const values = block + CachedValues::q_at(0, c);
#pragma GCC unroll 4
        for (size_t i = 0; i < kKvPositions / 2; i++) {
            const Ints<V> v0 = V::widen_bytes(values + CachedValues::q_at(2 * i, 0));
            const Ints<V> v1 = V::widen_bytes(values + CachedValues::q_at(2 * i, V::kWidth));
#pragma GCC unroll 12
            for (size_t j = 0; j < n_queries; j++) {
                const Ints<V> weights = V::set1_ints(w[j].pair(i));
                sum[j][0] = V::dot_pairs(sum[j][0], v0, weights);
                sum[j][1] = V::dot_pairs(sum[j][1], v1, weights);
            }
        }
#pragma GCC unroll 12
        for (size_t j = 0; j < n_queries; j++) {
            if (w[j].step == 0) continue;
            float* const y = out[j] + column + c;
            const Reg<V> step = V::set1(w[j].step);
#pragma GCC unroll 2
            for (size_t r = 0; r < 2; r++) {
                float* const at = y + r * V::kWidth;
                V::store(at, V::add(V::load(at), V::mul(V::to_floats(sum[j][r]), step)));
            }
        }
    }
}

template <PairLanes V>
void attention_values_q8(const float* const* p, size_t n_queries, const uint8_t* v, size_t n_cols,
                         float* const* out) {
    for (size_t c = 0; c < n_cols; c += kBlockCols, v += CachedValues::kBlockBytes) {
        for_queries<V>(n_queries,
                       [&]<size_t n>(size_t j) { add_values<V, n>(p + j, v, out + j, c); });
    }
}

}  // namespace axiom::kernels
