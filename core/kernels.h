// SPDX-License-Identifier: MIT
// The arithmetic of a forward pass: one table of operations per instruction set, all with the same
// bits (law 2). For every operation the order of floating-point operations is part of the contract;
// multiplies and adds are separate roundings, never fused.
//
// Reductions over n elements, n any number, use 16 lanes: lane j takes elements j, j+16, ... in order,
// starting from +0; then lanes fold by halves: lane j += lane j+8, then j+4, j+2, j+1.
//
// Arrays of floats and of f16 have any length and any alignment, and nothing beyond their end is read or
// written; weights and QuantizedActs are 64-byte aligned. Inputs and outputs do not alias unless said.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/cpu_features.h"
#include "core/quant.h"
#include "core/round.h"

namespace axiom {

// Activations [n_tokens, n_cols] quantized to int8 in blocks of 32 columns; n_cols is padded to a
// multiple of 32 with zeros. For block b of token t, with d = max|x|/127:
//   scale = d, q = round_half_even(x * (127/max|x|)), sum = sum of q (exact),
//   scaled_sum = scale * float(sum);
// all of them are 0 when max|x| < 2^-100 or is not finite. The multiples of sums are what takes off
// the offsets of the weight formats.
// Source of the scheme: ggml's Q8_1, with scales kept in binary32.
//
// Layout: `width` tokens are interleaved, 1 or 16, so that a kernel reaches those of a tile from
// one pointer. Blocks [n_tokens/width, n_cols/32] of: int8 q[width][32], then each Field as
// [width] 32-bit words; padded to 64 bytes.
// What kernels call here is always inlined: a copy compiled for one set's instructions must not
// become everybody's (law 6).
struct QuantizedActs {
    enum Field : size_t {
        scale,
        scaled_sum,
        minus_8_sum,
        minus_16_sum,
        minus_128_sum,
        minus_32_low_sum,   // of columns 0..15
        minus_32_high_sum,  // of columns 16..31
        kNFields
    };
    static constexpr size_t kTileWidth = 16;

    uint8_t* data = nullptr;  // 64-byte aligned
    size_t n_cols = 0;        // padded
    size_t width = 1;

    [[gnu::always_inline]] static constexpr size_t block_stride(size_t width) {
        return round_up((kBlockCols + 4 * kNFields) * width, 64);
    }
    // Where in a block one token's values and fields stand.
    [[gnu::always_inline]] static constexpr size_t q_at(size_t lane) { return lane * kBlockCols; }
    [[gnu::always_inline]] static constexpr size_t field_at(Field field, size_t lane,
                                                            size_t width) {
        return width * kBlockCols + (field * width + lane) * 4;
    }
    [[gnu::always_inline]] uint8_t* block(size_t token, size_t b) const {
        return data + (token / width * (n_cols / kBlockCols) + b) * block_stride(width);
    }
    [[gnu::always_inline]] int8_t* q(size_t token, size_t b) const {
        return reinterpret_cast<int8_t*>(block(token, b) + q_at(token % width));
    }
    template <class T>
    [[gnu::always_inline]] T& field(Field f, size_t token, size_t b) const {
        return *reinterpret_cast<T*>(block(token, b) + field_at(f, token % width, width));
    }
    [[gnu::always_inline]] void set(size_t token, size_t b, float d, int32_t low_sum,
                                    int32_t high_sum) const {
        const int32_t sum = low_sum + high_sum;
        field<float>(scale, token, b) = d;
        field<float>(scaled_sum, token, b) = d * float(sum);
        field<int32_t>(minus_8_sum, token, b) = -8 * sum;
        field<int32_t>(minus_16_sum, token, b) = -16 * sum;
        field<int32_t>(minus_128_sum, token, b) = -128 * sum;
        field<int32_t>(minus_32_low_sum, token, b) = -32 * low_sum;
        field<int32_t>(minus_32_high_sum, token, b) = -32 * high_sum;
    }
    // The same memory for one token.
    QuantizedActs as_one() const { return {data, n_cols, 1}; }
};
constexpr size_t quantized_acts_width(size_t n_tokens) {
    return n_tokens == 1 ? 1 : QuantizedActs::kTileWidth;
}
constexpr size_t quantized_acts_bytes(size_t n_cols_padded, size_t n_tokens) {
    const size_t width = quantized_acts_width(n_tokens);
    return round_up(n_tokens, width) / width * (n_cols_padded / kBlockCols) *
           QuantizedActs::block_stride(width);
}
// The layout for n_tokens in `memory` (64-byte aligned, quantized_acts_bytes() long).
inline QuantizedActs quantized_acts_in(void* memory, size_t n_cols_padded, size_t n_tokens) {
    return {static_cast<uint8_t*>(memory), n_cols_padded, quantized_acts_width(n_tokens)};
}

// How the product of one token, or of a few, reads its weights. It never changes a bit; what is fastest
// belongs to the machine: a CPU that prefetches well by itself is slowed down by more streams.
struct Reading {
    static constexpr uint32_t kMostTokens = 4;

