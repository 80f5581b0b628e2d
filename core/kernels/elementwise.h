// SPDX-License-Identifier: MIT
// The operations on floats, the same text for every vector width. The order of operations is that of
// core/kernels/scalar.cpp, lane by lane (law 2).
#pragma once

#include <emmintrin.h>

#include "core/kernels/lanes.h"
#include "core/mathf.h"

namespace axiom::kernels {

// --- arrays of any length: whole registers, and then the first lanes of one more

template <FloatLanes V>
struct Whole {
    static Reg<V> load(const float* p) { return V::load(p); }
    static void store(float* p, Reg<V> x) { V::store(p, x); }
    static Reg<V> load_half(const uint16_t* p) { return V::load_half(p); }
    static void store_half(uint16_t* p, Reg<V> x) { V::store_half(p, x); }
    static Reg<V> keep(Reg<V> x) { return x; }
};
template <FloatLanes V>
struct First {
    size_t n;  // lanes, fewer than kWidth

    Reg<V> load(const float* p) const { return V::load_first(p, n); }
    void store(float* p, Reg<V> x) const { V::store_first(p, x, n); }
    Reg<V> load_half(const uint16_t* p) const { return V::load_half_first(p, n); }
    void store_half(uint16_t* p, Reg<V> x) const {
        uint16_t half[V::kWidth];
        V::store_half(half, x);
        __builtin_memcpy(p, half, n * sizeof(uint16_t));
    }
    Reg<V> keep(Reg<V> x) const { return V::keep_first(x, n); }
};

// f(i, part) for the elements [0, n), a register at a time: `part` reads and writes those from i on.
template <FloatLanes V, class F>
[[gnu::always_inline]] inline void for_registers(size_t n, F f) {
    size_t i = 0;
    for (; i + V::kWidth <= n; i += V::kWidth) f(i, Whole<V>{});
    if (i < n) f(i, First<V>{n - i});
}

// sums[r] = the sum of n elements in 16 lanes (core/kernels.h); term(r, i, part) gives those from i on,
// and +0 in the lanes that are not `part`'s: as a lane starts from +0, it is never -0, so adding +0
// changes nothing.
template <FloatLanes V, size_t n_sums, class F>
[[gnu::always_inline]] inline void sum_lanes(size_t n, float* sums, F term) {
    Reg<V> lanes[n_sums][kRegs<V>];
    for (auto& lane : lanes) {
        for (Reg<V>& l : lane) l = V::set1(0);
    }
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
#pragma GCC unroll 4
        for (size_t j = 0; j < kRegs<V>; j++) {
#pragma GCC unroll 4
            for (size_t r = 0; r < n_sums; r++)
                lanes[r][j] = V::add(lanes[r][j], term(r, i + j * V::kWidth, Whole<V>{}));
        }
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < kRegs<V>; j++) {
        const size_t first = i + j * V::kWidth;
        if (first >= n) break;
        const First<V> part{least(n - first, V::kWidth)};
        for (size_t r = 0; r < n_sums; r++) lanes[r][j] = V::add(lanes[r][j], term(r, first, part));
    }
    for (size_t r = 0; r < n_sums; r++) sums[r] = V::fold(lanes[r]);
}

// --- exp and tanh of core/mathf.h, step for step

