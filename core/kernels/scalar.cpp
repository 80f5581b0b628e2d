// SPDX-License-Identifier: MIT
// The kernel set every x86-64 machine can run (SSE2 is part of the architecture), and the reference
// for the others' bits. Integer dot products are done in 64-bit general registers that hold several
// products side by side (SWAR), which is what binary translation (QEMU TCG) does best.
#include <emmintrin.h>

#include <bit>
#include <cstring>

#include "core/kernels/table.h"

namespace axiom {
namespace {

constexpr size_t kLanes = 16;

uint64_t load64(const uint8_t* p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

// Weight scales are normal numbers nearly always; then a shift and an add convert them.
[[gnu::always_inline]] inline __m128 halves_to_floats(const uint8_t* p) {
    uint16_t half[4];
    memcpy(half, p, sizeof half);
    const __m128i wide = _mm_unpacklo_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)),
                                            _mm_setzero_si128());
    const __m128i magnitude = _mm_slli_epi32(_mm_and_si128(wide, _mm_set1_epi32(0x7fff)), 13);
    // Normal halves are those in [2^-14, 65504]: 0x0400..0x7bff, shifted.
    const __m128i low = _mm_cmplt_epi32(magnitude, _mm_set1_epi32(0x0400 << 13));
    const __m128i high = _mm_cmpgt_epi32(magnitude, _mm_set1_epi32(0x7bff << 13));
    if (_mm_movemask_epi8(_mm_or_si128(low, high)) != 0) {
        return _mm_setr_ps(f16_to_f32(half[0]), f16_to_f32(half[1]), f16_to_f32(half[2]),
                           f16_to_f32(half[3]));
    }
    const __m128i sign = _mm_slli_epi32(_mm_and_si128(wide, _mm_set1_epi32(0x8000)), 16);
    const __m128i bits = _mm_add_epi32(magnitude, _mm_set1_epi32(0x38000000));
    return _mm_castsi128_ps(_mm_or_si128(sign, bits));
}

float fold(float lane[kLanes]) {
    for (size_t n = kLanes / 2; n > 0; n /= 2) {
        for (size_t j = 0; j < n; j++) lane[j] += lane[j + n];
    }
    return lane[0];
}

// The canonical sum of term(0) ... term(n - 1).
template <class Term>
[[gnu::always_inline]] inline float sum_lanes(size_t n, Term term) {
    float lane[kLanes] = {};
    size_t i = 0;
    for (; i + kLanes <= n; i += kLanes) {
        for (size_t j = 0; j < kLanes; j++) lane[j] += term(i + j);
    }
    for (size_t j = 0; i + j < n; j++) lane[j] += term(i + j);
    return fold(lane);
}

// --- integer dot products -------------------------------------------------------------------
//
// A word of nibbles holds 2 rows x 4 columns. Masked to every second byte it is four 16-bit lanes
// (row 0: columns 0, 2; row 1: columns 0, 2). Multiplied by x2 + x0 * 2^16, lane 1 of the product
// is row 0's w0*x0 + w2*x2 and lane 3 is row 1's; lanes 0 and 2 are by-products. Signed lanes
// borrow from the lane above, which adding 2^15 to every lane undoes. Eight such products (16
// columns) stay below 8 * 2 * 15 * 127 = 30480 in every lane.
//
// Everything is inlined and two words share each multiplier: under TCG a return costs a look-up and
// every guest load a TLB probe, while registers are free.

constexpr uint64_t kNibbles = 0x000f000f000f000fu;
constexpr uint64_t kLaneBias = 0x8000800080008000u;
constexpr uint64_t kPairLanes = 0x0000ffff0000ffffu;
constexpr int32_t kPairBias = 0x10000;  // two biased 16-bit lanes were added

// The multipliers of one block: [half of 16 columns][chunk of 4 columns][even, odd columns].
struct NibbleMultipliers {
    uint64_t at[2][4][2];
};

