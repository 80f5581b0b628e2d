// SPDX-License-Identifier: MIT
// Products with quantized weights, the same text for every vector width. Lane i of an accumulator is a
// row, and adds its blocks in order (law 2). Here: blocks of weights times a few tokens, and the
// product of one token; those of more are in tiles.h and panels.h.
#pragma once

#include <utility>

#include "core/kernels/lanes.h"

namespace axiom::kernels {

template <WeightLanes V>
constexpr int max_weight(StoredType t) {
    return t == StoredType::q8                           ? 128 + V::kQ8Bias
           : t == StoredType::q6k                        ? 63
           : t == StoredType::q5 || t == StoredType::q5k ? 31
                                                         : 15;
}
// What every weight, as dot() sees it, is too large by.
template <WeightLanes V>
constexpr int32_t bias(StoredType t) {
    return t == StoredType::q8    ? V::kQ8Bias
           : t == StoredType::q6k ? 32
           : t == StoredType::q5  ? 16
           : t == StoredType::q4  ? 8
                                  : 0;
}
[[gnu::always_inline]] constexpr bool has_minimum(StoredType t) {
    return t == StoredType::q4m || t == StoredType::q4k || t == StoredType::q5k;
}

// Bit 4 (and 5) of register k out of a byte that holds `width` bits for each register.
template <WeightLanes V, size_t k, size_t width>
Ints<V> high_bits(Ints<V> high) {
    const Ints<V> mask = V::set1_ints(width == 1 ? 0x10101010 : 0x30303030);
    if constexpr (width * k <= 4)
        return V::and_ints(V::template shift_left<4 - width * k>(high), mask);
    else
        return V::and_ints(V::template shift_right<width * k - 4>(high), mask);
}

// Register k of 8: 4 columns of the weights of the V::kWidth rows whose part of a block begins at p.
template <WeightLanes V, StoredType type, size_t k>
[[gnu::always_inline]] inline Ints<V> columns_of(const uint8_t* p) {
    if constexpr (type == StoredType::q8) {
        const Ints<V> w = V::load_ints(p + 64 * k);
        if constexpr (V::kQ8Bias != 0) return V::flip_signs(w);
        return w;
    } else {
        const Ints<V> both = V::load_ints(p + 64 * (k % 4));
        const Ints<V> w =
            V::and_ints(k < 4 ? both : V::template shift_right<4>(both), V::set1_ints(0x0f0f0f0f));
        if constexpr (max_weight<V>(type) == 31)
            return V::or_ints(w, high_bits<V, k, 1>(V::load_ints(p + 256)));
        else if constexpr (max_weight<V>(type) == 63)
            return V::or_ints(w, high_bits<V, k % 4, 2>(V::load_ints(p + 256 + 64 * (k / 4))));
        else
            return w;
    }
}
// f.operator()<k>() for the registers k of a block from `first` on.
template <size_t first, size_t n, class F>
[[gnu::always_inline]] inline void for_columns(F f) {
    [&]<size_t... i>(std::index_sequence<i...>) __attribute__((always_inline)) {
        (f.template operator()<first + i>(), ...);
    }
    (std::make_index_sequence<n>());
}

// V::dot4 with 4 columns that are in memory.
template <DotLanes V>
[[gnu::always_inline]] inline Ints<V> dot4_at(Ints<V> sum, Ints<V> w, const void* x) {
    if constexpr (requires { V::dot4_at(sum, w, x); })
        return V::dot4_at(sum, w, x);
    else
        return V::dot4(sum, w, V::broadcast4(x));
}

// start + exact sums over n registers of weights of 0 to kMax (of q8 without a bias: -kMax to kMax), and
// 4 n columns of one token.
template <WeightLanes V, int kMax, size_t n>
[[gnu::always_inline]] inline Ints<V> dot(Ints<V> start, const Ints<V>* w, const int8_t* x) {
    if constexpr (DotLanes<V>) {
#pragma GCC unroll 8
        for (size_t k = 0; k < n; k++) start = dot4_at<V>(start, w[k], x + 4 * k);
    } else {
        constexpr size_t kFit = fitting_pairs(kMax);
        Ints<V> pairs = V::set1_ints(0);
#pragma GCC unroll 8
        for (size_t k = 0; k < n; k++) {
            const Ints<V> p = V::template multiply<kMax>(w[k], V::broadcast4(x + 4 * k));
            pairs = k % kFit == 0 ? p : V::add_pairs(pairs, p);
            if (k % kFit == kFit - 1 || k == n - 1) start = V::add_up(start, pairs);
        }
    }
    return start;
}

// Tokens out of W interleaved ones, from one of them on, in one block: two pointers, from which all
// else is at constant distances.
template <size_t W>
struct Acts {
    const uint8_t* q;
    const uint8_t* fields;

