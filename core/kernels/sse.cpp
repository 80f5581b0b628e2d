// SPDX-License-Identifier: MIT
// SSSE3 and SSE4.1. An xmm holds 4 rows x 4 columns; a block is four quarters of 4 rows. Lane i of
// the accumulators is a row. f16 conversion is by integer shifts and one exact multiplication.
// Exports one table; everything else is local (law 6).
#include <smmintrin.h>

#include "core/kernels.h"
#include "core/mathf.h"

namespace axiom {
namespace {

constexpr size_t round_to(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

__m128i load_bytes(const void* p) {
    return _mm_load_si128(static_cast<const __m128i*>(p));
}
__m128i broadcast4(const int8_t* x) {
    int32_t v;
    __builtin_memcpy(&v, x, sizeof v);
    return _mm_set1_epi32(v);
}

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

// --- matmul ---------------------------------------------------------------------------------

// One token against the 4 rows of quarter `quarter` of one row group. The bounds of the 16-bit sums
// are those of the AVX2 set.
template <StoredType type>
void quarter_group(const uint8_t* block, size_t n_blocks, const QuantizedActs& x, size_t quarter,
                   float* out) {
    constexpr size_t kQuantBytes = type == StoredType::q8 ? 512 : 256;
    const __m128i ones = _mm_set1_epi16(1);
    const __m128i low_nibble = _mm_set1_epi8(15);
    __m128 acc = _mm_setzero_ps();
    for (size_t b = 0; b < n_blocks; b++, block += block_bytes(type)) {
        const int8_t* const q = x.q + b * kBlockCols;
        __m128i idot;
        if constexpr (type == StoredType::q8) {
            idot = _mm_setzero_si128();
            for (size_t k = 0; k < 8; k++) {
                const __m128i w = load_bytes(block + 64 * k + 16 * quarter);
                const __m128i pairs =
                    _mm_maddubs_epi16(_mm_abs_epi8(w), _mm_sign_epi8(broadcast4(q + 4 * k), w));
                idot = _mm_add_epi32(idot, _mm_madd_epi16(pairs, ones));
            }
        } else {
            __m128i pairs = _mm_setzero_si128();
            for (size_t k = 0; k < 4; k++) {
                const __m128i both = load_bytes(block + 64 * k + 16 * quarter);
                const __m128i low = _mm_and_si128(both, low_nibble);
                const __m128i high = _mm_and_si128(_mm_srli_epi16(both, 4), low_nibble);
                pairs = _mm_add_epi16(pairs, _mm_maddubs_epi16(low, broadcast4(q + 4 * k)));
                pairs = _mm_add_epi16(pairs, _mm_maddubs_epi16(high, broadcast4(q + 16 + 4 * k)));
            }
            idot = _mm_madd_epi16(pairs, ones);
        }
        if constexpr (type == StoredType::q4)
            idot = _mm_sub_epi32(idot, _mm_set1_epi32(8 * x.sum[b]));
        const __m128 s =
            _mm_mul_ps(halves(block + kQuantBytes + 8 * quarter), _mm_set1_ps(x.scale[b]));
        acc = _mm_add_ps(acc, _mm_mul_ps(_mm_cvtepi32_ps(idot), s));
        if constexpr (type == StoredType::q4m) {
            const __m128 minimum = halves(block + kQuantBytes + 32 + 8 * quarter);
            acc = _mm_add_ps(acc, _mm_mul_ps(minimum, _mm_set1_ps(x.scaled_sum[b])));
        }
    }
    _mm_storeu_ps(out + 4 * quarter, acc);
}

template <StoredType type>
void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y, size_t y_stride,
            size_t row_begin, size_t row_end) {
    const size_t n_blocks = x.n_cols / kBlockCols;
    for (size_t row = row_begin; row < row_end; row += kGroupRows) {
        const uint8_t* const group =
            static_cast<const uint8_t*>(weights) + row / kGroupRows * n_blocks * block_bytes(type);
        for (size_t t = 0; t < n_tokens; t++) {
            const size_t side = t * round_to(n_blocks, 16);
            const QuantizedActs token{x.q + t * round_to(x.n_cols, 64), x.scale + side,
                                      x.scaled_sum + side, x.sum + side, x.n_cols};
            for (size_t quarter = 0; quarter < 4; quarter++) {
                quarter_group<type>(group, n_blocks, token, quarter, y + t * y_stride + row);
            }
        }
    }
}

// --- elementwise ----------------------------------------------------------------------------

using Reg = __m128;
constexpr size_t kWidth = 4;

Reg set1(float x) {
    return _mm_set1_ps(x);
}
Reg load(const float* p) {
    return _mm_loadu_ps(p);
}
Reg load_first(const float* p, size_t n) {
    if (n == kWidth) return load(p);
    float lanes[kWidth] = {};
    __builtin_memcpy(lanes, p, n * sizeof(float));
    return load(lanes);
}
void store(float* p, Reg x) {
    _mm_storeu_ps(p, x);
}
void store_first(float* p, Reg x, size_t n) {
    if (n == kWidth) return store(p, x);
    float lanes[kWidth];
    store(lanes, x);
    __builtin_memcpy(p, lanes, n * sizeof(float));
}
Reg add(Reg a, Reg b) {
    return _mm_add_ps(a, b);
}
Reg sub(Reg a, Reg b) {
    return _mm_sub_ps(a, b);
}
Reg mul(Reg a, Reg b) {
    return _mm_mul_ps(a, b);
}
Reg div(Reg a, Reg b) {
    return _mm_div_ps(a, b);
}
Reg negate(Reg x) {
    return _mm_xor_ps(x, _mm_set1_ps(-0.0f));
}
Reg at_least(Reg x, Reg c) {
    return _mm_blendv_ps(x, c, _mm_cmplt_ps(x, c));
}
Reg at_most(Reg x, Reg c) {
    return _mm_blendv_ps(x, c, _mm_cmplt_ps(c, x));
}
Reg keep_first(Reg x, size_t n) {
    const __m128i index = _mm_setr_epi32(0, 1, 2, 3);
    return _mm_and_ps(x, _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(int32_t(n)), index)));
}
Reg pow2(Reg n) {
    const __m128i exponent = _mm_add_epi32(_mm_cvttps_epi32(n), _mm_set1_epi32(127));
    return _mm_castsi128_ps(_mm_slli_epi32(exponent, 23));
}
Reg load_half(const uint16_t* p) {
    return halves(reinterpret_cast<const uint8_t*>(p));
}
void store_half(uint16_t* p, Reg x) {
    float lanes[kWidth];
    store(lanes, x);
    for (size_t i = 0; i < kWidth; i++) p[i] = f32_to_f16(lanes[i]);
}
float fold(const Reg (&lanes)[4]) {
    const __m128 low = _mm_add_ps(lanes[0], lanes[2]), high = _mm_add_ps(lanes[1], lanes[3]);
    const __m128 four = _mm_add_ps(low, high);
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

#include "core/kernels/elementwise.inc"

// --- activations ----------------------------------------------------------------------------

void quantize(const float* x, size_t n, const QuantizedActs& out, size_t token) {
    const size_t n_blocks = out.n_cols / kBlockCols;
    int8_t* const q = out.q + token * round_to(out.n_cols, 64);
    const size_t side = token * round_to(n_blocks, 16);
    const __m128i magnitude = _mm_set1_epi32(0x7fffffff);
    for (size_t b = 0; b < n_blocks; b++) {
        __m128 v[8];
        __m128i max4 = _mm_setzero_si128();
        for (size_t i = 0; i < 8; i++) {
            const size_t first = b * kBlockCols + 4 * i;
            v[i] = load_first(x + first, lanes_left(n, first));
            max4 = _mm_max_epi32(max4, _mm_and_si128(_mm_castps_si128(v[i]), magnitude));
        }
        max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(1, 0, 3, 2)));
        max4 = _mm_max_epi32(max4, _mm_shuffle_epi32(max4, _MM_SHUFFLE(2, 3, 0, 1)));
        const uint32_t max_bits = uint32_t(_mm_cvtsi128_si32(max4));
        const bool usable = max_bits >= 0x0d800000 && max_bits < 0x7f800000;  // [2^-100, inf)
        const float max = _mm_cvtss_f32(_mm_castsi128_ps(max4));
        const __m128 inverse = _mm_set1_ps(usable ? 127.0f / max : 0);
        __m128i r[8];
        __m128i total = _mm_setzero_si128();
        for (size_t i = 0; i < 8; i++) {
            r[i] = usable ? _mm_cvtps_epi32(_mm_mul_ps(v[i], inverse)) : _mm_setzero_si128();
            total = _mm_add_epi32(total, r[i]);
        }
        total = _mm_add_epi32(total, _mm_shuffle_epi32(total, _MM_SHUFFLE(1, 0, 3, 2)));
        total = _mm_add_epi32(total, _mm_shuffle_epi32(total, _MM_SHUFFLE(2, 3, 0, 1)));
        const int32_t sum = _mm_cvtsi128_si32(total);
        for (size_t i = 0; i < 8; i += 4) {
            const __m128i bytes = _mm_packs_epi16(_mm_packs_epi32(r[i], r[i + 1]),
                                                  _mm_packs_epi32(r[i + 2], r[i + 3]));
            _mm_store_si128(reinterpret_cast<__m128i*>(q + b * kBlockCols + 4 * i), bytes);
        }
        const float scale = usable ? max / 127.0f : 0;
        out.scale[side + b] = scale;
        out.sum[side + b] = sum;
        out.scaled_sum[side + b] = scale * float(sum);
    }
}

}  // namespace

constinit const Kernels kSseKernels = {
    .name = "sse",
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