template <FloatLanes V>
struct ExpParts {
    Reg<V> n, r;
};
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> exp_range(Reg<V> x) {
    return V::at_most(V::at_least(x, V::set1(kExp.min_x)), V::set1(kExp.max_x));
}
// x within exp_range.
template <FloatLanes V>
[[gnu::always_inline]] inline ExpParts<V> exp_parts(Reg<V> x) {
    const Reg<V> magic = V::set1(kExp.round_magic);
    const Reg<V> n = V::sub(V::add(V::mul(x, V::set1(kExp.log2e)), magic), magic);
    const Reg<V> high = V::sub(x, V::mul(n, V::set1(kExp.ln2_hi)));
    return {n, V::sub(high, V::mul(n, V::set1(kExp.ln2_lo)))};
}
// p * r + c
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> horner(Reg<V> p, Reg<V> r, float c) {
    return V::add(V::mul(p, r), V::set1(c));
}
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> exp_within(Reg<V> x) {
    const auto [n, r] = exp_parts<V>(x);
    Reg<V> p = V::set1(kExp.c6);
    p = horner<V>(p, r, kExp.c5);
    p = horner<V>(p, r, kExp.c4);
    p = horner<V>(p, r, kExp.c3);
    p = horner<V>(p, r, kExp.c2);
    p = horner<V>(p, r, kExp.c1);
    p = horner<V>(p, r, kExp.c0);
    return V::mul(p, V::pow2(n));
}
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> exp_lanes(Reg<V> x) {
    return exp_within<V>(exp_range<V>(x));
}
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> tanh_lanes(Reg<V> x) {
    const auto [n, r] = exp_parts<V>(exp_range<V>(V::add(x, x)));
    Reg<V> q = V::set1(kTanh.c7);
    q = horner<V>(q, r, kTanh.c6);
    q = horner<V>(q, r, kTanh.c5);
    q = horner<V>(q, r, kTanh.c4);
    q = horner<V>(q, r, kTanh.c3);
    q = horner<V>(q, r, kTanh.c2);
    q = horner<V>(q, r, kTanh.c1);
    const Reg<V> power = V::pow2(n);
    const Reg<V> less_one = V::add(V::mul(power, V::mul(r, q)), V::sub(power, V::set1(1.0f)));
    return V::div(less_one, V::add(less_one, V::set1(2.0f)));
}

// --- norms and activations

template <FloatLanes V>
void rms_norm(const float* x, const float* weight, size_t n, float eps, float* out) {
    float sum;
    sum_lanes<V, 1>(n, &sum, [&](size_t, size_t i, auto part) {
        const Reg<V> v = part.load(x + i);
        return V::mul(v, v);
    });
    const float mean = sum / float(n) + eps;
    const float root = _mm_cvtss_f32(_mm_sqrt_ss(_mm_set_ss(mean)));
    const Reg<V> s = V::set1(1.0f / root);
    for_registers<V>(n, [&](size_t i, auto part) {
        part.store(out + i, V::mul(V::mul(part.load(x + i), s), part.load(weight + i)));
    });
}

// x / (1 + exp(v))
template <FloatLanes V>
[[gnu::always_inline]] inline Reg<V> gated(Reg<V> x, Reg<V> v) {
    return V::div(x, V::add(V::set1(1.0f), exp_lanes<V>(v)));
}

template <FloatLanes V>
void silu_mul(float* gate, const float* up, size_t n) {
    for_registers<V>(n, [&](size_t i, auto part) {
        const Reg<V> g = part.load(gate + i);
        part.store(gate + i, V::mul(gated<V>(g, V::negate(g)), part.load(up + i)));
    });
}

template <FloatLanes V>
void gelu_mul(float* gate, const float* up, size_t n) {
    for_registers<V>(n, [&](size_t i, auto part) {
        const Reg<V> g = part.load(gate + i);
        const Reg<V> cubic = V::mul(V::mul(g, g), V::set1(kGelu.cubic));
        const Reg<V> v = V::mul(g, V::add(cubic, V::set1(kGelu.linear)));
        part.store(gate + i, V::mul(gated<V>(g, v), part.load(up + i)));
    });
}

template <FloatLanes V>
void softcap(float* x, size_t n, float cap) {
    const Reg<V> top = V::set1(cap), inverse = V::set1(1.0f / cap);
    for_registers<V>(n, [&](size_t i, auto part) {
        part.store(x + i, V::mul(tanh_lanes<V>(V::mul(part.load(x + i), inverse)), top));
    });
}

template <FloatLanes V>
void add_to(float* x, const float* y, size_t n) {
    for_registers<V>(n, [&](size_t i, auto part) {
        part.store(x + i, V::add(part.load(x + i), part.load(y + i)));
    });
}

template <FloatLanes V>
void add_scaled(float* x, const float* y, float s, size_t n) {
    const Reg<V> factor = V::set1(s);
    for_registers<V>(n, [&](size_t i, auto part) {
        part.store(x + i, V::add(part.load(x + i), V::mul(part.load(y + i), factor)));
    });
}