    [[gnu::always_inline]] static Acts of(const QuantizedActs& x, size_t token, size_t b = 0) {
        const uint8_t* const block = x.block(token, b);
        const size_t lane = W == 1 ? 0 : token % W;
        return {block + QuantizedActs::q_at(lane),
                block + QuantizedActs::field_at(QuantizedActs::scale, lane, W)};
    }
    [[gnu::always_inline]] void to_next_block() {
        q += QuantizedActs::block_stride(W);
        fields += QuantizedActs::block_stride(W);
    }
    // Of token t from the first on.
    [[gnu::always_inline]] const int8_t* columns(size_t t) const {
        return reinterpret_cast<const int8_t*>(q) + QuantizedActs::q_at(t);
    }
    [[gnu::always_inline]] const uint8_t* field_of(QuantizedActs::Field field, size_t t) const {
        return fields + (field * W + t) * 4;
    }
    [[gnu::always_inline]] float float_field(QuantizedActs::Field field, size_t t) const {
        float v;
        __builtin_memcpy(&v, field_of(field, t), sizeof v);
        return v;
    }
    [[gnu::always_inline]] int32_t int_field(QuantizedActs::Field field, size_t t) const {
        int32_t v;
        __builtin_memcpy(&v, field_of(field, t), sizeof v);
        return v;
    }
};
// What dot() starts from, so that it ends with the offset taken off.
template <WeightLanes V, StoredType type, size_t W>
[[gnu::always_inline]] inline Ints<V> start(const Acts<W>& x, size_t t) {
    if constexpr (bias<V>(type) == 8)
        return V::set1_ints(x.int_field(QuantizedActs::minus_8_sum, t));
    else if constexpr (bias<V>(type) == 16)
        return V::set1_ints(x.int_field(QuantizedActs::minus_16_sum, t));
    else if constexpr (bias<V>(type) == 128)
        return V::set1_ints(x.int_field(QuantizedActs::minus_128_sum, t));
    else
        return V::set1_ints(0);
}

// How far ahead of the weights that a tile of several tokens reads.
inline constexpr size_t kPrefetchBytes = 2048;

// The scales of the super-block (K formats) that is being read.
template <WeightLanes V>
struct SuperScale {
    Reg<V> d, dmin;
};
template <WeightLanes V, StoredType type>
SuperScale<V> read_super_scale(const uint8_t* p, size_t part) {
    const uint16_t* const d = reinterpret_cast<const uint16_t*>(p) + part * V::kWidth;
    return {V::load_half(d), type == StoredType::q6k ? V::set1(0) : V::load_half(d + kGroupRows)};
}

// What sums over a block of V::kWidth rows are scaled by.
template <WeightLanes V, StoredType type>
struct Scales {
    Reg<V> scale, minimum;
    Reg<V> scale_low, scale_high;  // q6k: whole numbers, whose products with whole sums are exact