[[gnu::always_inline]] inline void prepare(const int8_t* x, NibbleMultipliers* m) {
    for (size_t half = 0; half < 2; half++) {
        for (size_t k = 0; k < 4; k++, x += 4) {
            m->at[half][k][0] = uint64_t(int64_t{x[2]} + int64_t{x[0]} * 65536);
            m->at[half][k][1] = uint64_t(int64_t{x[3]} + int64_t{x[1]} * 65536);
        }
    }
}

// Two 32-bit sums, each kPairBias too large.
[[gnu::always_inline]] inline uint64_t row_pair(uint64_t low, uint64_t high) {
    return ((low + kLaneBias) >> 16 & kPairLanes) + ((high + kLaneBias) >> 16 & kPairLanes);
}

// idot[pair]: the sums of rows 2*pair and 2*pair+1 over 32 columns, each kPairBias too large.
[[gnu::always_inline]] inline void dot_nibbles(const uint8_t* nibbles, const NibbleMultipliers& m,
                                               uint64_t idot[8]) {
    for (size_t pair = 0; pair < 8; pair += 2) {
        uint64_t low0 = 0, low1 = 0, high0 = 0, high1 = 0;
#pragma GCC unroll 4
        for (size_t k = 0; k < 4; k++) {
            const uint64_t w0 = load64(nibbles + 64 * k + 8 * pair);
            const uint64_t w1 = load64(nibbles + 64 * k + 8 * pair + 8);
            const uint64_t even = m.at[0][k][0], odd = m.at[0][k][1];
            low0 += (w0 & kNibbles) * even + (w0 >> 8 & kNibbles) * odd;
            low1 += (w1 & kNibbles) * even + (w1 >> 8 & kNibbles) * odd;
            const uint64_t even_high = m.at[1][k][0], odd_high = m.at[1][k][1];
            high0 += (w0 >> 4 & kNibbles) * even_high + (w0 >> 12 & kNibbles) * odd_high;
            high1 += (w1 >> 4 & kNibbles) * even_high + (w1 >> 12 & kNibbles) * odd_high;
        }
        idot[pair] = row_pair(low0, high0);
        idot[pair + 1] = row_pair(low1, high1);
    }
}

// Bytes: 2 rows x 4 columns a word, one column of both rows at a time in 32-bit lanes, over 4*n_k
// columns. kFlip 0x80 makes signed values unsigned (q + 128); idot[pair], two sums, is then
// 128 * sum(x) too large.
template <size_t n_k, uint64_t kFlip>
[[gnu::always_inline]] inline void dot_bytes(const uint8_t* values, const int8_t* x,
                                             uint64_t idot[8]) {
    constexpr uint64_t kBytes = 0x000000ff000000ffu;
    for (size_t pair = 0; pair < 8; pair += 4) {
        uint64_t acc[4] = {};
        for (size_t k = 0; k < n_k; k++) {
            uint64_t w[4];
#pragma GCC unroll 4
            for (size_t i = 0; i < 4; i++) {
                w[i] = load64(values + 64 * k + 8 * (pair + i)) ^ kFlip * 0x0101010101010101u;
            }
#pragma GCC unroll 4
            for (size_t c = 0; c < 4; c++) {
                const uint64_t multiplier = uint64_t(int64_t{x[4 * k + c]});
#pragma GCC unroll 4
                for (size_t i = 0; i < 4; i++) acc[i] += (w[i] >> 8 * c & kBytes) * multiplier;
            }
        }
        // The lower lane borrowed from the upper one if it is negative.
#pragma GCC unroll 4
        for (size_t i = 0; i < 4; i++) idot[pair + i] = (acc[i] + 0x80000000u) ^ 0x80000000u;
    }
}

// --- matmul ---------------------------------------------------------------------------------

// Columns whose multipliers are prepared at a time, for every row group to use.
constexpr size_t kChunkBlocks = 32;

