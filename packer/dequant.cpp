// SPDX-License-Identifier: MIT
#include "packer/dequant.h"

#include <bit>
#include <cstring>

#include "core/quant.h"
#include "core/status.h"

namespace axiom::packer {
namespace {

using gguf::TensorType;

float half_at(const uint8_t* p) {
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return f16_to_f32(bits);
}

// Blocks of 32: nibble j is column j, the high nibble column 16 + j; a fifth bit comes from the
// 32-bit word `fifth`, bit = column.
void nibbles_32(const uint8_t* nibbles, uint32_t fifth, float scale, int zero, float* out) {
    for (int j = 0; j < 16; j++) {
        const int low = (nibbles[j] & 15) | int(fifth >> j & 1) << 4;
        const int high = nibbles[j] >> 4 | int(fifth >> (j + 16) & 1) << 4;
        out[j] = float(low - zero) * scale;
        out[j + 16] = float(high - zero) * scale;
    }
}

void add_minimum(float minimum, float* out) {
    for (int j = 0; j < 32; j++) out[j] += minimum;
}

uint32_t word_at(const uint8_t* p) {
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

// Q4_K and Q5_K: 8 sub-blocks of 32 columns; bytes 32j..32j+31 hold sub-block 2j in their low and
// 2j+1 in their high nibbles; a fifth bit of sub-block s is bit s of fifth[column].
void k_nibbles_256(const uint8_t* block, const uint8_t* nibbles, const uint8_t* fifth, float* out) {
    const float scale = half_at(block), minimum = half_at(block + 2);
    for (size_t sub = 0; sub < 8; sub++) {
        const KScale k = k_scale(block + 4, sub);
        const float sub_scale = scale * float(k.scale);
        const float sub_minimum = minimum * float(k.minimum);
        const uint8_t* bytes = nibbles + sub / 2 * 32;
        for (size_t i = 0; i < 32; i++) {
            int q = sub % 2 ? bytes[i] >> 4 : bytes[i] & 15;
            if (fifth) q |= (fifth[i] >> sub & 1) << 4;
            out[sub * 32 + i] = sub_scale * float(q) - sub_minimum;
        }
    }
}

// Q6_K: two halves of 128 columns; each has 64 bytes of low nibbles, 32 of bit pairs, 8 scales of
// 16 columns. Quarter n (32 columns) takes nibbles from bytes 32(n%2).. and bit pair n.
void q6_k_256(const uint8_t* block, float* out) {
    const uint8_t* low = block;
    const uint8_t* pairs = block + 128;
    const uint8_t* scales = block + 192;
    const float scale = half_at(block + 208);
    for (size_t half = 0; half < 2; half++, low += 64, pairs += 32, scales += 8) {
        for (size_t i = 0; i < 128; i++) {
            const size_t quarter = i / 32, column = i % 32;
            const uint8_t byte = low[quarter % 2 * 32 + column];
            const int nibble = quarter < 2 ? byte & 15 : byte >> 4;
            const int q = (nibble | (pairs[column] >> (2 * quarter) & 3) << 4) - 32;
            *out++ = scale * float(int8_t(scales[i / 16])) * float(q);
        }
    }
}

void one_block(TensorType type, const uint8_t* p, float* out) {
    switch (type) {
        case TensorType::f32:
            memcpy(out, p, sizeof(float));
            return;
        case TensorType::f16:
            *out = half_at(p);
            return;
        case TensorType::bf16:
            *out = std::bit_cast<float>(uint32_t(p[0] | p[1] << 8) << 16);
            return;
        case TensorType::q4_0:
            nibbles_32(p + 2, 0, half_at(p), 8, out);
            return;
        case TensorType::q4_1:
            nibbles_32(p + 4, 0, half_at(p), 0, out);
            add_minimum(half_at(p + 2), out);
            return;
        case TensorType::q5_0:
            nibbles_32(p + 6, word_at(p + 2), half_at(p), 16, out);
            return;
        case TensorType::q5_1:
            nibbles_32(p + 8, word_at(p + 4), half_at(p), 0, out);
            add_minimum(half_at(p + 2), out);
            return;
        case TensorType::q8_0: {
            const float scale = half_at(p);
            for (int j = 0; j < 32; j++) out[j] = float(int8_t(p[2 + j])) * scale;
            return;
        }
        case TensorType::q4_k:
            k_nibbles_256(p, p + 16, nullptr, out);
            return;
        case TensorType::q5_k:
            k_nibbles_256(p, p + 48, p + 16, out);
            return;
        case TensorType::q6_k:
            q6_k_256(p, out);
            return;
    }
    AXIOM_PANIC("dequantize: a type that parsing refuses");
}

}  // namespace

KScale k_scale(const uint8_t packed[12], size_t i) {
    if (i < 4) return {uint8_t(packed[i] & 63), uint8_t(packed[i + 4] & 63)};
    // The upper four keep their low nibbles in bytes 8..11 and their top bit pairs in 0..7.
    return {uint8_t((packed[i + 4] & 15) | packed[i - 4] >> 6 << 4),
            uint8_t(packed[i + 4] >> 4 | packed[i] >> 6 << 4)};
}

void dequantize(TensorType type, const uint8_t* blocks, size_t n_cols, float* out) {
    const gguf::BlockShape shape = gguf::block_shape(uint32_t(type));
    for (size_t col = 0; col < n_cols; col += shape.n_cols, blocks += shape.n_bytes) {
        one_block(type, blocks, out + col);
    }
}

}  // namespace axiom::packer
