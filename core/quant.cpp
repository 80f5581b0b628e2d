// SPDX-License-Identifier: MIT
#include "core/quant.h"

#include <bit>
#include <cstring>

#include "core/status.h"

namespace axiom {
namespace {

constexpr size_t kNibbleBytes = kGroupRows * kBlockCols / 2;
constexpr size_t kValueBytes = kGroupRows * kBlockCols;

// Where column `col` of row `row` stands: byte index, and for nibbles which half.
constexpr size_t nibble_index(size_t row, size_t col) {
    return 64 * (col % 16 / 4) + 4 * row + col % 4;
}
constexpr bool in_high_nibble(size_t col) {
    return col >= 16;
}
constexpr size_t value_index(size_t row, size_t col) {
    return 64 * (col / 4) + 4 * row + col % 4;
}

}  // namespace

const char* stored_type_name(StoredType t) {
    switch (t) {
        case StoredType::f32:
            return "f32";
        case StoredType::f64:
            return "f64";
        case StoredType::q4:
            return "q4";
        case StoredType::q4m:
            return "q4m";
        case StoredType::q8:
            return "q8";
        case StoredType::q5:
            return "q5";
        case StoredType::q4k:
            return "q4k";
        case StoredType::q5k:
            return "q5k";
        case StoredType::q6k:
            return "q6k";
    }
    return "unknown";
}

bool stored_bytes(StoredType t, uint64_t n_rows, uint64_t n_cols, uint64_t* out) {
    uint64_t padded_rows, padded_cols;
    if (!checked_add(n_rows, kGroupRows - 1, &padded_rows)) return false;
    if (!checked_add(n_cols, kBlockCols - 1, &padded_cols)) return false;
    if (!is_quantized(t)) {
        return checked_mul(n_rows, n_cols, out) &&
               checked_mul(*out, t == StoredType::f32 ? 4 : 8, out);
    }
    if (is_k_quant(t) && n_cols % (kHeadBlocks * kBlockCols) != 0) return false;
    return n_cols < uint64_t{1} << 40 &&
           checked_mul(padded_rows / kGroupRows, group_bytes(t, padded_cols / kBlockCols), out);
}

void pack_block(StoredType t, const BlockSource& source, uint8_t* block) {
    const size_t quant_bytes = t == StoredType::q8 ? kValueBytes : kNibbleBytes;
    memset(block, 0, quant_bytes);
    for (size_t row = 0; row < kGroupRows; row++) {
        for (size_t col = 0; col < kBlockCols; col++) {
            const int q = source.q[row][col];
            if (t == StoredType::q8) {
                block[value_index(row, col)] = uint8_t(q);
            } else {
                block[nibble_index(row, col)] |= uint8_t(in_high_nibble(col) ? q << 4 : q);
            }
        }
    }
    memcpy(block + quant_bytes, source.scale, sizeof source.scale);
    if (t == StoredType::q4m) {
        memcpy(block + quant_bytes + sizeof source.scale, source.minimum, sizeof source.minimum);
    }
}

void unpack_block(StoredType t, const uint8_t* block, BlockSource* out) {
    const size_t quant_bytes = t == StoredType::q8 ? kValueBytes : kNibbleBytes;
    for (size_t row = 0; row < kGroupRows; row++) {
        for (size_t col = 0; col < kBlockCols; col++) {
            if (t == StoredType::q8) {
                out->q[row][col] = int8_t(block[value_index(row, col)]);
            } else {
                const uint8_t byte = block[nibble_index(row, col)];
                out->q[row][col] = in_high_nibble(col) ? byte >> 4 : byte & 15;
            }
        }
    }
    memcpy(out->scale, block + quant_bytes, sizeof out->scale);
    if (t == StoredType::q4m) {
        memcpy(out->minimum, block + quant_bytes + sizeof out->scale, sizeof out->minimum);
    } else {
        memset(out->minimum, 0, sizeof out->minimum);
    }
}

void dequantize_row(StoredType t, const void* matrix, size_t n_cols, size_t row, float* out) {
    const uint8_t* const bytes = static_cast<const uint8_t*>(matrix);
    if (t == StoredType::f32) {
        memcpy(out, bytes + row * n_cols * sizeof(float), n_cols * sizeof(float));
        return;
    }
    if (!is_quantized(t)) AXIOM_PANIC("dequantize_row: not a matrix type");
    const size_t n_blocks = (n_cols + kBlockCols - 1) / kBlockCols;
    const size_t lane = row % kGroupRows;
    const uint8_t* block = bytes + row / kGroupRows * n_blocks * block_bytes(t);
    for (size_t b = 0; b < n_blocks; b++, block += block_bytes(t)) {
        const size_t quant_bytes = t == StoredType::q8 ? kValueBytes : kNibbleBytes;
        uint16_t scale_bits, minimum_bits = 0;
        memcpy(&scale_bits, block + quant_bytes + 2 * lane, 2);
        if (t == StoredType::q4m) memcpy(&minimum_bits, block + quant_bytes + 32 + 2 * lane, 2);
        const float scale = f16_to_f32(scale_bits);
        const float minimum = f16_to_f32(minimum_bits);
        const size_t n =
            n_cols - b * kBlockCols < kBlockCols ? n_cols - b * kBlockCols : kBlockCols;
        for (size_t col = 0; col < n; col++) {
            if (t == StoredType::q8) {
                out[b * kBlockCols + col] = float(int8_t(block[value_index(lane, col)])) * scale;
                continue;
            }
            const uint8_t byte = block[nibble_index(lane, col)];
            const int q = in_high_nibble(col) ? byte >> 4 : byte & 15;
            out[b * kBlockCols + col] =
                t == StoredType::q4 ? float(q - 8) * scale : float(q) * scale + minimum;
        }
    }
}

float f16_to_f32(uint16_t half) {
    const uint32_t sign = uint32_t(half & 0x8000) << 16;
    const uint32_t magnitude = uint32_t(half & 0x7fff) << 13;
    if (magnitude >= 0x0f800000) {  // infinity and NaN: exponent all ones; a NaN becomes quiet
        const uint32_t quiet = magnitude > 0x0f800000 ? 0x00400000 : 0;
        return std::bit_cast<float>(sign | 0x70000000 | magnitude | quiet);
    }
    // Rebias by an exact multiplication, which also normalizes half's subnormals.
    const float scaled = std::bit_cast<float>(magnitude) * 0x1p112f;
    return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(scaled));
}

uint16_t f32_to_f16(float value) {
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint16_t sign = uint16_t(bits >> 16 & 0x8000);
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) {  // NaN: quiet, upper payload bits kept, as VCVTPS2PH
        return uint16_t(sign | 0x7e00 | (magnitude >> 13 & 0x1ff));
    }
    if (magnitude >= 0x47800000) return uint16_t(sign | 0x7c00);  // >= 65536, infinity included
    if (magnitude < 0x38800000) {  // below 2^-14: subnormal half; adding 0.5 rounds at its last bit
        const float shifted = std::bit_cast<float>(magnitude) + 0.5f;
        return uint16_t(sign | (std::bit_cast<uint32_t>(shifted) - 0x3f000000));
    }
    // Round to nearest even at bit 13; the carry may reach the exponent, and then infinity.
    const uint32_t rounded = magnitude + 0xfff + (magnitude >> 13 & 1);
    return uint16_t(sign | ((rounded - 0x38000000) >> 13));
}

}  // namespace axiom