    uint32_t n_streams = 4;           // row groups side by side: 1, 2 or 4, or as many as a set can
    uint32_t ahead_bytes = 2048;      // how far ahead of each stream it is fetched; 0: not at all
    uint32_t n_tokens = kMostTokens;  // 1..4: passes of more read in the set's other way

    friend bool operator==(const Reading&, const Reading&) = default;
};

// y[t, r] = sum over blocks b in order of the block's terms, for r in [row_begin, row_end), both
// multiples of 16 (rows past the matrix are zero weights and are written). With
// idot = exact integer sum of q_w * q_x over the block's 32 columns:
//   q4   acc += float(idot - 8*sum) * (f32(scale_w) * scale_x)
//   q4m  acc += float(idot) * (f32(scale_w) * scale_x);  acc += f32(minimum_w) * scaled_sum
//   q5   acc += float(idot - 16*sum) * (f32(scale_w) * scale_x)
//   q8   acc += float(idot) * (f32(scale_w) * scale_x)
//   q4k, q5k  acc += float(idot) * ((f32(d) * float(scale_w)) * scale_x);
//             acc -= (f32(dmin) * float(minimum_w)) * scaled_sum
//   q6k  acc += float(n) * (f32(d) * scale_x), with n, below 2^24, the exact
//        scale_w[0] * (idot - 32*sum of columns 0..15)
//        + scale_w[1] * (idot - 32*sum of columns 16..31)
// y is [n_tokens, y_stride] floats.
using MatmulFn = void (*)(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                          size_t y_stride, size_t row_begin, size_t row_end,
                          const Reading& reading);

// Positions in one block of the KV cache, and queries one call of attention takes at most.
inline constexpr size_t kKvPositions = 32;
inline constexpr size_t kMaxQueries = 12;

// What keys and values are cached as. For a KV head of head_dim columns and kKvPositions positions:
//   f16   keys f16 [head_dim, kKvPositions], values f16 [kKvPositions, head_dim]
//   q8_0  blocks of 32 columns of one position: int8 q[32], f16 scale. Keys are a q8 matrix of
//         kKvPositions rows (core/quant.h), values a CachedValues for each 32 columns; columns past
//         head_dim are zeros.
// q8_0's q are those of Kernels::quantize, and so is scale, rounded to f16 and at most 65504: always
// finite, so that positions nobody sees cost nothing but a weight of 0.
// Source of the scheme: ggml's Q8_0.
enum class KvType : uint32_t { f16, q8_0 };
inline constexpr KvType kKvTypes[] = {KvType::f16, KvType::q8_0};
const char* kv_type_name(KvType type);  // as above

// Values in 8 bits, 32 columns of kKvPositions positions: int8 q[kKvPositions / 2][32][2], two
// neighbouring positions beside each other, which is what products of 16-bit pairs take; then
// f16 scale[kKvPositions].
struct CachedValues {
    static constexpr size_t kBlockBytes = kKvPositions * (kBlockCols + 2);
    static constexpr float kMaxWeight = 32767, kLeastWeight = 0x1p-100f;

    [[gnu::always_inline]] static constexpr size_t q_at(size_t position, size_t column) {
        return position / 2 * (2 * kBlockCols) + 2 * column + position % 2;
    }
    [[gnu::always_inline]] static constexpr size_t scale_at(size_t position) {
        return kKvPositions * kBlockCols + 2 * position;
    }
};

struct Kernels {
    const char* name;      // what --isa calls it
    bool reads_few_alike;  // whether Reading::n_tokens matters to it

    std::array<MatmulFn, kNStoredTypes> matmul;  // by StoredType; nullptr for the plain ones

    // Blocks [block_begin, block_end) of one token: x[n] -> token `token` of out (columns n..n_cols
    // are zeros). n any length; x readable to n only.
    void (*quantize)(const float* x, size_t n, const QuantizedActs& out, size_t token,
                     size_t block_begin, size_t block_end);

    // out[i] = (x[i] * s) * weight[i], s = 1 / sqrt(sum(x*x) / float(n) + eps); n >= 1. out may be x.
    void (*rms_norm)(const float* x, const float* weight, size_t n, float eps, float* out);

    // gate[i] = (gate[i] / (1 + exp(-gate[i]))) * up[i]; exp is exp_f32 of mathf.h, bit for bit.
    void (*silu_mul)(float* gate, const float* up, size_t n);

    // gate[i] = (gate[i] / (1 + exp(v))) * up[i], v = gate[i] * ((gate[i] * gate[i]) * cubic + linear)
    // with kGelu's constants: GELU by tanh, as of mathf.h. Finite for finite gates and ups whose product
    // is.
    void (*gelu_mul)(float* gate, const float* up, size_t n);

