// SPDX-License-Identifier: MIT
#include "core/quant.h"

#include <bit>
#include <cstring>

#include "core/status.h"

namespace axiom {
namespace {

constexpr size_t kNibbleBytes = kGroupRows * kBlockCols / 2;

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

constexpr bool has_fifth_bit(StoredType t) {
    return t == StoredType::q5 || t == StoredType::q5k;
}

// Adds one row to a block of zeros.
void pack_row(StoredType t, const int16_t* q, size_t row, uint8_t* block) {
    if (t == StoredType::q8) {
        for (size_t col = 0; col < kBlockCols; col++)
            block[value_index(row, col)] = uint8_t(q[col]);
        return;
    }
    uint8_t* const high = block + kNibbleBytes;
    for (size_t col = 0; col < kBlockCols; col++) {
        const int low = q[col] & 15;
        block[nibble_index(row, col)] |= uint8_t(in_high_nibble(col) ? low << 4 : low);
        if (has_fifth_bit(t)) {
            high[4 * row + col % 4] |= uint8_t((q[col] >> 4 & 1) << col / 4);
        } else if (t == StoredType::q6k) {
            high[64 * (col / 16) + 4 * row + col % 4] |=
                uint8_t((q[col] >> 4 & 3) << 2 * (col % 16 / 4));
        }
    }
}

void unpack_row(StoredType t, const uint8_t* block, size_t row, int16_t* q) {
    if (t == StoredType::q8) {
        for (size_t col = 0; col < kBlockCols; col++) q[col] = int8_t(block[value_index(row, col)]);
        return;
    }
    const uint8_t* const high = block + kNibbleBytes;
    for (size_t col = 0; col < kBlockCols; col++) {
        const uint8_t byte = block[nibble_index(row, col)];
        int value = in_high_nibble(col) ? byte >> 4 : byte & 15;
        if (has_fifth_bit(t)) {
            value |= (high[4 * row + col % 4] >> col / 4 & 1) << 4;
        } else if (t == StoredType::q6k) {
            value |= (high[64 * (col / 16) + 4 * row + col % 4] >> 2 * (col % 16 / 4) & 3) << 4;
        }
        q[col] = int16_t(value);
    }
}

float half_at(const uint8_t* halves, size_t i) {
    uint16_t bits;
    memcpy(&bits, halves + 2 * i, sizeof bits);
    return f16_to_f32(bits);
}

// The first n columns of one row of a block.
void dequantize_block(StoredType t, const uint8_t* super, const uint8_t* block, size_t row,
                      size_t n, float* out) {
    int16_t q[kBlockCols];
    unpack_row(t, block, row, q);
    const uint8_t* const scales = block + quant_bytes(t);
    if (t == StoredType::q6k) {
        const float d = half_at(super, row);
        for (size_t col = 0; col < n; col++) {
            out[col] = d * float(int8_t(scales[col / 16 * kGroupRows + row]) * (q[col] - 32));
        }
        return;
    }
    if (is_k_quant(t)) {
        const float scale = half_at(super, row) * float(scales[row]);
        const float minimum = half_at(super, kGroupRows + row) * float(scales[kGroupRows + row]);
        for (size_t col = 0; col < n; col++) out[col] = scale * float(q[col]) - minimum;
        return;
    }
    const float scale = half_at(scales, row);
    if (t == StoredType::q4m) {
        const float minimum = half_at(scales, kGroupRows + row);
        for (size_t col = 0; col < n; col++) out[col] = float(q[col]) * scale + minimum;
        return;
    }
    const int offset = t == StoredType::q4 ? 8 : t == StoredType::q5 ? 16 : 0;
    for (size_t col = 0; col < n; col++) out[col] = float(q[col] - offset) * scale;
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
    if (is_k_quant(t) && n_cols % (kSuperBlocks * kBlockCols) != 0) return false;
    return n_cols < uint64_t{1} << 40 &&
           checked_mul(padded_rows / kGroupRows, group_bytes(t, padded_cols / kBlockCols), out);
}

void pack_block(StoredType t, const BlockSource& source, uint8_t* block) {
    memset(block, 0, quant_bytes(t));
    for (size_t row = 0; row < kGroupRows; row++) pack_row(t, source.q[row], row, block);
    uint8_t* const scales = block + quant_bytes(t);
    if (is_k_quant(t)) {
        for (size_t row = 0; row < kGroupRows; row++) {
            scales[row] = uint8_t(source.small[0][row]);
            scales[kGroupRows + row] = uint8_t(source.small[1][row]);
        }
        return;
    }
    memcpy(scales, source.scale, sizeof source.scale);
    if (t == StoredType::q4m) {
        memcpy(scales + sizeof source.scale, source.minimum, sizeof source.minimum);
    }
}

void unpack_block(StoredType t, const uint8_t* block, BlockSource* out) {
    memset(out, 0, sizeof *out);
    for (size_t row = 0; row < kGroupRows; row++) unpack_row(t, block, row, out->q[row]);
    const uint8_t* const scales = block + quant_bytes(t);
    if (is_k_quant(t)) {
        for (size_t row = 0; row < kGroupRows; row++) {
            for (size_t i = 0; i < 2; i++) {
                const uint8_t byte = scales[i * kGroupRows + row];
                out->small[i][row] = t == StoredType::q6k ? int8_t(byte) : int16_t(byte);
            }
        }
        return;
    }
    memcpy(out->scale, scales, sizeof out->scale);
    if (t == StoredType::q4m) {
        memcpy(out->minimum, scales + sizeof out->scale, sizeof out->minimum);
    }
}

void pack_super_scales(StoredType t, const SuperScales& source, uint8_t* super) {
    memcpy(super, source.d, sizeof source.d);
    if (t != StoredType::q6k) memcpy(super + sizeof source.d, source.dmin, sizeof source.dmin);
}

void unpack_super_scales(StoredType t, const uint8_t* super, SuperScales* out) {
    memset(out, 0, sizeof *out);
    memcpy(out->d, super, sizeof out->d);
    if (t != StoredType::q6k) memcpy(out->dmin, super + sizeof out->d, sizeof out->dmin);
}

void dequantize_row(StoredType t, const void* matrix, size_t n_cols, size_t row, float* out) {
    const uint8_t* const bytes = static_cast<const uint8_t*>(matrix);
    if (t == StoredType::f32) {
        memcpy(out, bytes + row * n_cols * sizeof(float), n_cols * sizeof(float));
        return;
    }
    if (!is_quantized(t)) AXIOM_PANIC("dequantize_row: not a matrix type");
    const size_t n_blocks = (n_cols + kBlockCols - 1) / kBlockCols;
    const uint8_t* const group = bytes + row / kGroupRows * group_bytes(t, n_blocks);
    for (size_t b = 0; b < n_blocks; b++) {
        const size_t left = n_cols - b * kBlockCols;
        dequantize_block(t, group + super_block_offset(t, b), group + block_offset(t, b),
                         row % kGroupRows, left < kBlockCols ? left : kBlockCols,
                         out + b * kBlockCols);
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
