// SPDX-License-Identifier: MIT
// The block formats of the packed file, and their reference packers and dequantizers.
//
// A matrix [n_rows, n_cols] is stored as row groups of 16 rows; each group is a sequence of blocks
// of 16 rows x 32 columns, in column order. Rows and columns past the matrix are zero weights.
// Within a block (scale and minimum are IEEE binary16):
//
//   q4   uint8 nibbles[256]; f16 scale[16];                   w = scale * (q - 8)
//   q4m  uint8 nibbles[256]; f16 scale[16]; f16 minimum[16];  w = scale * q + minimum
//   q8   int8  values[512];  f16 scale[16];                   w = scale * q
//
// nibbles[64*k + 4*row + c]: low = column 4k+c, high = column 16+4k+c, for k, c in 0..3.
// values [64*k + 4*row + c]:       column 4k+c,                        for k in 0..7, c in 0..3.
// So 64 bytes are 16 rows x 4 columns: one zmm against a broadcast activation dword, two ymm of
// 8 rows, four xmm of 4 rows, or eight 64-bit words of 2 rows.
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom {

inline constexpr size_t kGroupRows = 16;
inline constexpr size_t kBlockCols = 32;

enum class StoredType : uint32_t { f32 = 0, f64 = 1, q4 = 2, q4m = 3, q8 = 4 };
inline constexpr uint32_t kNStoredTypes = 5;

const char* stored_type_name(StoredType t);  // "q4"
constexpr bool is_quantized(StoredType t) {
    return t == StoredType::q4 || t == StoredType::q4m || t == StoredType::q8;
}
// Bytes of one 16 x 32 block: 288, 320, 544; 0 for the plain types.
constexpr size_t block_bytes(StoredType t) {
    return t == StoredType::q4 ? 288 : t == StoredType::q4m ? 320 : t == StoredType::q8 ? 544 : 0;
}
constexpr size_t round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

// Bytes of a stored tensor; false if they do not fit 64 bits. Plain types are row-major, unpadded.
[[nodiscard]] bool stored_bytes(StoredType t, uint64_t n_rows, uint64_t n_cols, uint64_t* out);

// One weight of a 16 x 32 block before interleaving: what quantization decided. For q4 and q4m
// 0 <= q <= 15; for q8 -128 <= q <= 127. `minimum` is used by q4m only.
struct BlockSource {
    int16_t q[kGroupRows][kBlockCols];
    uint16_t scale[kGroupRows];    // f16 bits
    uint16_t minimum[kGroupRows];  // f16 bits
};
void pack_block(StoredType t, const BlockSource& source, uint8_t* block);
void unpack_block(StoredType t, const uint8_t* block, BlockSource* out);

// Row `row` of a stored matrix as floats, out[n_cols]. Each weight is rounded as the kernels round
// it: float(q) * scale (+ minimum).
void dequantize_row(StoredType t, const void* matrix, size_t n_cols, size_t row, float* out);

// IEEE binary16 <-> binary32 without F16C. To half: round to nearest even; overflow to infinity.
float f16_to_f32(uint16_t half);
uint16_t f32_to_f16(float value);

}  // namespace axiom
