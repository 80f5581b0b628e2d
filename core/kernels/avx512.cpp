// SPDX-License-Identifier: MIT
// AVX-512 (F, BW, VL, DQ) with VNNI. A zmm holds all 16 rows x 4 columns, and vpdpbusd multiplies
// it by four columns of one token, broadcast from memory. Lane i of the accumulators is row i.
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels/panels.h"
#include "core/kernels/table.h"

namespace axiom {
namespace {

struct Avx512 {
    using Reg = __m512;
    static constexpr size_t kWidth = 16;

    static __mmask16 mask_first(size_t n) { return __mmask16((1u << n) - 1); }
    static Reg set1(float x) { return _mm512_set1_ps(x); }
    static Reg load(const float* p) { return _mm512_loadu_ps(p); }
    static Reg load_first(const float* p, size_t n) {
        return _mm512_maskz_loadu_ps(mask_first(n), p);
    }
    static void store(float* p, Reg x) { _mm512_storeu_ps(p, x); }
    static void store_first(float* p, Reg x, size_t n) {
        _mm512_mask_storeu_ps(p, mask_first(n), x);
    }
    static Reg add(Reg a, Reg b) { return _mm512_add_ps(a, b); }
    static Reg sub(Reg a, Reg b) { return _mm512_sub_ps(a, b); }
    static Reg mul(Reg a, Reg b) { return _mm512_mul_ps(a, b); }
    static Reg div(Reg a, Reg b) { return _mm512_div_ps(a, b); }
    static Reg negate(Reg x) { return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f)); }
    static Reg at_least(Reg x, Reg c) {
        return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, c, _CMP_LT_OQ), c);
    }
    static Reg at_most(Reg x, Reg c) {
        return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, c, _CMP_GT_OQ), c);
    }
    static Reg zero_below(Reg x, Reg y, Reg c) {
        return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(y, c, _CMP_NLT_UQ), x);
    }
    static Reg greater(Reg a, Reg b) { return _mm512_max_ps(a, b); }
    static Reg swap_pairs(Reg x) { return _mm512_permute_ps(x, 0xb1); }
    static Reg keep_first(Reg x, size_t n) { return _mm512_maskz_mov_ps(mask_first(n), x); }
    static Reg pow2(Reg n) {
        const __m512i exponent = _mm512_add_epi32(_mm512_cvttps_epi32(n), _mm512_set1_epi32(127));
        return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
    }
    static Reg load_half(const uint16_t* p) {
        return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static Reg load_half_first(const uint16_t* p, size_t n) {
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask_first(n), p));
    }
    static void store_half(uint16_t* p, Reg x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                            _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
    }
    static float fold(const Reg (&lanes)[1]) {
        const __m256 eight =
            _mm256_add_ps(_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps(lanes[0], 1));
        const __m128 four =
            _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
        const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
    }

    static constexpr size_t kValueRegs = 4;

    // --- weights

    using Ints = __m512i;
    static constexpr size_t kStreams = 4;
    static constexpr int kQ8Bias = 128;

    static Ints load_ints(const uint8_t* p) {
        return _mm512_loadu_si512(p);  // blocks are multiples of 32 bytes
    }
    static Ints set1_ints(int32_t x) { return _mm512_set1_epi32(x); }
    static Ints and_ints(Ints a, Ints b) { return _mm512_and_si512(a, b); }
    static Ints or_ints(Ints a, Ints b) { return _mm512_or_si512(a, b); }
    static Ints flip_signs(Ints x) { return _mm512_xor_si512(x, _mm512_set1_epi8(-128)); }
    template <unsigned n>
    static Ints shift_left(Ints x) {
        return _mm512_slli_epi16(x, n);
    }
    template <unsigned n>
    static Ints shift_right(Ints x) {
        return _mm512_srli_epi16(x, n);
    }
    static Reg to_floats(Ints x) { return _mm512_cvtepi32_ps(x); }
    static Ints bytes_to_ints(const uint8_t* p) {
        return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    static Ints signed_bytes_to_ints(const uint8_t* p) {
        return _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
    }
    static Reg as_floats(Ints x) { return _mm512_castsi512_ps(x); }
    static Ints broadcast4(const void* x) {
        int32_t four;
        __builtin_memcpy(&four, x, sizeof four);
        return _mm512_set1_epi32(four);
    }
    static Ints dot4(Ints sum, Ints w, Ints x) { return _mm512_dpbusd_epi32(sum, w, x); }
    // GCC 12 knows no broadcast in this instruction, and one of its own is half of what the front end can bring.
    static Ints dot4_at(Ints sum, Ints w, const void* x) {
        asm("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(sum)
            : "v"(w), "m"(*static_cast<const int32_t*>(x)));
        return sum;
    }

    // --- values of 8 bits

    static float most(Reg x) { return _mm512_reduce_max_ps(x); }
    static void store_int16(int16_t* p, Reg x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                            _mm512_cvtepi32_epi16(_mm512_cvtps_epi32(x)));
    }
    static Ints widen_bytes(const uint8_t* p) {
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
    }
    static Ints dot_pairs(Ints sum, Ints v, Ints w) { return _mm512_dpwssd_epi32(sum, v, w); }

    // --- activations

    static void quantize(const float* x, size_t n, const QuantizedActs& out, size_t token,
                         size_t block_begin, size_t block_end) {
        const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
        for (size_t b = block_begin; b < block_end; b++) {
            const size_t first = b * kBlockCols;
            const __m512 u = load_first(x + first, kernels::lanes_left<Avx512>(n, first));
            const __m512 v = load_first(x + first + 16, kernels::lanes_left<Avx512>(n, first + 16));
            const uint32_t max_bits = _mm512_reduce_max_epu32(
                _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(u), magnitude),
                                 _mm512_and_si512(_mm512_castps_si512(v), magnitude)));
            const bool usable = max_bits >= 0x0d800000 && max_bits < 0x7f800000;  // [2^-100, inf)
            const float max = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(int32_t(max_bits))));
            const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / max : 0);
            const __mmask16 all = usable ? 0xffff : 0;
            const __m512i low = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(u, inverse));
            const __m512i high = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(v, inverse));
            const __m256i q =
                _mm256_set_m128i(_mm512_cvtepi32_epi8(high), _mm512_cvtepi32_epi8(low));
            _mm256_store_si256(reinterpret_cast<__m256i*>(out.q(token, b)), q);
            // Sums of 4 bytes, then of 16 in each half.
            __m256i sums = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8(1), q);
            sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, _MM_PERM_BADC));
            sums = _mm256_add_epi32(sums, _mm256_shuffle_epi32(sums, _MM_PERM_CDAB));
            out.set(token, b, usable ? max / 127.0f : 0,
                    _mm_cvtsi128_si32(_mm256_castsi256_si128(sums)),
                    _mm_cvtsi128_si32(_mm256_extracti128_si256(sums, 1)));
        }
    }
};

}  // namespace

constinit const Kernels kAvx512Kernels = kernels::table_of<Avx512, kernels::Panels>("avx512");

}  // namespace axiom