template <FloatLanes V>
void scale_by(float* x, float s, size_t n) {
    const Reg<V> factor = V::set1(s);
    for_registers<V>(
        n, [&](size_t i, auto part) { part.store(x + i, V::mul(part.load(x + i), factor)); });
}

template <FloatLanes V>
void rope(float* x, const float* cosine, const float* sine, size_t n) {
    for_registers<V>(n, [&](size_t i, auto part) {
        const Reg<V> v = part.load(x + i);
        const Reg<V> turned = V::mul(V::swap_pairs(v), part.load(sine + i));
        part.store(x + i, V::add(V::mul(v, part.load(cosine + i)), turned));
    });
}

template <FloatLanes V>
void to_f16(const float* x, uint16_t* out, size_t n) {
    for_registers<V>(n, [&](size_t i, auto part) { part.store_half(out + i, part.load(x + i)); });
}

// As many rows at a time as it takes for the additions of one not to wait for each other.
template <FloatLanes V>
void matvec_f32(const float* w, size_t n_rows, size_t n_cols, const float* x, float* out) {
    constexpr size_t kRows = kRegs<V> == 4 ? 2 : 4;
    size_t row = 0;
    const auto multiply = [&]<size_t R>() {
        for (; row + R <= n_rows; row += R) {
            sum_lanes<V, R>(n_cols, out + row, [&](size_t r, size_t i, auto part) {
                return V::mul(part.load(w + (row + r) * n_cols + i), part.load(x + i));
            });
        }
    };
    multiply.template operator()<kRows>();
    multiply.template operator()<1>();
}

// --- attention

// Queries that share a conversion of keys or values, two registers of sums each: what the 32 registers
// of AVX-512 hold, or the 16 of the other sets.
template <FloatLanes V>
inline constexpr size_t kSharingQueries = V::kWidth == 16 ? 12 : 6;

// f<n>(j) for queries [j, j + n), until all n_queries have had their turn: as many as possible at a time.
// What f calls is not inlined: together the loops would not have enough general registers.
template <FloatLanes V, class F>
[[gnu::always_inline]] inline void for_queries(size_t n_queries, F f) {
    size_t j = 0;
    const auto take = [&]<size_t n>() {
        for (; j + n <= n_queries; j += n) f.template operator()<n>(j);
    };
    take.template operator()<kSharingQueries<V>>();
    if constexpr (kSharingQueries < V >> 8) take.template operator()<8>();
    take.template operator()<4>();
    take.template operator()<3>();
    take.template operator()<2>();
    take.template operator()<1>();
}

// Two registers of positions at a time: each key is converted once for all queries.
template <FloatLanes V, size_t n_queries>
[[gnu::noinline]] void scores_of(const float* const* q, const uint16_t* k, size_t head_dim,
                                 float scale, float* const* scores) {
    for (size_t p = 0; p < kKvPositions; p += 2 * V::kWidth) {
        Reg<V> acc[n_queries][2];
        for (auto& a : acc) a[0] = a[1] = V::set1(0);
        for (size_t i = 0; i < head_dim; i++) {
            const Reg<V> k0 = V::load_half(k + i * kKvPositions + p);
            const Reg<V> k1 = V::load_half(k + i * kKvPositions + p + V::kWidth);
#pragma GCC unroll 12
            for (size_t j = 0; j < n_queries; j++) {
                const Reg<V> x = V::set1(q[j][i]);
                acc[j][0] = V::add(acc[j][0], V::mul(x, k0));
                acc[j][1] = V::add(acc[j][1], V::mul(x, k1));
            }
        }
#pragma GCC unroll 12
        for (size_t j = 0; j < n_queries; j++) {
            V::store(scores[j] + p, V::mul(acc[j][0], V::set1(scale)));
            V::store(scores[j] + p + V::kWidth, V::mul(acc[j][1], V::set1(scale)));
        }
    }
}

template <FloatLanes V>
void attention_scores(const float* const* q, size_t n_queries, const uint16_t* k, size_t head_dim,
                      float scale, float* const* scores) {
    for_queries<V>(n_queries, [&]<size_t n>(size_t j) {
        scores_of<V, n>(q + j, k, head_dim, scale, scores + j);
    });
}