// Weights of more than 4 bits, unpacked to bytes in the order of q8's values.
template <StoredType type>
[[gnu::always_inline]] inline void unpack_bytes(const uint8_t* block, uint64_t (&values)[64]) {
    for (size_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < 8; i++) {
            const uint64_t both = load64(block + 64 * k + 8 * i);
            uint64_t low = both & 0x0f0f0f0f0f0f0f0fu, high = both >> 4 & 0x0f0f0f0f0f0f0f0fu;
            if constexpr (type == StoredType::q6k) {
                low |= (load64(block + 256 + 8 * i) >> 2 * k & 0x0303030303030303u) << 4;
                high |= (load64(block + 320 + 8 * i) >> 2 * k & 0x0303030303030303u) << 4;
            } else {
                const uint64_t bits = load64(block + 256 + 8 * i) >> k;
                low |= (bits & 0x0101010101010101u) << 4;
                high |= (bits >> 4 & 0x0101010101010101u) << 4;
            }
            values[8 * k + i] = low;
            values[8 * (4 + k) + i] = high;
        }
    }
}

// What a block's sums of activations take off, as QuantizedActs has them.
struct Sums {
    int32_t minus_8, minus_16, minus_128, minus_32_low, minus_32_high;
};
Sums sums_of(const QuantizedActs& x, size_t t, size_t b) {
    using A = QuantizedActs;
    return {x.field<int32_t>(A::minus_8_sum, t, b), x.field<int32_t>(A::minus_16_sum, t, b),
            x.field<int32_t>(A::minus_128_sum, t, b), x.field<int32_t>(A::minus_32_low_sum, t, b),
            x.field<int32_t>(A::minus_32_high_sum, t, b)};
}

// The integer part of one block: four registers of 4 rows.
template <StoredType type>
[[gnu::always_inline]] inline void dot_block(const uint8_t* block, const int8_t* q,
                                             [[maybe_unused]] const NibbleMultipliers& multipliers,
                                             const Sums& sums, __m128i (&out)[4]) {
    alignas(16) uint64_t idot[8];
    int32_t correction;
    if constexpr (type == StoredType::q4 || type == StoredType::q4m || type == StoredType::q4k) {
        dot_nibbles(block, multipliers, idot);
        correction = (type == StoredType::q4 ? sums.minus_8 : 0) - kPairBias;
    } else if constexpr (type == StoredType::q8) {
        dot_bytes<8, 0x80>(block, q, idot);
        correction = sums.minus_128;
    } else {
        uint64_t values[64];
        unpack_bytes<type>(block, values);
        const uint8_t* const bytes = reinterpret_cast<const uint8_t*>(values);
        if constexpr (type == StoredType::q6k) {
            const uint8_t* const scale = block + 384;
            alignas(16) uint64_t high[8];
            alignas(16) int32_t n[kLanes];
            dot_bytes<4, 0>(bytes, q, idot);
            dot_bytes<4, 0>(bytes + 256, q + 16, high);
            for (size_t i = 0; i < kLanes; i++) {
                int32_t low_dot, high_dot;
                memcpy(&low_dot, reinterpret_cast<const char*>(idot) + 4 * i, 4);
                memcpy(&high_dot, reinterpret_cast<const char*>(high) + 4 * i, 4);
                n[i] = int8_t(scale[i]) * (low_dot + sums.minus_32_low) +
                       int8_t(scale[kLanes + i]) * (high_dot + sums.minus_32_high);
            }
            for (size_t i = 0; i < 4; i++)
                out[i] = _mm_load_si128(reinterpret_cast<const __m128i*>(n) + i);
            return;
        }
        dot_bytes<8, 0>(bytes, q, idot);
        correction = type == StoredType::q5 ? sums.minus_16 : 0;
    }
#pragma GCC unroll 4
    for (size_t i = 0; i < 4; i++) {
        out[i] = _mm_add_epi32(_mm_load_si128(reinterpret_cast<const __m128i*>(idot) + i),
                               _mm_set1_epi32(correction));
    }
}

__m128 bytes_to_floats(const uint8_t* p) {
    return _mm_setr_ps(float(p[0]), float(p[1]), float(p[2]), float(p[3]));
}

