// SPDX-License-Identifier: MIT
// What a vector instruction set supplies: a type V whose static functions work on registers. The
// operations are written once, as templates over V, in elementwise.h, matmul.h, tiles.h and panels.h.
//
// Law 6: each kernel file defines its V in its anonymous namespace, so every template made with it is
// local to that object; what these headers have beside such templates is always inlined. check-isa
// proves both on objects that were compiled without optimization.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/kernels.h"

namespace axiom::kernels {

template <class V>
using Reg = typename V::Reg;  // V::kWidth floats
template <class V>
using Ints = typename V::Ints;  // V::kWidth rows x 4 columns of bytes, or V::kWidth int32

// Registers that hold the 16 lanes of a reduction, or the 16 rows of a group.
template <class V>
inline constexpr size_t kRegs = 16 / V::kWidth;

// Function R(A...), to check a signature by: Fn<R, A...>{&V::f}.
template <class R, class... A>
using Fn = R (*)(A...);

// Floats. What computes is one IEEE operation a lane, rounded once.
template <class V>
concept FloatLanes = 16 % V::kWidth == 0 && requires {
    Fn<Reg<V>, float>{&V::set1};
    // Memory has any alignment. _first: n <= kWidth lanes; the others are read as zeros, not written.
    Fn<Reg<V>, const float*>{&V::load};
    Fn<Reg<V>, const float*, size_t>{&V::load_first};
    Fn<void, float*, Reg<V>>{&V::store};
    Fn<void, float*, Reg<V>, size_t>{&V::store_first};
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::add};
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::sub};
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::mul};
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::div};
    Fn<Reg<V>, Reg<V>>{&V::negate};
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::at_least};    // (x, c): x < c ? c : x, so that a NaN stays
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::at_most};     // (x, c): x > c ? c : x, the same
    Fn<Reg<V>, Reg<V>, Reg<V>>{&V::greater};     // (a, b): a > b ? a : b, b if either is NaN
    Fn<Reg<V>, Reg<V>, size_t>{&V::keep_first};  // zeros from lane n on
    Fn<Reg<V>, Reg<V>>{&V::swap_pairs};          // lanes 2i and 2i+1 exchanged
    Fn<Reg<V>, Reg<V>>{&V::pow2};                // 2^x of whole numbers in [-126, 127]
    Fn<Reg<V>, Reg<V>, Reg<V>, Reg<V>>{&V::zero_below};  // (x, y, c): y < c ? +0 : x
    Fn<Reg<V>, const uint16_t*>{&V::load_half};          // kWidth f16
    Fn<Reg<V>, const uint16_t*, size_t>{&V::load_half_first};
    Fn<void, uint16_t*, Reg<V>>{&V::store_half};
    Fn<float, const Reg<V>(&)[kRegs<V>]>{&V::fold};  // the 16-lane fold of core/kernels.h
    // Registers of one query's output that attention_values holds, for up to four queries.
    requires V::kValueRegs >= 1;
};

// A dot product instruction. (sum, w, x): sum + exact products of 4 columns, w of 0 to 255.
template <class V>
concept DotLanes = requires {
    Fn<Ints<V>, Ints<V>, Ints<V>, Ints<V>>{&V::dot4};
};

// Or products of columns in sums of two, which have 16 bits: those of fitting_pairs(kMax) registers may be
// added before they no longer fit.
template <class V>
concept PairProducts = requires {
    // (w, x): w of 0 to kMax; 128: signed
    Fn<Ints<V>, Ints<V>, Ints<V>>{&V::template multiply<15>};
    Fn<Ints<V>, Ints<V>, Ints<V>>{&V::add_pairs};
    Fn<Ints<V>, Ints<V>, Ints<V>>{&V::add_up};  // (sum, pairs): sum + both of each row
};
[[gnu::always_inline]] constexpr size_t fitting_pairs(int kMax) {
    return size_t(32767 / (2 * 127 * kMax));
}

// Quantized weights. Shifts are of 16-bit lanes.
template <class V>
concept WeightLanes = FloatLanes<V> && requires {
    Fn<Ints<V>, const uint8_t*>{&V::load_ints};  // aligned to the smaller of the register and 32
    Fn<Ints<V>, int32_t>{&V::set1_ints};
    Fn<Ints<V>, Ints<V>, Ints<V>>{&V::and_ints};
    Fn<Ints<V>, Ints<V>, Ints<V>>{&V::or_ints};
    Fn<Ints<V>, Ints<V>>{&V::flip_signs};  // of bytes
    Fn<Ints<V>, Ints<V>>{&V::template shift_left<4>};
    Fn<Ints<V>, Ints<V>>{&V::template shift_right<4>};
    Fn<Reg<V>, Ints<V>>{&V::to_floats};
    Fn<Ints<V>, const uint8_t*>{&V::bytes_to_ints};  // kWidth bytes
    Fn<Ints<V>, const uint8_t*>{&V::signed_bytes_to_ints};
    Fn<Ints<V>, const void*>{&V::broadcast4};  // 4 columns of one token, or an int32, for every row
    requires DotLanes<V> || PairProducts<V>;
    // What stored q8 values are raised by before dot(), so that it takes unsigned ones.
    requires V::kQ8Bias == 0 || V::kQ8Bias == 128;
    // Row groups that one token reads side by side.
    requires V::kStreams == 1 || V::kStreams == 2 || V::kStreams == 4;
};

// Values of 8 bits, in pairs of positions (CachedValues), times weights of 16.
template <class V>
concept PairLanes = WeightLanes<V> && requires {
    Fn<float, Reg<V>>{&V::most};                   // the largest lane, if none is a NaN
    Fn<void, int16_t*, Reg<V>>{&V::store_int16};   // rounded to nearest even, in the lanes' order
    Fn<Ints<V>, const uint8_t*>{&V::widen_bytes};  // 2 kWidth int8 as int16
    // (sum, v, w): sum[i] + v[2i] * w[2i] + v[2i+1] * w[2i+1], of int16, exact.
    Fn<Ints<V>, Ints<V>, Ints<V>, Ints<V>>{&V::dot_pairs};
};

// A dot product instruction, and registers that hold a whole row group and number 32: panels.h.
template <class V>
concept PanelLanes = WeightLanes<V> && requires {
    requires V::kWidth == kGroupRows&& DotLanes<V>;
    Fn<Reg<V>, Ints<V>>{&V::as_floats};  // the same bits
};

// Quantizing activations is written for each set.
template <class V>
concept Quantizer = requires(Kernels k) {
    k.quantize = &V::quantize;
};

[[gnu::always_inline]] constexpr size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}
// How many of the kWidth elements from `first` on are among the first n.
template <class V>
size_t lanes_left(size_t n, size_t first) {
    return n > first ? least(n - first, V::kWidth) : 0;
}

}  // namespace axiom::kernels
