// SPDX-License-Identifier: MIT
// AVX2 with F16C. A ymm holds 8 rows x 4 columns; a block is two halves of 8 rows. Lane i of the
// accumulators is a row, so blocks add up in the same order as in every other set (law 2).
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels.h"
#include "core/mathf.h"

namespace axiom {
namespace {

constexpr size_t round_to(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

__m256i load_bytes(const void* p) {
    return _mm256_load_si256(static_cast<const __m256i*>(p));
}
__m256 halves(const uint8_t* p) {
    return _mm256_cvtph_ps(_mm_load_si128(reinterpret_cast<const __m128i*>(p)));
}
// Four columns of one token, the same for every row.
__m256i broadcast4(const int8_t* x) {
    int32_t v;
    __builtin_memcpy(&v, x, sizeof v);
    return _mm256_set1_epi32(v);
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

// T tokens against the 8 rows of half `half` of one row group. Nibbles: eight 16-bit sums of pairs
// stay below 8 * 2 * 15 * 127 = 30480. Bytes: |w| * (x with w's sign) keeps vpmaddubsw's unsigned
// by signed form, 2 * 128 * 127 = 32512 at most, widened after every 4 columns.
template <StoredType type, size_t T>
void half_group(const uint8_t* block, size_t n_blocks, const Acts (&acts)[T], size_t half,
                float* (&out)[T]) {
    constexpr size_t kQuantBytes = type == StoredType::q8 ? 512 : 256;
    const __m256i ones = _mm256_set1_epi16(1);
    const __m256i low_nibble = _mm256_set1_epi8(15);
    __m256 acc[T];
    for (size_t t = 0; t < T; t++) acc[t] = _mm256_setzero_ps();

    for (size_t b = 0; b < n_blocks; b++, block += block_bytes(type)) {
        __m256i idot[T];
        if constexpr (type == StoredType::q8) {
            for (size_t t = 0; t < T; t++) idot[t] = _mm256_setzero_si256();
#pragma GCC unroll 8
            for (size_t k = 0; k < 8; k++) {
                const __m256i w = load_bytes(block + 64 * k + 32 * half);
                const __m256i magnitude = _mm256_abs_epi8(w);
                for (size_t t = 0; t < T; t++) {
                    const __m256i x = broadcast4(acts[t].q + b * kBlockCols + 4 * k);
                    const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(x, w));
                    idot[t] = _mm256_add_epi32(idot[t], _mm256_madd_epi16(pairs, ones));
                }
            }
        } else {
            __m256i pairs[T];
            for (size_t t = 0; t < T; t++) pairs[t] = _mm256_setzero_si256();
#pragma GCC unroll 4
            for (size_t k = 0; k < 4; k++) {
                const __m256i both = load_bytes(block + 64 * k + 32 * half);
                const __m256i low = _mm256_and_si256(both, low_nibble);
                const __m256i high = _mm256_and_si256(_mm256_srli_epi16(both, 4), low_nibble);
                for (size_t t = 0; t < T; t++) {
                    const int8_t* const x = acts[t].q + b * kBlockCols + 4 * k;
                    const __m256i p = _mm256_maddubs_epi16(low, broadcast4(x));
                    const __m256i r = _mm256_maddubs_epi16(high, broadcast4(x + 16));
                    pairs[t] = _mm256_add_epi16(pairs[t], _mm256_add_epi16(p, r));
                }
            }
            for (size_t t = 0; t < T; t++) idot[t] = _mm256_madd_epi16(pairs[t], ones);
        }
        const __m256 scale = halves(block + kQuantBytes + 16 * half);
        for (size_t t = 0; t < T; t++) {
            if constexpr (type == StoredType::q4) {
                idot[t] = _mm256_sub_epi32(idot[t], _mm256_set1_epi32(8 * acts[t].sum[b]));
            }
            const __m256 s = _mm256_mul_ps(scale, _mm256_set1_ps(acts[t].scale[b]));
            acc[t] = _mm256_add_ps(acc[t], _mm256_mul_ps(_mm256_cvtepi32_ps(idot[t]), s));
            if constexpr (type == StoredType::q4m) {
                const __m256 minimum = halves(block + kQuantBytes + 32 + 16 * half);
                const __m256 m = _mm256_mul_ps(minimum, _mm256_set1_ps(acts[t].scaled_sum[b]));
                acc[t] = _mm256_add_ps(acc[t], m);
            }
        }
    }
    for (size_t t = 0; t < T; t++) _mm256_storeu_ps(out[t] + 8 * half, acc[t]);
}

template <StoredType type, size_t T>
void token_tile(const uint8_t* weights, const QuantizedActs& x, size_t token, float* y,
                size_t y_stride, size_t row_begin, size_t row_end) {
    const size_t n_blocks = x.n_cols / kBlockCols;
    Acts acts[T];
    for (size_t t = 0; t < T; t++) acts[t] = acts_of(x, token + t);
    for (size_t row = row_begin; row < row_end; row += kGroupRows) {
        const uint8_t* const group = weights + row / kGroupRows * n_blocks * block_bytes(type);
        float* out[T];
        for (size_t t = 0; t < T; t++) out[t] = y + (token + t) * y_stride + row;
        half_group<type, T>(group, n_blocks, acts, 0, out);
        half_group<type, T>(group, n_blocks, acts, 1, out);
    }
}

template <StoredType type>
void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y, size_t y_stride,
            size_t row_begin, size_t row_end) {
    const uint8_t* const w = static_cast<const uint8_t*>(weights);
    size_t t = 0;
    for (; t + 4 <= n_tokens; t += 4) token_tile<type, 4>(w, x, t, y, y_stride, row_begin, row_end);
    for (; t < n_tokens; t++) token_tile<type, 1>(w, x, t, y, y_stride, row_begin, row_end);
}

// --- elementwise ----------------------------------------------------------------------------

using Reg = __m256;
constexpr size_t kWidth = 8;

__m256i mask_first(size_t n) {
    const __m256i index = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(int32_t(n)), index);
}
Reg set1(float x) {
    return _mm256_set1_ps(x);
}
Reg load(const float* p) {
    return _mm256_loadu_ps(p);
}
Reg load_first(const float* p, size_t n) {
    return _mm256_maskload_ps(p, mask_first(n));
}
void store(float* p, Reg x) {
    _mm256_storeu_ps(p, x);
}
void store_first(float* p, Reg x, size_t n) {
    _mm256_maskstore_ps(p, mask_first(n), x);
}
Reg add(Reg a, Reg b) {
    return _mm256_add_ps(a, b);
}
Reg sub(Reg a, Reg b) {
    return _mm256_sub_ps(a, b);
}
Reg mul(Reg a, Reg b) {
    return _mm256_mul_ps(a, b);
}
Reg div(Reg a, Reg b) {
    return _mm256_div_ps(a, b);
}
Reg negate(Reg x) {
    return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}
Reg at_least(Reg x, Reg c) {
    return _mm256_blendv_ps(x, c, _mm256_cmp_ps(x, c, _CMP_LT_OQ));
}
Reg at_most(Reg x, Reg c) {
    return _mm256_blendv_ps(x, c, _mm256_cmp_ps(x, c, _CMP_GT_OQ));
}
Reg keep_first(Reg x, size_t n) {
    return _mm256_and_ps(x, _mm256_castsi256_ps(mask_first(n)));
}
Reg pow2(Reg n) {
    const __m256i exponent = _mm256_add_epi32(_mm256_cvttps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
Reg load_half(const uint16_t* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
void store_half(uint16_t* p, Reg x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
float fold(const Reg (&lanes)[2]) {
    const __m256 eight = _mm256_add_ps(lanes[0], lanes[1]);
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
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    for (size_t b = 0; b < n_blocks; b++) {
        __m256 v[4];
        __m256i max8 = _mm256_setzero_si256();
        for (size_t i = 0; i < 4; i++) {
            const size_t first = b * kBlockCols + 8 * i;
            v[i] = load_first(x + first, lanes_left(n, first));
            max8 = _mm256_max_epi32(max8, _mm256_and_si256(_mm256_castps_si256(v[i]), magnitude));
        }
        __m128i max4 =
            _mm_max_epi32(_mm256_castsi256_si128(max8), _mm256_extracti128_si256(max8, 1));
        max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(1, 0, 3, 2)));
        max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(2, 3, 0, 1)));
        const uint32_t max_bits = uint32_t(_mm_cvtsi128_si32(max4));
        if (max_bits < 0x0d800000 || max_bits >= 0x7f800000) {  // below 2^-100, or not finite
            _mm256_store_si256(reinterpret_cast<__m256i*>(q + b * kBlockCols),
                               _mm256_setzero_si256());
            out.scale[side + b] = out.scaled_sum[side + b] = 0;
            out.sum[side + b] = 0;
            continue;
        }
        const float max = _mm_cvtss_f32(_mm_castsi128_ps(max4));
        const __m256 inverse = _mm256_set1_ps(127.0f / max);
        __m256i r[4];
        for (size_t i = 0; i < 4; i++) r[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
        const __m256i total8 =
            _mm256_add_epi32(_mm256_add_epi32(r[0], r[1]), _mm256_add_epi32(r[2], r[3]));
        __m128i total =
            _mm_add_epi32(_mm256_castsi256_si128(total8), _mm256_extracti128_si256(total8, 1));
        total = _mm_add_epi32(total, _mm_shuffle_epi32(total, _MM_SHUFFLE(1, 0, 3, 2)));
        total = _mm_add_epi32(total, _mm_shuffle_epi32(total, _MM_SHUFFLE(2, 3, 0, 1)));
        const int32_t sum = _mm_cvtsi128_si32(total);
        // The packs work within 128-bit lanes; the permutation puts the dwords back in order.
        const __m256i words =
            _mm256_packs_epi16(_mm256_packs_epi32(r[0], r[1]), _mm256_packs_epi32(r[2], r[3]));
        const __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
        _mm256_store_si256(reinterpret_cast<__m256i*>(q + b * kBlockCols),
                           _mm256_permutevar8x32_epi32(words, order));
        const float scale = max / 127.0f;
        out.scale[side + b] = scale;
        out.sum[side + b] = sum;
        out.scaled_sum[side + b] = scale * float(sum);
    }
}

}  // namespace

constinit const Kernels kAvx2Kernels = {
    .name = "avx2",
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