struct Products {
    template <StoredType type>
    static void matmul(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                       size_t y_stride, size_t row_begin, size_t row_end, const Reading&) {
        const size_t n_blocks = x.n_cols / kBlockCols;
        const uint8_t* const base = static_cast<const uint8_t*>(weights);

        for (size_t t = 0; t < n_tokens; t++) {
            for (size_t b0 = 0; b0 < n_blocks; b0 += kChunkBlocks) {
                const size_t b1 = b0 + kChunkBlocks < n_blocks ? b0 + kChunkBlocks : n_blocks;
                NibbleMultipliers multipliers[kChunkBlocks];
                if constexpr (quant_bytes(type) == 256) {
                    for (size_t b = b0; b < b1; b++) prepare(x.q(t, b), &multipliers[b - b0]);
                }
                for (size_t row = row_begin; row < row_end; row += kGroupRows) {
                    float* const out = y + t * y_stride + row;
                    __m128 acc[4];
                    for (size_t i = 0; i < 4; i++) {
                        acc[i] = b0 != 0 ? _mm_loadu_ps(out + 4 * i) : _mm_setzero_ps();
                    }
                    const uint8_t* block = base + row / kGroupRows * group_bytes(type, n_blocks) +
                                           group_bytes(type, b0);
                    [[maybe_unused]] const uint8_t* super = block;
                    for (size_t b = b0; b < b1; b++, block += block_bytes(type)) {
                        if constexpr (is_k_quant(type)) {
                            if (b % kSuperBlocks == 0) {
                                super = block;
                                block += super_scale_bytes(type);
                            }
                        }
                        __m128i exact[4];
                        dot_block<type>(block, x.q(t, b), multipliers[b - b0], sums_of(x, t, b),
                                        exact);
                        const uint8_t* const scales = block + quant_bytes(type);
                        const __m128 scale_x =
                            _mm_set1_ps(x.field<float>(QuantizedActs::scale, t, b));
#pragma GCC unroll 4
                        for (size_t i = 0; i < 4; i++) {
                            __m128 scale =
                                halves_to_floats((is_k_quant(type) ? super : scales) + 8 * i);
                            if constexpr (is_k_quant(type) && type != StoredType::q6k)
                                scale = _mm_mul_ps(scale, bytes_to_floats(scales + 4 * i));
                            acc[i] = _mm_add_ps(acc[i], _mm_mul_ps(_mm_cvtepi32_ps(exact[i]),
                                                                   _mm_mul_ps(scale, scale_x)));
                            const __m128 scaled_sum =
                                _mm_set1_ps(x.field<float>(QuantizedActs::scaled_sum, t, b));
                            if constexpr (type == StoredType::q4m) {
                                const __m128 minimum = halves_to_floats(scales + 32 + 8 * i);
                                acc[i] = _mm_add_ps(acc[i], _mm_mul_ps(minimum, scaled_sum));
                            } else if constexpr (type == StoredType::q4k ||
                                                 type == StoredType::q5k) {
                                const __m128 minimum =
                                    _mm_mul_ps(halves_to_floats(super + 32 + 8 * i),
                                               bytes_to_floats(scales + 16 + 4 * i));
                                acc[i] = _mm_sub_ps(acc[i], _mm_mul_ps(minimum, scaled_sum));
                            }
                        }
                    }
                    for (size_t i = 0; i < 4; i++) _mm_storeu_ps(out + 4 * i, acc[i]);
                }
            }
        }
    }
};

// --- activations ----------------------------------------------------------------------------

void quantize(const float* x, size_t n, const QuantizedActs& out, size_t token, size_t block_begin,
              size_t block_end) {
    for (size_t b = block_begin; b < block_end; b++) {
        int8_t* const q = out.q(token, b);
        float block[kBlockCols] = {};
        const size_t first = b * kBlockCols;
        const size_t m = first >= n ? 0 : n - first < kBlockCols ? n - first : kBlockCols;
        memcpy(block, x + first, m * sizeof(float));
        // Magnitudes compare as integers, and NaN then compares above everything.
        uint32_t max_bits = 0;
        for (size_t i = 0; i < kBlockCols; i++) {
            const uint32_t bits = std::bit_cast<uint32_t>(block[i]) & 0x7fffffff;
            max_bits = bits > max_bits ? bits : max_bits;
        }
        const bool usable = max_bits >= 0x0d800000 && max_bits < 0x7f800000;  // [2^-100, inf)
        const float max = std::bit_cast<float>(max_bits);
        const float inverse = usable ? 127.0f / max : 0;
        int32_t low_sum = 0, high_sum = 0;
        for (size_t i = 0; i < kBlockCols; i++) {
            const int32_t v = usable ? _mm_cvtss_si32(_mm_set_ss(block[i] * inverse)) : 0;
            q[i] = int8_t(v);
            (i < kBlockCols / 2 ? low_sum : high_sum) += v;
        }
        out.set(token, b, usable ? max / 127.0f : 0, low_sum, high_sum);
    }
}

