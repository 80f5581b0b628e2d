// SPDX-License-Identifier: MIT
// ggml's block structs read one weight at a time, written from their definitions alone, for tests.
// Must not know: the packer, or how we store anything.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

#include "packer/gguf.h"

namespace axiom::test {

// A binary16 by its definition: sign, 5 bits of exponent, 10 of fraction.
inline double plain_half(const uint8_t* p) {
    const int bits = p[0] | p[1] << 8;
    const int exponent = bits >> 10 & 31, fraction = bits & 1023;
    const double magnitude =
        exponent == 0 ? std::ldexp(fraction, -24) : std::ldexp(1024 + fraction, exponent - 25);
    return bits & 0x8000 ? -magnitude : magnitude;
}

// Scale (which = 0) or minimum (1) of sub-block j of the 12 bytes of Q4_K and Q5_K: the low four
// are the low 6 bits of bytes j and 4+j; the high four have 4 bits in byte 4+j, 2 on top of these.
inline int plain_k_scale(const uint8_t* packed, int which, int j) {
    if (j < 4) return packed[4 * which + j] & 63;
    const int low = which == 0 ? packed[4 + j] & 15 : packed[4 + j] >> 4;
    return low + 16 * (packed[4 * which + j - 4] >> 6);
}

// Weight `col` of a row, rounded to binary32 once. In binary64 everything before is exact: products
// have at most 24 bits, and differences span less than 53.
inline float plain_weight(gguf::TensorType type, const uint8_t* row, size_t col) {
    using gguf::TensorType;
    const gguf::BlockShape shape = gguf::block_shape(uint32_t(type));
    const uint8_t* const p = row + col / shape.n_cols * shape.n_bytes;
    const int c = int(col % shape.n_cols);
    const auto nibble = [&](const uint8_t* bytes) {  // blocks of 32: low halves first
        return c < 16 ? bytes[c] % 16 : bytes[c - 16] / 16;
    };
    const auto k_nibble = [&](const uint8_t* bytes) {  // 64 columns in 32 bytes, low halves first
        const int byte = bytes[c / 64 * 32 + c % 32];
        return c % 64 < 32 ? byte % 16 : byte / 16;
    };
    switch (type) {
        case TensorType::q4_0:
            return float(plain_half(p) * (nibble(p + 2) - 8));
        case TensorType::q4_1:
            return float(plain_half(p) * nibble(p + 4) + plain_half(p + 2));
        case TensorType::q5_0: {
            const int fifth = p[2 + c / 8] >> c % 8 & 1;
            return float(plain_half(p) * (nibble(p + 6) + 16 * fifth - 16));
        }
        case TensorType::q8_0:
            return float(plain_half(p) * int8_t(p[2 + c]));
        case TensorType::q4_k:
            return float(plain_half(p) * plain_k_scale(p + 4, 0, c / 32) * k_nibble(p + 16) -
                         plain_half(p + 2) * plain_k_scale(p + 4, 1, c / 32));
        case TensorType::q5_k: {
            const int fifth = p[16 + c % 32] >> c / 32 & 1;
            return float(plain_half(p) * plain_k_scale(p + 4, 0, c / 32) *
                             (k_nibble(p + 48) + 16 * fifth) -
                         plain_half(p + 2) * plain_k_scale(p + 4, 1, c / 32));
        }
        case TensorType::q6_k: {
            const int in_half = c % 128;
            const int byte = p[c / 128 * 64 + in_half % 64];
            const int low = in_half < 64 ? byte % 16 : byte / 16;
            const int high = p[128 + c / 128 * 32 + c % 32] >> in_half / 32 * 2 & 3;
            return float(plain_half(p + 208) * int8_t(p[192 + c / 16]) * (low + 16 * high - 32));
        }
        default:
            return NAN;  // equal to nothing
    }
}

}  // namespace axiom::test