template <FloatLanes V>
void softmax(float* x, size_t n) {
    // The order of a maximum does not matter: four are under way together.
    Reg<V> most[4];
    for (Reg<V>& m : most) m = V::set1(x[0]);
    size_t i = 0;
    for (; i + 4 * V::kWidth <= n; i += 4 * V::kWidth) {
#pragma GCC unroll 4
        for (size_t r = 0; r < 4; r++)
            most[r] = V::greater(V::load(x + i + r * V::kWidth), most[r]);
    }
    float lane[V::kWidth];
    V::store(lane, V::greater(V::greater(most[0], most[1]), V::greater(most[2], most[3])));
    float max = lane[0];
    for (size_t j = 1; j < V::kWidth; j++) max = lane[j] > max ? lane[j] : max;
    for (; i < n; i++) max = x[i] > max ? x[i] : max;

    const Reg<V> top = V::set1(max), lowest = V::set1(kLowestFinite);
    float sum;
    sum_lanes<V, 1>(n, &sum, [&](size_t, size_t at, auto part) {
        const Reg<V> below = V::sub(part.load(x + at), top);
        // exp_range of what is at most 0. Of -inf exactly 0, where exp_f32 stops at exp(-87).
        const Reg<V> within = V::greater(V::set1(kExp.min_x), below);
        const Reg<V> e = part.keep(V::zero_below(exp_within<V>(within), below, lowest));
        part.store(x + at, e);
        return e;
    });
    scale_by<V>(x, 1.0f / sum, n);
}

// n_regs registers of every query's output, from element `first` on: each value is converted once for
// all queries.
template <FloatLanes V, size_t n_queries, size_t n_regs, class Part>
void values_from(const float* const* p, const uint16_t* v, size_t head_dim, size_t n_positions,
                 float* const* out, size_t first, Part part) {
    Reg<V> acc[n_queries][n_regs];
#pragma GCC unroll 12
    for (size_t j = 0; j < n_queries; j++) {
#pragma GCC unroll 4
        for (size_t r = 0; r < n_regs; r++) acc[j][r] = part.load(out[j] + first + r * V::kWidth);
    }
    for (size_t pos = 0; pos < n_positions; pos++) {
        const uint16_t* const row = v + pos * head_dim + first;
        Reg<V> value[n_regs];
#pragma GCC unroll 4
        for (size_t r = 0; r < n_regs; r++) value[r] = part.load_half(row + r * V::kWidth);
#pragma GCC unroll 12
        for (size_t j = 0; j < n_queries; j++) {
            const Reg<V> weight = V::set1(p[j][pos]);
#pragma GCC unroll 4
            for (size_t r = 0; r < n_regs; r++)
                acc[j][r] = V::add(acc[j][r], V::mul(weight, value[r]));
        }
    }
#pragma GCC unroll 12
    for (size_t j = 0; j < n_queries; j++) {
#pragma GCC unroll 4
        for (size_t r = 0; r < n_regs; r++) part.store(out[j] + first + r * V::kWidth, acc[j][r]);
    }
}

template <FloatLanes V, size_t n_queries>
[[gnu::noinline]] void values_of(const float* const* p, const uint16_t* v, size_t head_dim,
                                 size_t n_positions, float* const* out) {
    constexpr size_t n_regs = n_queries <= 4 ? V::kValueRegs : 2;
    constexpr size_t kSpan = n_regs * V::kWidth;
    size_t i = 0;
    for (; i + kSpan <= head_dim; i += kSpan)
        values_from<V, n_queries, n_regs>(p, v, head_dim, n_positions, out, i, Whole<V>{});
    for (; i + V::kWidth <= head_dim; i += V::kWidth)
        values_from<V, n_queries, 1>(p, v, head_dim, n_positions, out, i, Whole<V>{});
    if (i < head_dim) {
        values_from<V, n_queries, 1>(p, v, head_dim, n_positions, out, i, First<V>{head_dim - i});
    }
}

template <FloatLanes V>
void attention_values(const float* const* p, size_t n_queries, const uint16_t* v, size_t head_dim,
                      size_t n_positions, float* const* out) {
    for_queries<V>(n_queries, [&]<size_t n>(size_t j) {
        values_of<V, n>(p + j, v, head_dim, n_positions, out + j);
    });
}

}  // namespace axiom::kernels