void rms_norm(const float* x, const float* weight, size_t n, float eps, float* out) {
    const float sum = sum_lanes(n, [&](size_t i) { return x[i] * x[i]; });
    const float s = 1.0f / sqrt_f32(sum / float(n) + eps);
    for (size_t i = 0; i < n; i++) out[i] = (x[i] * s) * weight[i];
}

void silu_mul(float* gate, const float* up, size_t n) {
    for (size_t i = 0; i < n; i++) gate[i] = (gate[i] / (1.0f + exp_f32(-gate[i]))) * up[i];
}

void gelu_mul(float* gate, const float* up, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float v = gate[i] * ((gate[i] * gate[i]) * kGelu.cubic + kGelu.linear);
        gate[i] = (gate[i] / (1.0f + exp_f32(v))) * up[i];
    }
}

void softcap(float* x, size_t n, float cap) {
    const float inverse = 1.0f / cap;
    for (size_t i = 0; i < n; i++) x[i] = tanh_f32(x[i] * inverse) * cap;
}

void scale(float* x, float s, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] *= s;
}

void add(float* x, const float* y, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i];
}

void add_scaled(float* x, const float* y, float s, size_t n) {
    for (size_t i = 0; i < n; i++) x[i] += y[i] * s;
}

void matvec_f32(const float* w, size_t n_rows, size_t n_cols, const float* x, float* out) {
    for (size_t row = 0; row < n_rows; row++, w += n_cols)
        out[row] = sum_lanes(n_cols, [&](size_t i) { return w[i] * x[i]; });
}

// --- attention ------------------------------------------------------------------------------

void rope(float* x, const float* cosine, const float* sine, size_t n) {
    for (size_t i = 0; i < n; i += 2) {
        const float a = x[i], b = x[i + 1];
        x[i] = a * cosine[i] + b * sine[i];
        x[i + 1] = b * cosine[i + 1] + a * sine[i + 1];
    }
}

void attention_scores(const float* const* q, size_t n_queries, const uint16_t* k, size_t head_dim,
                      float scale, float* const* scores) {
    for (size_t j = 0; j < n_queries; j++) {
        __m128 acc[kKvPositions / 4];
        for (__m128& a : acc) a = _mm_setzero_ps();
        for (size_t i = 0; i < head_dim; i++) {
            const __m128 x = _mm_set1_ps(q[j][i]);
            const uint8_t* const row = reinterpret_cast<const uint8_t*>(k + i * kKvPositions);
            for (size_t p = 0; p < kKvPositions / 4; p++)
                acc[p] = _mm_add_ps(acc[p], _mm_mul_ps(x, halves_to_floats(row + 8 * p)));
        }
        for (size_t p = 0; p < kKvPositions / 4; p++)
            _mm_storeu_ps(scores[j] + 4 * p, _mm_mul_ps(acc[p], _mm_set1_ps(scale)));
    }
}

void softmax(float* x, size_t n) {
    float max = x[0];
    for (size_t i = 1; i < n; i++) max = x[i] > max ? x[i] : max;
    const float sum = sum_lanes(n, [&](size_t i) {
        const float below = x[i] - max;
        x[i] = below < kLowestFinite ? 0.0f : exp_f32(below);  // -inf
        return x[i];
    });
    scale(x, 1.0f / sum, n);
}