    // x[i] = tanh(x[i] * (1 / cap)) * cap; tanh is tanh_f32 of mathf.h, bit for bit. cap > 0. The relative
    // error of normal results is below 2^-20, near 0 too: three roundings on top of tanh's 2^-21. Of -inf
    // it makes -cap, so masks come after it.
    void (*softcap)(float* x, size_t n, float cap);

    // x[i] *= s
    void (*scale)(float* x, float s, size_t n);

    // x[i] += y[i]
    void (*add)(float* x, const float* y, size_t n);

    // x[i] += y[i] * s, two roundings
    void (*add_scaled)(float* x, const float* y, float s, size_t n);

    // out[r] = sum over i of w[r, i] * x[i], in 16 lanes as above; w is f32 [n_rows, n_cols]. For small
    // matrices that are kept in f32 (routers).
    void (*matvec_f32)(const float* w, size_t n_rows, size_t n_cols, const float* x, float* out);

    // Rotates adjacent pairs: x[i] = x[i] * cosine[i] + x[i ^ 1] * sine[i], both products rounded;
    // n even. cosine and sine hold each pair's angle twice, sine negated for even i.
    void (*rope)(float* x, const float* cosine, const float* sine, size_t n);

    // One block of keys, f16 [head_dim, kKvPositions], against n_queries <= kMaxQueries queries
    // [head_dim]: scores[j][p] = (sum over i in order of q[j][i] * k[i, p], from +0) * scale, for
    // all kKvPositions; the scores of positions that the sequence has not reached mean nothing.
    // head_dim >= 1.
    void (*attention_scores)(const float* const* q, size_t n_queries, const uint16_t* k,
                             size_t head_dim, float scale, float* const* scores);

    // x[i] = exp(x[i] - max), but exactly +0 of x[i] = -inf (a masked position), and then x[i] * (1/sum),
    // the sum in 16 lanes as above, which a masked position's +0 does not change. n >= 1; at least one x is
    // finite, none is +inf.
    void (*softmax)(float* x, size_t n);

    // out[j][i] += p[j][pos] * v[pos, i] for pos in [0, n_positions) in order, for each of
    // n_queries <= kMaxQueries; v is f16 [n_positions, head_dim], head_dim >= 1. A p of 0 adds exactly
    // nothing where v is finite: out, begun at +0, is never -0.
    void (*attention_values)(const float* const* p, size_t n_queries, const uint16_t* v,
                             size_t head_dim, size_t n_positions, float* const* out);

    // The same over values of 8 bits, n_cols, a multiple of 32, of kKvPositions positions; v is 64-byte
    // aligned. Positions that a query does not see have a p of +0. For 32 columns at a time, with
    // w[pos] = p[j][pos] * f32(scale[pos]) and m = the largest w:
    //   out[j][i] += float(sum over pos of q[pos, i] * round_half_even(w[pos] * (32767/m))) * (m/32767)
    // and nothing where m < 2^-100, or where any p is a NaN; p >= 0. The sum is an exact integer below
    // 2^31, so its order is free, and it is the whole block's, so a query's result is the same whatever
    // its neighbours in the call see. Weights of 16 bits, because then they are as good as floats beside
    // values of 8 (half a step is m/65534), while products are still exact and several an instruction;
    // floats, as llama.cpp has them here, would cost a conversion of every value.
    void (*attention_values_q8)(const float* const* p, size_t n_queries, const uint8_t* v,
                                size_t n_cols, float* const* out);

    // f32 -> f16, round to nearest even.
    void (*to_f16)(const float* x, uint16_t* out, size_t n);
};

// The product for a stored type; panics for the plain types.
struct Matmul {
    MatmulFn fn;
    Reading reading;
    void operator()(const void* weights, const QuantizedActs& x, size_t n_tokens, float* y,
                    size_t y_stride, size_t row_begin, size_t row_end) const {
        fn(weights, x, n_tokens, y, y_stride, row_begin, row_end, reading);
    }
};
Matmul matmul_for(const Kernels& kernels, StoredType type, const Reading& reading = {});

// Tables defined by core/kernels/<name>.cpp. "scalar" needs nothing beyond x86-64 itself: integer
// products several to a 64-bit general register (SWAR), floats by SSE2.
extern const Kernels kScalarKernels;
extern const Kernels kSseKernels;
extern const Kernels kAvx2Kernels;
extern const Kernels kAvxVnniKernels;
extern const Kernels kAvx512Kernels;

// Every set, slowest first, with whether this CPU may run it.
struct KernelSet {
    const Kernels* kernels;
    bool usable;
};
std::span<const KernelSet> kernel_sets(const CpuFeatures& features);  // static storage

// The set called `name`; nullptr if there is none. *usable says whether this CPU may run it.
const Kernels* find_kernels(const char* name, size_t n_name, const CpuFeatures& features,
                            bool* usable);

}  // namespace axiom
