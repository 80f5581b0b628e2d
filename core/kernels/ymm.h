// SPDX-License-Identifier: MIT
// The registers of the sets with 256-bit vectors, AVX2 and F16C: a ymm holds 8 rows x 4 columns, a
// block is two parts of 8 rows. The sets differ in their dot product only.
#pragma once

#include <immintrin.h>

#include "core/kernels/lanes.h"

namespace axiom::kernels {

// Dot: what WeightLanes asks for beyond registers: kQ8Bias, and products of weights.
template <class Dot>
struct Ymm : Dot {
    using Reg = __m256;
    static constexpr size_t kWidth = 8;

    static __m256i mask_first(size_t n) {
        const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        return _mm256_cmpgt_epi32(_mm256_set1_epi32(int32_t(n)), index);
    }
    static Reg set1(float x) { return _mm256_set1_ps(x); }
    static Reg load(const float* p) { return _mm256_loadu_ps(p); }
    static Reg load_first(const float* p, size_t n) { return _mm256_maskload_ps(p, mask_first(n)); }
    static void store(float* p, Reg x) { _mm256_storeu_ps(p, x); }
    static void store_first(float* p, Reg x, size_t n) { _mm256_maskstore_ps(p, mask_first(n), x); }
    static Reg add(Reg a, Reg b) { return _mm256_add_ps(a, b); }
    static Reg sub(Reg a, Reg b) { return _mm256_sub_ps(a, b); }
    static Reg mul(Reg a, Reg b) { return _mm256_mul_ps(a, b); }
    static Reg div(Reg a, Reg b) { return _mm256_div_ps(a, b); }
    static Reg negate(Reg x) { return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)); }
    static Reg at_least(Reg x, Reg c) {
        return _mm256_blendv_ps(x, c, _mm256_cmp_ps(x, c, _CMP_LT_OQ));
    }
    static Reg at_most(Reg x, Reg c) {
        return _mm256_blendv_ps(x, c, _mm256_cmp_ps(x, c, _CMP_GT_OQ));
    }
    static Reg zero_below(Reg x, Reg y, Reg c) {
        return _mm256_andnot_ps(_mm256_cmp_ps(y, c, _CMP_LT_OQ), x);
    }
    static Reg greater(Reg a, Reg b) { return _mm256_max_ps(a, b); }
    static Reg swap_pairs(Reg x) { return _mm256_permute_ps(x, 0xb1); }
    static Reg keep_first(Reg x, size_t n) {
        return _mm256_and_ps(x, _mm256_castsi256_ps(mask_first(n)));
    }
    static Reg pow2(Reg n) {
        const __m256i exponent = _mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127));
        return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
    }
    static Reg load_half(const uint16_t* p) {
        return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    static Reg load_half_first(const uint16_t* p, size_t n) {
        uint16_t half[kWidth] = {};
        __builtin_memcpy(half, p, n * sizeof(uint16_t));
        return load_half(half);
    }
    static void store_half(uint16_t* p, Reg x) {
        _mm_storeu_si128(reinterpret_cast<__m128i*>(p),
                         _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
    static float fold(const Reg (&lanes)[2]) {
        const __m256 eight = _mm256_add_ps(lanes[0], lanes[1]);
        const __m128 four =
            _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }

    static constexpr size_t kValueRegs = 2;

    // --- weights

    using Ints = __m256i;
    static constexpr size_t kStreams = 4;

    static Ints load_ints(const uint8_t* p) {
        return _mm256_load_si256(reinterpret_cast<const __m256i*>(p));
    }
    static Ints broadcast4(const void* x) {
        int32_t four;
        __builtin_memcpy(&four, x, sizeof four);
        return _mm256_set1_epi32(four);
    }
    static Ints set1_ints(int32_t x) { return _mm256_set1_epi32(x); }
    static Ints and_ints(Ints a, Ints b) { return _mm256_and_si256(a, b); }
    static Ints or_ints(Ints a, Ints b) { return _mm256_or_si256(a, b); }
    static Ints flip_signs(Ints x) { return _mm256_xor_si256(x, _mm256_set1_epi8(-128)); }
    template <unsigned n>
    static Ints shift_left(Ints x) {
        return _mm256_slli_epi16(x, n);
    }
    template <unsigned n>
    static Ints shift_right(Ints x) {
        return _mm256_srli_epi16(x, n);
    }
    static Reg to_floats(Ints x) { return _mm256_cvtepi32_ps(x); }
    static Ints bytes_to_ints(const uint8_t* p) {
        return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    }
    static Ints signed_bytes_to_ints(const uint8_t* p) {
        return _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
    }

    // --- values of 8 bits

    static float most(Reg x) {
        const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    }
    static void store_int16(int16_t* p, Reg x) {
        const __m256i r = _mm256_cvtps_epi32(x);
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(p),
            _mm_packs_epi32(_mm256_castsi256_si128(r), _mm256_extracti128_si256(r, 1)));
    }
    static Ints widen_bytes(const uint8_t* p) {
        return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    static Ints dot_pairs(Ints sum, Ints v, Ints w) {
        return _mm256_add_epi32(sum, _mm256_madd_epi16(v, w));
    }

    // --- activations

    static int32_t fold_ints(__m256i x) {
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
        sum = _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(1, 0, 3, 2)));
        return _mm_cvtsi128_si32(
            _mm_add_epi32(sum, _mm_shuffle_epi32(sum, _MM_SHUFFLE(2, 3, 0, 1))));
    }

    static void quantize(const float* x, size_t n, const QuantizedActs& out, size_t token,
                         size_t block_begin, size_t block_end) {
        const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
        for (size_t b = block_begin; b < block_end; b++) {
            int8_t* const q = out.q(token, b);
            __m256 v[4];
            __m256i max8 = _mm256_setzero_si256();
            for (size_t i = 0; i < 4; i++) {
                const size_t first = b * kBlockCols + 8 * i;
                v[i] = load_first(x + first, kernels::lanes_left<Ymm>(n, first));
                max8 =
                    _mm256_max_epi32(max8, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
            }
            __m128i max4 =
                _mm_max_epi32(_mm256_castsi256_si128(max8), _mm256_extracti128_si256(max8, 1));
            max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(1, 0, 3, 2)));
            max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(2, 3, 0, 1)));
            const uint32_t max_bits = uint32_t(_mm_cvtsi128_si32(max4));
            if (max_bits < 0x0d800000 || max_bits >= 0x7f800000) {  // below 2^-100, or not finite
                _mm256_store_si256(reinterpret_cast<__m256i*>(q), _mm256_setzero_si256());
                out.set(token, b, 0, 0, 0);
                continue;
            }
            const float max = _mm_cvtss_f32(_mm_castsi128_ps(max4));
            const __m256 inverse = _mm256_set1_ps(127.0f / max);
            __m256i r[4];
            for (size_t i = 0; i < 4; i++) r[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
            const int32_t low_sum = fold_ints(_mm256_add_epi32(r[0], r[1]));
            const int32_t high_sum = fold_ints(_mm256_add_epi32(r[2], r[3]));
            // The packs work within 128-bit lanes; the permutation puts the dwords back in order.
            const __m256i words =
                _mm256_packs_epi16(_mm256_packs_epi32(r[0], r[1]), _mm256_packs_epi32(r[2], r[3]));
            const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
            _mm256_store_si256(reinterpret_cast<__m256i*>(q),
                               _mm256_permutevar8x32_epi32(words, order));
            out.set(token, b, max / 127.0f, low_sum, high_sum);
        }
    }
};

}  // namespace axiom::kernels
