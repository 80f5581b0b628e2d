// SPDX-License-Identifier: MIT
// SSSE3 and SSE4.1. An xmm holds 4 rows x 4 columns; a block is four quarters of 4 rows. Lane i of
// the accumulators is a row. f16 conversion is by integer shifts and one exact multiplication.
// Exports one table; everything else is local (law 6).
#include <smmintrin.h>

#include "core/kernels/table.h"
#include "core/kernels/tiles.h"

namespace axiom {
namespace {

// Four halves as floats: f16_to_f32 of core/quant.cpp, lane by lane.
__m128 widen_half(__m128i half16) {
    const __m128i h = _mm_cvtepu16_epi32(half16);
    const __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
    const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x7fff)), 13);
    const __m128 scaled = _mm_mul_ps(_mm_castsi128_ps(magnitude), _mm_set1_ps(0x1p112f));
    const __m128i special = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f7fffff));
    const __m128i nan = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x0f800000));
    const __m128i wide = _mm_or_si128(_mm_or_si128(magnitude, _mm_set1_epi32(0x70000000)),
                                      _mm_and_si128(nan, _mm_set1_epi32(0x00400000)));
    const __m128i bits = _mm_blendv_epi8(_mm_castps_si128(scaled), wide, special);
    return _mm_castsi128_ps(_mm_or_si128(sign, bits));
}
__m128 halves(const uint8_t* p) {
    return widen_half(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
}

int32_t fold_ints(__m128i x) {
    const __m128i two = _mm_add_epi32(x, _mm_shuffle_epi32(x, _MM_SHUFFLE(1, 0, 3, 2)));
    return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, _MM_SHUFFLE(2, 3, 0, 1))));
}

struct Sse {
    using Reg = __m128;
    static constexpr size_t kWidth = 4;