    [[gnu::always_inline]] void read(const uint8_t* block, size_t part,
                                     const SuperScale<V>& super) {
        const uint8_t* const scales = block + quant_bytes(type);
        if constexpr (type == StoredType::q6k) {
            scale = super.d;
            scale_low = V::to_floats(V::signed_bytes_to_ints(scales + part * V::kWidth));
            scale_high =
                V::to_floats(V::signed_bytes_to_ints(scales + kGroupRows + part * V::kWidth));
        } else if constexpr (is_k_quant(type)) {
            scale = V::mul(super.d, V::to_floats(V::bytes_to_ints(scales + part * V::kWidth)));
            minimum = V::mul(
                super.dmin, V::to_floats(V::bytes_to_ints(scales + kGroupRows + part * V::kWidth)));
        } else {
            const uint16_t* const halves =
                reinterpret_cast<const uint16_t*>(scales) + part * V::kWidth;
            scale = V::load_half(halves);
            if constexpr (has_minimum(type)) minimum = V::load_half(halves + kGroupRows);
        }
    }
};

// What a block of V::kWidth rows, part `part` of a group, is multiplied by, unpacked.
template <WeightLanes V, StoredType type>
struct Rows : Scales<V, type> {
    Ints<V> w[8];  // 4 columns each, in order

