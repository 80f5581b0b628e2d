// SPDX-License-Identifier: MIT
// The block formats of the packed file, and their reference packers and dequantizers.
//
// A matrix [n_rows, n_cols] is stored as row groups of 16 rows; each group is a sequence of blocks
// of 16 rows x 32 columns, in column order. Rows and columns past the matrix are zero weights.
// Within a block (f16 is IEEE binary16):
//
//   q4   uint8 nibbles[256]; f16 scale[16];                   w = scale * (q - 8)
//   q4m  uint8 nibbles[256]; f16 scale[16]; f16 minimum[16];  w = scale * q + minimum
//   q5   uint8 nibbles[256]; uint8 high[64]; f16 scale[16];   w = scale * (q - 16)
//   q8   int8  values[512];  f16 scale[16];                   w = scale * q
//
// The K formats (ggml's k-quants, bit for bit) need n_cols to be a multiple of 256: eight blocks make
// a super-block. Its own scales, d and dmin of every row, precede the blocks, which carry small
// integer scales themselves.
//
//   q4k  f16 d[16], dmin[16]; 8 x { uint8 nibbles[256]; uint8 scale[16], minimum[16] }
//   q5k  f16 d[16], dmin[16]; 8 x { uint8 nibbles[256]; uint8 high[64]; uint8 scale[16], minimum[16] }
//        w = (d * scale) * q - dmin * minimum
//   q6k  f16 d[16]; 8 x { uint8 nibbles[256]; uint8 high[128]; int8 scale[2][16] }
//        w = d * (scale[column / 16] * (q - 32))
//
// nibbles[64*k + 4*row + c]: low = column 4k+c, high = column 16+4k+c, for k, c in 0..3.
// values [64*k + 4*row + c]:       column 4k+c,                        for k in 0..7, c in 0..3.
// high of q5, q5k: bit k of high[4*row + c] is bit 4 of column 4k+c, for k in 0..7.
// high of q6k: bits 2k, 2k+1 of high[64*h + 4*row + c] are bits 4, 5 of column 16h+4k+c, k in 0..3.
// So 64 bytes are 16 rows x 4 columns: one zmm against a broadcast activation dword, two ymm of
// 8 rows, four xmm of 4 rows, or eight 64-bit words of 2 rows.
//
// Kernel files call these constexpr functions, so all of them are always inlined (law 6).
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom {

inline constexpr size_t kGroupRows = 16;
inline constexpr size_t kBlockCols = 32;

enum class StoredType : uint32_t {
    f32 = 0,
    f64 = 1,
    q4 = 2,
    q4m = 3,
    q8 = 4,
    q5 = 5,
    q4k = 6,
    q5k = 7,
    q6k = 8
};
inline constexpr uint32_t kNStoredTypes = 9;
inline constexpr StoredType kQuantizedTypes[] = {StoredType::q4, StoredType::q4m, StoredType::q8,
                                                 StoredType::q5, StoredType::q4k, StoredType::q5k,
                                                 StoredType::q6k};

const char* stored_type_name(StoredType t);  // "q4"
[[gnu::always_inline]] constexpr bool is_quantized(
    StoredType t) {  // false for numbers that are no type at all
    return t >= StoredType::q4 && t <= StoredType::q6k;
}
[[gnu::always_inline]] constexpr bool is_k_quant(StoredType t) {
    return t == StoredType::q4k || t == StoredType::q5k || t == StoredType::q6k;
}
// Bytes of one 16 x 32 block, without the scales of its super-block; 0 for the plain types.
[[gnu::always_inline]] constexpr size_t block_bytes(StoredType t) {
    switch (t) {
        case StoredType::q4:
        case StoredType::q4k:
            return 288;
        case StoredType::q4m:
            return 320;
        case StoredType::q5:
        case StoredType::q5k:
            return 352;
        case StoredType::q6k:
            return 416;
        case StoredType::q8:
            return 544;
        case StoredType::f32:
        case StoredType::f64:
            break;
    }
    return 0;
}
// Bytes of a block before its scales.
[[gnu::always_inline]] constexpr size_t quant_bytes(StoredType t) {
    return block_bytes(t) - (t == StoredType::q4m ? 64 : 32);
}
// Blocks of one super-block of a K format, and the bytes of scales that precede them; 0 bytes for the
// other formats.
inline constexpr size_t kSuperBlocks = 8;
[[gnu::always_inline]] constexpr size_t super_scale_bytes(StoredType t) {
    return t == StoredType::q4k || t == StoredType::q5k ? 64 : t == StoredType::q6k ? 32 : 0;
}
// Bytes of one group of 16 rows of n_blocks blocks.
[[gnu::always_inline]] constexpr size_t group_bytes(StoredType t, size_t n_blocks) {
    return n_blocks * block_bytes(t) + n_blocks / kSuperBlocks * super_scale_bytes(t);
}

// Bytes of a stored tensor; false if they do not fit 64 bits, or if n_cols is not a multiple of 256
// for a K format. Plain types are row-major, unpadded.
[[nodiscard]] bool stored_bytes(StoredType t, uint64_t n_rows, uint64_t n_cols, uint64_t* out);

// Offsets in a group of 16 rows: of the super-block that block b belongs to, which begins with its
// scales (K formats; for the others only where b is a multiple of kSuperBlocks), and of block b.
[[gnu::always_inline]] constexpr size_t super_block_offset(StoredType t, size_t b) {
    return group_bytes(t, b / kSuperBlocks * kSuperBlocks);
}
[[gnu::always_inline]] constexpr size_t block_offset(StoredType t, size_t b) {
    return super_block_offset(t, b) + super_scale_bytes(t) + b % kSuperBlocks * block_bytes(t);
}

// A 16 x 32 block before interleaving: what quantization decided. q is as stored, offset included:
// 0..15 for q4, q4m, q4k; 0..31 for q5, q5k; 0..63 for q6k; -128..127 for q8.
struct BlockSource {
    int16_t q[kGroupRows][kBlockCols];
    uint16_t scale[kGroupRows];    // f16 bits; not of K formats
    uint16_t minimum[kGroupRows];  // f16 bits; q4m only
    // K formats: scale (0..255) and minimum (0..255) of q4k and q5k, or the scales (-128..127) of
    // columns 0..15 and 16..31 of q6k.
    int16_t small[2][kGroupRows];
};
void pack_block(StoredType t, const BlockSource& source, uint8_t* block);
void unpack_block(StoredType t, const uint8_t* block, BlockSource* out);  // unused fields are 0

// The scales of a super-block of a K format, f16 bits.
struct SuperScales {
    uint16_t d[kGroupRows];
    uint16_t dmin[kGroupRows];  // q4k and q5k only
};
void pack_super_scales(StoredType t, const SuperScales& source, uint8_t* super);
void unpack_super_scales(StoredType t, const uint8_t* super,
                         SuperScales* out);  // unused fields are 0

// Row `row` of a stored matrix as floats, out[n_cols], by the formulas above: integers are exact,
// each product and sum of floats is rounded to binary32. Of the K formats only the difference of
// q4k and q5k ever rounds.
void dequantize_row(StoredType t, const void* matrix, size_t n_cols, size_t row, float* out);

// IEEE binary16 <-> binary32 without F16C. To half: round to nearest even; overflow to infinity.
float f16_to_f32(uint16_t half);
uint16_t f32_to_f16(float value);

}  // namespace axiom
