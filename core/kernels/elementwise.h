// SPDX-License-Identifier: MIT
// The operations on floats, the same text for every vector width. The order of operations is that of
// core/kernels/scalar.cpp, lane by lane (law 2).
#pragma once

#include <emmintrin.h>

#include "core/kernels/lanes.h"
#include "core/mathf.h"

namespace axiom::kernels {

// exp_f32 of core/mathf.h, step for step.
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> exp_lanes(Reg<V> x) {
    x = V::at_most(V::at_least(x, V::set1(kExp.min_x)), V::set1(kExp.max_x));
    const Reg<V> magic = V::set1(kExp.round_magic);
    const Reg<V> n = V::sub(V::add(V::mul(x, V::set1(kExp.log2e)), magic), magic);
    const Reg<V> r =
        V::sub(V::sub(x, V::mul(n, V::set1(kExp.ln2_hi))), V::mul(n, V::set1(kExp.ln2_lo)));
    Reg<V> p = V::set1(kExp.c6);
    p = V::add(V::mul(p, r), V::set1(kExp.c5));
    p = V::add(V::mul(p, r), V::set1(kExp.c4));
    p = V::add(V::mul(p, r), V::set1(kExp.c3));
    p = V::add(V::mul(p, r), V::set1(kExp.c2));
    p = V::add(V::mul(p, r), V::set1(kExp.c1));
    p = V::add(V::mul(p, r), V::set1(kExp.c0));
    return V::mul(p, V::pow2(n));
}

template <FloatLanes V>
void rms_norm(const float* x, const float* weight, size_t n, float eps, float* out) {
    Reg<V> lanes[kRegs<V>];
    for (Reg<V>& lane : lanes) lane = V::set1(0);
    for (size_t i = 0; i < n; i += 16) {
        for (size_t j = 0; j < kRegs<V>; j++) {
            const Reg<V> v = V::load(x + i + j * V::kWidth);
            lanes[j] = V::add(lanes[j], V::mul(v, v));
        }
    }
    const float mean = V::fold(lanes) / float(n) + eps;
    const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean)));
    const Reg<V> s = V::set1(1.0f / root);
    for (size_t i = 0; i < n; i += V::kWidth)
        V::store(out + i, V::mul(V::mul(V::load(x + i), s), V::load(weight + i)));
}

template <FloatLanes V>
void silu_mul(float* gate, const float* up, size_t n) {
    for (size_t i = 0; i < n; i += V::kWidth) {
        const size_t m = lanes_left<V>(n, i);
        const Reg<V> g = V::load_first(gate + i, m);
        const Reg<V> silu = V::div(g, V::add(V::set1(1.0f), exp_lanes<V>(V::negate(g))));
        V::store_first(gate + i, V::mul(silu, V::load_first(up + i, m)), m);
    }
}

template <FloatLanes V>
void add_to(float* x, const float* y, size_t n) {
    for (size_t i = 0; i < n; i += V::kWidth) {
        const size_t m = lanes_left<V>(n, i);
        V::store_first(x + i, V::add(V::load_first(x + i, m), V::load_first(y + i, m)), m);
    }
}

template <FloatLanes V>
void rope(float* x, const float* cosine, const float* sine, size_t n) {
    for (size_t i = 0; i < n; i += V::kWidth) {
        const size_t m = lanes_left<V>(n, i);
        const Reg<V> v = V::load_first(x + i, m);
        const Reg<V> kept = V::mul(v, V::load_first(cosine + i, m));
        V::store_first(x + i, V::add(kept, V::mul(V::swap_pairs(v), V::load_first(sine + i, m))),
                       m);
    }
}

// Two registers of positions at a time: each key is converted once for all queries.
template <FloatLanes V, size_t n_queries>
void scores_of(const float* const* q, const uint16_t* k, size_t head_dim, float scale,
               float* const* scores) {
    for (size_t p = 0; p < kKvPositions; p += 2 * V::kWidth) {
        Reg<V> acc[n_queries][2];
        for (auto& a : acc) a[0] = a[1] = V::set1(0);
        for (size_t i = 0; i < head_dim; i++) {
            const Reg<V> k0 = V::load_half(k + i * kKvPositions + p);
            const Reg<V> k1 = V::load_half(k + i * kKvPositions + p + V::kWidth);
#pragma GCC unroll 4
            for (size_t j = 0; j < n_queries; j++) {
                const Reg<V> x = V::set1(q[j][i]);
                acc[j][0] = V::add(acc[j][0], V::mul(x, k0));
                acc[j][1] = V::add(acc[j][1], V::mul(x, k1));
            }
        }
        for (size_t j = 0; j < n_queries; j++) {
            V::store(scores[j] + p, V::mul(acc[j][0], V::set1(scale)));
            V::store(scores[j] + p + V::kWidth, V::mul(acc[j][1], V::set1(scale)));
        }
    }
}