    [[gnu::always_inline]] void read(const uint8_t* block, size_t part,
                                     const SuperScale<V>& super) {
        const uint8_t* const p = block + part * 4 * V::kWidth;
        for_columns<0, 8>([&]<size_t k>() { w[k] = columns_of<V, type, k>(p); });
        Scales<V, type>::read(block, part, super);
    }
};

// sum + what a block adds to a register of rows of token t, whose whole products are given.
template <WeightLanes V, StoredType type, size_t W>
[[gnu::always_inline]] inline Reg<V> add_scaled_products(Reg<V> sum, Reg<V> products,
                                                         const Scales<V, type>& rows,
                                                         const Acts<W>& x, size_t t) {
    using A = QuantizedActs;
    const Reg<V> scale = V::mul(rows.scale, V::set1(x.float_field(A::scale, t)));
    sum = V::add(sum, V::mul(products, scale));
    if constexpr (has_minimum(type)) {
        const Reg<V> m = V::mul(rows.minimum, V::set1(x.float_field(A::scaled_sum, t)));
        sum = is_k_quant(type) ? V::sub(sum, m) : V::add(sum, m);
    }
    return sum;
}

// f(i, t) for every register of a tile.
template <size_t R, size_t T, class F>
[[gnu::always_inline]] inline void for_tile(F f) {
#pragma GCC unroll 16
    for (size_t t = 0; t < T; t++) {
#pragma GCC unroll 4
        for (size_t i = 0; i < R; i++) f(i, t);
    }
}

// Adds one block of a register of rows times T tokens to acc.
template <WeightLanes V, StoredType type, size_t T, size_t W>
[[gnu::always_inline]] inline void add_block(const Rows<V, type>& rows, const Acts<W>& x,
                                             Reg<V> (&acc)[T]) {
    using A = QuantizedActs;
#pragma GCC unroll 16
    for (size_t t = 0; t < T; t++) {
        const int8_t* const q = x.columns(t);
        Reg<V> product;  // whole numbers
        if constexpr (type == StoredType::q6k) {
            const Ints<V> low = dot<V, max_weight<V>(type), 4>(
                V::set1_ints(x.int_field(A::minus_32_low_sum, t)), rows.w, q);
            const Ints<V> high = dot<V, max_weight<V>(type), 4>(
                V::set1_ints(x.int_field(A::minus_32_high_sum, t)), rows.w + 4, q + 16);
            product = V::add(V::mul(V::to_floats(low), rows.scale_low),
                             V::mul(V::to_floats(high), rows.scale_high));
        } else {
            product = V::to_floats(dot<V, max_weight<V>(type), 8>(start<V, type>(x, t), rows.w, q));
        }
        acc[t] = add_scaled_products<V, type>(acc[t], product, rows, x, t);
    }
}

// y[t, rows] = n_groups groups, of each the parts [part, part + n_parts), times T tokens.
template <WeightLanes V, StoredType type, size_t T, size_t W, size_t n_groups, size_t n_parts>
[[gnu::always_inline]] inline void multiply_rows(const uint8_t* p, Acts<W> x, size_t n_blocks,
                                                 size_t part, float* y, size_t y_stride,
                                                 size_t ahead = kPrefetchBytes) {
    constexpr size_t R = n_groups * n_parts;
    const size_t group_stride = group_bytes(type, n_blocks);
    Reg<V> acc[R][T];
#pragma GCC unroll 8
    for (size_t i = 0; i < R; i++) {
#pragma GCC unroll 16
        for (size_t t = 0; t < T; t++) acc[i][t] = V::set1(0);
    }
    SuperScale<V> super[R] = {};
    const size_t n_ahead = least(ahead / block_bytes(type), n_blocks);
    const bool fetches = ahead != 0;
    for (size_t b = 0; b < n_blocks; b++) {
        if constexpr (is_k_quant(type)) {
            if (b % kSuperBlocks == 0) {
                for (size_t i = 0; i < R; i++)
                    super[i] = read_super_scale<V, type>(p + i / n_parts * group_stride,
                                                         part + i % n_parts);
                p += super_scale_bytes(type);
            }
        }
        // A group's end is followed by the group that takes its place, not by its neighbour's start.
        if (b == n_blocks - n_ahead) ahead += (n_groups - 1) * group_stride;
        for (size_t g = 0; fetches && g < n_groups; g++) {
            const uint8_t* const next = p + g * group_stride + ahead;
            for (size_t line = 0; line < block_bytes(type); line += 64)
                __builtin_prefetch(next + line);
        }
#pragma GCC unroll 8
        for (size_t i = 0; i < R; i++) {
            Rows<V, type> rows;
            rows.read(p + i / n_parts * group_stride, part + i % n_parts, super[i]);
            add_block<V, type>(rows, x, acc[i]);
        }
        p += block_bytes(type);
        x.to_next_block();
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < R; i++) {
#pragma GCC unroll 16
        for (size_t t = 0; t < T; t++) {
            V::store(y + t * y_stride + i / n_parts * kGroupRows + (part + i % n_parts) * V::kWidth,
                     acc[i][t]);
        }
    }
}

// y[t, rows] = w x[t] for the first T tokens, W of which are interleaved. Weights come from memory, up to
// V::kStreams row groups side by side.
template <WeightLanes V, StoredType type, size_t T, size_t W>
void multiply_streams(const uint8_t* weights, const QuantizedActs& x, float* y, size_t y_stride,
                      size_t row_begin, size_t row_end, const Reading& reading) {
    const size_t n_blocks = x.n_cols / kBlockCols;
    size_t row = row_begin;
    const auto multiply = [&]<size_t n_groups>() {
        for (; row + n_groups * kGroupRows <= row_end; row += n_groups * kGroupRows) {
            multiply_rows<V, type, T, W, n_groups, kRegs<V>>(
                weights + row / kGroupRows * group_bytes(type, n_blocks), Acts<W>::of(x, 0),
                n_blocks, 0, y + row, y_stride, reading.ahead_bytes);
        }
    };
    if constexpr (V::kStreams >= 4)
        if (reading.n_streams >= 4) multiply.template operator()<4>();
    if constexpr (V::kStreams >= 2)
        if (reading.n_streams >= 2) multiply.template operator()<2>();
    multiply.template operator()<1>();
}

// y = w x, one token.
template <WeightLanes V, StoredType type>
void multiply_one(const uint8_t* weights, const QuantizedActs& x, float* y, size_t row_begin,
                  size_t row_end, const Reading& reading) {
    multiply_streams<V, type, 1, 1>(weights, x, y, 0, row_begin, row_end, reading);
}

}  // namespace axiom::kernels