    static Reg set1(float x) { return _mm_set1_ps(x); }
    static Reg load(const float* p) { return _mm_loadu_ps(p); }
    static Reg load_first(const float* p, size_t n) {
        if (n == kWidth) return load(p);
        float lanes[kWidth] = {};
        __builtin_memcpy(lanes, p, n * sizeof(float));
        return load(lanes);
    }
    static void store(float* p, Reg x) { _mm_storeu_ps(p, x); }
    static void store_first(float* p, Reg x, size_t n) {
        if (n == kWidth) return store(p, x);
        float lanes[kWidth];
        store(lanes, x);
        __builtin_memcpy(p, lanes, n * sizeof(float));
    }
    static Reg add(Reg a, Reg b) { return _mm_add_ps(a, b); }
    static Reg sub(Reg a, Reg b) { return _mm_sub_ps(a, b); }
    static Reg mul(Reg a, Reg b) { return _mm_mul_ps(a, b); }
    static Reg div(Reg a, Reg b) { return _mm_div_ps(a, b); }
    static Reg negate(Reg x) { return _mm_xor_ps(x, _mm_set1_ps(-0.0f)); }
    static Reg at_least(Reg x, Reg c) { return _mm_blendv_ps(x, c, _mm_cmplt_ps(x, c)); }
    static Reg at_most(Reg x, Reg c) { return _mm_blendv_ps(x, c, _mm_cmplt_ps(c, x)); }
    static Reg zero_below(Reg x, Reg y, Reg c) { return _mm_andnot_ps(_mm_cmplt_ps(y, c), x); }
    static Reg greater(Reg a, Reg b) { return _mm_max_ps(a, b); }
    static Reg swap_pairs(Reg x) { return _mm_shuffle_ps(x, x, _MM_SHUFFLE(2, 3, 0, 1)); }
    static Reg keep_first(Reg x, size_t n) {
        const __m128i index = _mm_setr_epi32(0, 1, 2, 3);
        return _mm_and_ps(x, _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(int32_t(n)), index)));
    }
    static Reg pow2(Reg n) {
        const __m128i exponent = _mm_add_epi32(_mm_cvttps_epi32(n), _mm_set1_epi32(127));
        return _mm_castsi128_ps(_mm_slli_epi32(exponent, 23));
    }
    static Reg load_half(const uint16_t* p) { return halves(reinterpret_cast<const uint8_t*>(p)); }
    static Reg load_half_first(const uint16_t* p, size_t n) {
        uint16_t half[kWidth] = {};
        __builtin_memcpy(half, p, n * sizeof(uint16_t));
        return load_half(half);
    }
    static void store_half(uint16_t* p, Reg x) {
        float lanes[kWidth];
        store(lanes, x);
        for (size_t i = 0; i < kWidth; i++) p[i] = f32_to_f16(lanes[i]);
    }
    static float fold(const Reg (&lanes)[4]) {
        const __m128 low = _mm_add_ps(lanes[0], lanes[2]), high = _mm_add_ps(lanes[1], lanes[3]);
        const __m128 four = _mm_add_ps(low, high);
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }

    static constexpr size_t kValueRegs = 2;

    // --- weights

    using Ints = __m128i;
    static constexpr size_t kStreams = 1;
    static constexpr int kQ8Bias = 0;

    static Ints load_ints(const uint8_t* p) {
        return _mm_load_si128(reinterpret_cast<const __m128i*>(p));
    }
    static Ints set1_ints(int32_t x) { return _mm_set1_epi32(x); }
    static Ints and_ints(Ints a, Ints b) { return _mm_and_si128(a, b); }
    static Ints or_ints(Ints a, Ints b) { return _mm_or_si128(a, b); }
    static Ints flip_signs(Ints x) { return _mm_xor_si128(x, _mm_set1_epi8(-128)); }
    template <unsigned n>
    static Ints shift_left(Ints x) {
        return _mm_slli_epi16(x, n);
    }
    template <unsigned n>
    static Ints shift_right(Ints x) {
        return _mm_srli_epi16(x, n);
    }
    static Reg to_floats(Ints x) { return _mm_cvtepi32_ps(x); }
    static Ints four_bytes(const uint8_t* p) {
        int32_t v;
        __builtin_memcpy(&v, p, sizeof v);
        return _mm_cvtsi32_si128(v);
    }
    static Ints bytes_to_ints(const uint8_t* p) { return _mm_cvtepu8_epi32(four_bytes(p)); }
    static Ints signed_bytes_to_ints(const uint8_t* p) { return _mm_cvtepi8_epi32(four_bytes(p)); }

    static Ints broadcast4(const void* x) {
        int32_t four;
        __builtin_memcpy(&four, x, sizeof four);
        return _mm_set1_epi32(four);
    }
    // Unsigned by signed is what there is: signed weights give their sign to the activation.
    template <int kMax>
    static Ints multiply(Ints w, Ints x) {
        return kMax == 128 ? _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(x, w))
                           : _mm_maddubs_epi16(w, x);
    }
    static Ints add_pairs(Ints a, Ints b) { return _mm_add_epi16(a, b); }
    static Ints add_up(Ints sum, Ints pairs) {
        return _mm_add_epi32(sum, _mm_madd_epi16(pairs, _mm_set1_epi16(1)));
    }

    // --- values of 8 bits

    static float most(Reg x) {
        const __m128 two = _mm_max_ps(x, _mm_movehl_ps(x, x));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    }
    static void store_int16(int16_t* p, Reg x) {
        const __m128i r = _mm_cvtps_epi32(x);
        _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi32(r, r));
    }
    static Ints widen_bytes(const uint8_t* p) {
        return _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    }
    static Ints dot_pairs(Ints sum, Ints v, Ints w) {
        return _mm_add_epi32(sum, _mm_madd_epi16(v, w));
    }

    // --- activations

    static void quantize(const float* x, size_t n, const QuantizedActs& out, size_t token,
                         size_t block_begin, size_t block_end) {
        const __m128i magnitude = _mm_set1_epi32(0x7fffffff);
        for (size_t b = block_begin; b < block_end; b++) {
            int8_t* const q = out.q(token, b);
            __m128 v[8];
            __m128i max4 = _mm_setzero_si128();
            for (size_t i = 0; i < 8; i++) {
                const size_t first = b * kBlockCols + 4 * i;
                v[i] = load_first(x + first, kernels::lanes_left<Sse>(n, first));
                max4 = _mm_max_epi32(max4, _mm_and_si128(_mm_castps_si128(v[i]), magnitude));
            }
            max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(1, 0, 3, 2)));
            max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(2, 3, 0, 1)));
            const uint32_t max_bits = uint32_t(_mm_cvtsi128_si32(max4));
            const bool usable = max_bits >= 0x0d800000 && max_bits < 0x7f800000;  // [2^-100, inf)
            const float max = _mm_cvtss_f32(_mm_castsi128_ps(max4));
            const __m128 inverse = _mm_set1_ps(usable ? 127.0f / max : 0);
            __m128i r[8];
            for (size_t i = 0; i < 8; i++) {
                r[i] = usable ? _mm_cvtps_epi32(_mm_mul_ps(v[i], inverse)) : _mm_setzero_si128();
            }
            const int32_t low_sum =
                fold_ints(_mm_add_epi32(_mm_add_epi32(r[0], r[1]), _mm_add_epi32(r[2], r[3])));
            const int32_t high_sum =
                fold_ints(_mm_add_epi32(_mm_add_epi32(r[4], r[5]), _mm_add_epi32(r[6], r[7])));
            for (size_t i = 0; i < 8; i += 4) {
                const __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(r[i], r[i + 1]),
                                                      _mm_packs_epi32(r[i + 2], r[i + 3]));
                _mm_store_si128(reinterpret_cast<__m128i*>(q + 4 * i), bytes);
            }
            out.set(token, b, usable ? max / 127.0f : 0, low_sum, high_sum);
        }
    }
};

}  // namespace

constinit const Kernels kSseKernels = kernels::table_of<Sse, kernels::Tiles>("sse");

}  // namespace axiom