template <FloatLanes V>
void attention_scores(const float* const* q, size_t n_queries, const uint16_t* k, size_t head_dim,
                      float scale, float* const* scores) {
    switch (n_queries) {
        case 1:
            return scores_of<V, 1>(q, k, head_dim, scale, scores);
        case 2:
            return scores_of<V, 2>(q, k, head_dim, scale, scores);
        case 3:
            return scores_of<V, 3>(q, k, head_dim, scale, scores);
        default:
            return scores_of<V, 4>(q, k, head_dim, scale, scores);
    }
}

template <FloatLanes V>
void softmax(float* x, size_t n) {
    // The order of a maximum does not matter; lanes past the end repeat the first element.
    Reg<V> most = V::set1(x[0]);
    size_t i = 0;
    for (; i + V::kWidth <= n; i += V::kWidth) most = V::greater(V::load(x + i), most);
    float lane[V::kWidth];
    V::store(lane, most);
    float max = lane[0];
    for (size_t j = 1; j < V::kWidth; j++) max = lane[j] > max ? lane[j] : max;
    for (; i < n; i++) max = x[i] > max ? x[i] : max;

    Reg<V> lanes[kRegs<V>];
    for (Reg<V>& l : lanes) l = V::set1(0);
    for (i = 0; i < n; i += V::kWidth) {
        const size_t m = lanes_left<V>(n, i);
        // Lanes past the end add +0, which changes no sum of positive numbers.
        const Reg<V> e =
            V::keep_first(exp_lanes<V>(V::sub(V::load_first(x + i, m), V::set1(max))), m);
        V::store_first(x + i, e, m);
        Reg<V>& l = lanes[i / V::kWidth % kRegs<V>];
        l = V::add(l, e);
    }
    const Reg<V> inverse = V::set1(1.0f / V::fold(lanes));
    for (i = 0; i < n; i += V::kWidth) {
        const size_t m = lanes_left<V>(n, i);
        V::store_first(x + i, V::mul(V::load_first(x + i, m), inverse), m);
    }
}

// n_regs registers of every query's output: each value is converted once for all queries.
template <FloatLanes V, size_t n_queries, size_t n_regs>
void values_of(const float* const* p, const uint16_t* v, size_t head_dim, size_t n_positions,
               float* const* out, size_t first) {
    Reg<V> acc[n_queries][n_regs];
    for (size_t j = 0; j < n_queries; j++) {
        for (size_t r = 0; r < n_regs; r++) acc[j][r] = V::load(out[j] + first + r * V::kWidth);
    }
    for (size_t pos = 0; pos < n_positions; pos++) {
        const uint16_t* const row = v + pos * head_dim + first;
        Reg<V> value[n_regs];
#pragma GCC unroll 4
        for (size_t r = 0; r < n_regs; r++) value[r] = V::load_half(row + r * V::kWidth);
#pragma GCC unroll 4
        for (size_t j = 0; j < n_queries; j++) {
            const Reg<V> weight = V::set1(p[j][pos]);
#pragma GCC unroll 4
            for (size_t r = 0; r < n_regs; r++)
                acc[j][r] = V::add(acc[j][r], V::mul(weight, value[r]));
        }
    }
    for (size_t j = 0; j < n_queries; j++) {
        for (size_t r = 0; r < n_regs; r++) V::store(out[j] + first + r * V::kWidth, acc[j][r]);
    }
}

template <FloatLanes V, size_t n_queries>
void values_of(const float* const* p, const uint16_t* v, size_t head_dim, size_t n_positions,
               float* const* out) {
    size_t first = 0;
    for (; first + V::kValueRegs * V::kWidth <= head_dim; first += V::kValueRegs * V::kWidth)
        values_of<V, n_queries, V::kValueRegs>(p, v, head_dim, n_positions, out, first);
    for (; first < head_dim; first += V::kWidth)
        values_of<V, n_queries, 1>(p, v, head_dim, n_positions, out, first);
}

template <FloatLanes V>
void attention_values(const float* const* p, size_t n_queries, const uint16_t* v, size_t head_dim,
                      size_t n_positions, float* const* out) {
    switch (n_queries) {
        case 1:
            return values_of<V, 1>(p, v, head_dim, n_positions, out);
        case 2:
            return values_of<V, 2>(p, v, head_dim, n_positions, out);
        case 3:
            return values_of<V, 3>(p, v, head_dim, n_positions, out);
        default:
            return values_of<V, 4>(p, v, head_dim, n_positions, out);
    }
}

template <FloatLanes V>
void to_f16(const float* x, uint16_t* out, size_t n) {
    for (size_t i = 0; i < n; i += V::kWidth) {
        const size_t m = lanes_left<V>(n, i);
        uint16_t half[V::kWidth];
        V::store_half(half, V::load_first(x + i, m));
        __builtin_memcpy(out + i, half, m * sizeof(uint16_t));
    }
}

}  // namespace axiom::kernels