void attention_values(const float* const* p, size_t n_queries, const uint16_t* v, size_t head_dim,
                      size_t n_positions, float* const* out) {
    const size_t n_fours = head_dim / 4 * 4;
    for (size_t j = 0; j < n_queries; j++) {
        for (size_t pos = 0; pos < n_positions; pos++) {
            const __m128 weight = _mm_set1_ps(p[j][pos]);
            const uint8_t* const row = reinterpret_cast<const uint8_t*>(v + pos * head_dim);
            for (size_t i = 0; i < n_fours; i += 4) {
                const __m128 term = _mm_mul_ps(weight, halves_to_floats(row + 2 * i));
                _mm_storeu_ps(out[j] + i, _mm_add_ps(_mm_loadu_ps(out[j] + i), term));
            }
        }
        for (size_t i = n_fours; i < head_dim; i++) {
            for (size_t pos = 0; pos < n_positions; pos++)
                out[j][i] += p[j][pos] * f16_to_f32(v[pos * head_dim + i]);
        }
    }
}

// A word of values holds 4 columns x 2 positions. Raised to unsigned, two bytes at a time are 32-bit
// lanes that no sum of 32 products with weights of 15 bits overflows; what they are raised by comes off
// at the end.
void attention_values_q8(const float* const* p, size_t n_queries, const uint8_t* v, size_t n_cols,
                         float* const* out) {
    constexpr uint64_t kBytes = 0x000000ff000000ffu;
    for (size_t c = 0; c < n_cols; c += kBlockCols, v += CachedValues::kBlockBytes) {
        for (size_t j = 0; j < n_queries; j++) {
            float w[kKvPositions], max = 0;
            for (size_t pos = 0; pos < kKvPositions; pos++) {
                uint16_t half;
                memcpy(&half, v + CachedValues::scale_at(pos), sizeof half);
                w[pos] = p[j][pos] * f16_to_f32(half);
                max = w[pos] > max ? w[pos] : max;
            }
            if (!(max >= CachedValues::kLeastWeight)) continue;
            const float inverse = CachedValues::kMaxWeight / max;
            const __m128 step = _mm_set1_ps(max / CachedValues::kMaxWeight);
            uint64_t weight[kKvPositions];
            int32_t raised = 0;
            for (size_t pos = 0; pos < kKvPositions; pos++) {
                const int32_t q = _mm_cvtss_si32(_mm_set_ss(w[pos] * inverse));
                weight[pos] = uint64_t(q);
                raised += 128 * q;
            }
            for (size_t i = 0; i < kBlockCols; i += 4) {
                uint64_t even = 0, odd = 0;  // columns i, i+2 and i+1, i+3
                for (size_t pos = 0; pos < kKvPositions; pos += 2) {
                    const uint64_t q = load64(v + CachedValues::q_at(pos, i)) ^ 0x8080808080808080u;
                    even += (q & kBytes) * weight[pos] + (q >> 8 & kBytes) * weight[pos + 1];
                    odd += (q >> 16 & kBytes) * weight[pos] + (q >> 24 & kBytes) * weight[pos + 1];
                }
                const __m128i sums = _mm_unpacklo_epi32(_mm_cvtsi64_si128(int64_t(even)),
                                                        _mm_cvtsi64_si128(int64_t(odd)));
                const __m128 exact = _mm_cvtepi32_ps(_mm_sub_epi32(sums, _mm_set1_epi32(raised)));
                float* const y = out[j] + c + i;
                _mm_storeu_ps(y, _mm_add_ps(_mm_loadu_ps(y), _mm_mul_ps(exact, step)));
            }
        }
    }
}

void to_f16(const float* x, uint16_t* out, size_t n) {
    for (size_t i = 0; i < n; i++) out[i] = f32_to_f16(x[i]);
}

}  // namespace

constinit const Kernels kScalarKernels = {
    .name = "scalar",
    .reads_few_alike = false,
    .matmul = kernels::matmuls<Products>(),
    .quantize = quantize,
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .gelu_mul = gelu_mul,
    .softcap = softcap,
    .scale = scale,
    .add = add,
    .add_scaled = add_scaled,
    .matvec_f32 = matvec_f32,
    .rope = rope,
    .attention_scores = attention_scores,
    .softmax = softmax,
    .attention_values = attention_values,
    .attention_values_q8 = attention_values_q8,
    .to_f16 = to_f16,
};

}  // namespace axiom
