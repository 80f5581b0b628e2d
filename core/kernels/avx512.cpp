// SPDX-License-Identifier: MIT
// AVX-512 (F, BW, VL, DQ) with VNNI. A zmm holds all 16 rows x 4 columns, and vpdpbusd multiplies
// it by four columns of one token, broadcast from memory. Lane i of the accumulators is row i.
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels.h"
#include "core/mathf.h"

namespace axiom {
namespace {

constexpr size_t round_to(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Blocks are multiples of 32 bytes, so every other one is not 64-byte aligned.
__m512i load_bytes(const uint8_t* p) {
    return _mm512_loadu_si512(p);
}
__m512 halves(const uint8_t* p) {
    return _mm512_cvtph_ps(_mm256_load_si256(reinterpret_cast<const __m256i*>(p)));
}
// Four columns of one token, the same for every row.
__m512i broadcast4(const int8_t* x) {
    int32_t v;
    __builtin_memcpy(&v, x, sizeof v);
    return _mm512_set1_epi32(v);
}

// --- matmul ---------------------------------------------------------------------------------

// One token's activations, by block.
struct Acts {
    const int8_t* q;
    const float* scale;
    const float* scaled_sum;
    const int32_t* sum;
};

Acts acts_of(const QuantizedActs& x, size_t token) {
    const size_t side = token * round_to(x.n_cols / kBlockCols, 16);
    return {x.q + token * round_to(x.n_cols, 64), x.scale + side, x.scaled_sum + side,
            x.sum + side};
}

// The unsigned weights of a block, 4 columns a register, columns in order. q8 is stored signed:
// flipping the sign bits adds 128, which the start value of the accumulator takes off again.
template <StoredType type>
void unpack(const uint8_t* block, __m512i (&w)[8]) {
    if constexpr (type == StoredType::q8) {
        for (size_t k = 0; k < 8; k++)
            w[k] = _mm512_xor_si512(load_bytes(block + 64 * k), _mm512_set1_epi8(-128));
    } else {
        const __m512i low_nibble = _mm512_set1_epi8(15);
        for (size_t k = 0; k < 4; k++) {
            const __m512i both = load_bytes(block + 64 * k);
            w[k] = _mm512_and_si512(both, low_nibble);
            w[4 + k] = _mm512_and_si512(_mm512_srli_epi16(both, 4), low_nibble);
        }
    }
}

// What every unsigned weight is too large by.
template <StoredType type>
constexpr int32_t kOffset = type == StoredType::q8   ? 128
                            : type == StoredType::q4 ? 8
                                                     : 0;

template <StoredType type, size_t T>
void token_tile(const uint8_t* weights, const QuantizedActs& x, size_t token, float* y,
                size_t y_stride, size_t row_begin, size_t row_end) {
    constexpr size_t kQuantBytes = type == StoredType::q8 ? 512 : 256;
    const size_t n_blocks = x.n_cols / kBlockCols;
    Acts acts[T];
    for (size_t t = 0; t < T; t++) acts[t] = acts_of(x, token + t);
    const uint8_t* block = weights + row_begin / kGroupRows * n_blocks * block_bytes(type);
    for (size_t row = row_begin; row < row_end; row += kGroupRows) {
        __m512 acc[T];
        for (size_t t = 0; t < T; t++) acc[t] = _mm512_setzero_ps();
        for (size_t b = 0; b < n_blocks; b++, block += block_bytes(type)) {
            __m512i w[8];
            unpack<type>(block, w);
            const __m512 scale = halves(block + kQuantBytes);
#pragma GCC unroll 8
            for (size_t t = 0; t < T; t++) {
                const int8_t* const q = acts[t].q + b * kBlockCols;
                // Two chains, so that one token alone does not wait for its own sums.
                __m512i even = _mm512_set1_epi32(-kOffset<type> * acts[t].sum[b]);
                __m512i odd = _mm512_setzero_si512();
#pragma GCC unroll 8
                for (size_t k = 0; k < 8; k += 2) {
                    even = _mm512_dpbusd_epi32(even, w[k], broadcast4(q + 4 * k));
                    odd = _mm512_dpbusd_epi32(odd, w[k + 1], broadcast4(q + 4 * k + 4));
                }
                const __m512 idot = _mm512_cvtepi32_ps(_mm512_add_epi32(even, odd));
                const __m512 s = _mm512_mul_ps(scale, _mm512_set1_ps(acts[t].scale[b]));
                acc[t] = _mm512_add_ps(acc[t], _mm512_mul_ps(idot, s));
                if constexpr (type == StoredType::q4m) {
                    const __m512 minimum = halves(block + kQuantBytes + 32);
                    const __m512 m = _mm512_mul_ps(minimum, _mm512_set1_ps(acts[t].scaled_sum[b]));
                    acc[t] = _mm512_add_ps(acc[t], m);
                }
            }
        }
        for (size_t t = 0; t < T; t++) _mm512_storeu_ps(y + (token + t) * y_stride + row, acc[t]);
    }
}

template <StoredType type>
void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y, size_t y_stride,
            size_t row_begin, size_t row_end) {
    const uint8_t* const w = static_cast<const uint8_t*>(weights);
    size_t t = 0;
    for (; t + 8 <= n_tokens; t += 8) token_tile<type, 8>(w, x, t, y, y_stride, row_begin, row_end);
    if (t + 4 <= n_tokens) token_tile<type, 4>(w, x, t, y, y_stride, row_begin, row_end), t += 4;
    for (; t < n_tokens; t++) token_tile<type, 1>(w, x, t, y, y_stride, row_begin, row_end);
}

// --- elementwise ----------------------------------------------------------------------------

using Reg = __m512;
constexpr size_t kWidth = 16;

__mmask16 mask_first(size_t n) {
    return __mmask16((1u << n) - 1);
}
Reg set1(float x) {
    return _mm512_set1_ps(x);
}
Reg load(const float* p) {
    return _mm512_loadu_ps(p);
}
Reg load_first(const float* p, size_t n) {
    return _mm512_maskz_loadu_ps(mask_first(n), p);
}
void store(float* p, Reg x) {
    _mm512_storeu_ps(p, x);
}
void store_first(float* p, Reg x, size_t n) {
    _mm512_mask_storeu_ps(p, mask_first(n), x);
}
Reg add(Reg a, Reg b) {
    return _mm512_add_ps(a, b);
}
Reg sub(Reg a, Reg b) {
    return _mm512_sub_ps(a, b);
}
Reg mul(Reg a, Reg b) {
    return _mm512_mul_ps(a, b);
}
Reg div(Reg a, Reg b) {
    return _mm512_div_ps(a, b);
}
Reg negate(Reg x) {
    return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f));
}
Reg at_least(Reg x, Reg c) {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, c, _CMP_LT_OQ), c);
}
Reg at_most(Reg x, Reg c) {
    return _mm512_mask_mov_ps(x, _mm512_cmp_ps_mask(x, c, _CMP_GT_OQ), c);
}
Reg keep_first(Reg x, size_t n) {
    return _mm512_maskz_mov_ps(mask_first(n), x);
}
Reg pow2(Reg n) {
    const __m512i exponent = _mm512_add_epi32(_mm512_cvttps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
Reg load_half(const uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
void store_half(uint16_t* p, Reg x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
float fold(const Reg (&lanes)[1]) {
    const __m256 eight =
        _mm256_add_ps(_mm512_castps512_ps256(lanes[0]), _mm512_extractf32x8_ps(lanes[0], 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "core/kernels/elementwise.inc"

// --- activations ----------------------------------------------------------------------------

void quantize(const float* x, size_t n, const QuantizedActs& out, size_t token) {
    const size_t n_blocks = out.n_cols / kBlockCols;
    int8_t* const q = out.q + token * round_to(out.n_cols, 64);
    const size_t side = token * round_to(n_blocks, 16);
    const __m512i magnitude = _mm512_set1_epi32(0x7fffffff);
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t first = b * kBlockCols;
        const __m512 u = load_first(x + first, lanes_left(n, first));
        const __m512 v = load_first(x + first + 16, lanes_left(n, first + 16));
        const uint32_t max_bits = _mm512_reduce_max_epu32(
            _mm512_max_epu32(_mm512_and_si512(_mm512_castps_si512(u), magnitude),
                             _mm512_and_si512(_mm512_castps_si512(v), magnitude)));
        const bool usable = max_bits >= 0x0d800000 && max_bits < 0x7f800000;  // [2^-100, inf)
        const float max = _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(int32_t(max_bits))));
        const __m512 inverse = _mm512_set1_ps(usable ? 127.0f / max : 0);
        const __mmask16 all = usable ? 0xffff : 0;
        const __m512i low = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(u, inverse));
        const __m512i high = _mm512_maskz_cvtps_epi32(all, _mm512_mul_ps(v, inverse));
        const int32_t sum = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
        _mm_store_si128(reinterpret_cast<__m128i*>(q + first), _mm512_cvtepi32_epi8(low));
        _mm_store_si128(reinterpret_cast<__m128i*>(q + first + 16), _mm512_cvtepi32_epi8(high));
        const float scale = usable ? max / 127.0f : 0;
        out.scale[side + b] = scale;
        out.sum[side + b] = sum;
        out.scaled_sum[side + b] = scale * float(sum);
    }
}

}  // namespace

constinit const Kernels kAvx512Kernels = {
    .name = "avx512",
    .matmul_q4 = matmul<StoredType::q4>,
    .matmul_q4m = matmul<StoredType::q4m>,
    .matmul_q8 = matmul<StoredType::q8>,
    .quantize = quantize,
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .add = add_to,
    .attention_scores = attention_scores,
    .softmax = softmax,
    .attention_values = attention_values,
    .to_f16 = to_f16,
};

}  // namespace axiom
