// SPDX-License-Identifier: MIT
#include "packer/keep.h"

#include <cstring>

#include "core/status.h"
#include "packer/dequant.h"

namespace axiom::packer {
namespace {

using gguf::TensorType;

uint16_t bits_at(const uint8_t* p) {
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
}

void copy_nibbles_32(const uint8_t* nibbles, int16_t* q) {
    for (size_t j = 0; j < 16; j++) {
        q[j] = nibbles[j] & 15;
        q[j + 16] = nibbles[j] >> 4;
    }
}

// Sub-block `sub` of Q4_K's and Q5_K's 128 bytes of nibbles: half of 32 bytes.
void copy_k_nibbles_32(const uint8_t* nibbles, size_t sub, int16_t* q) {
    const uint8_t* const bytes = nibbles + sub / 2 * 32;
    for (size_t j = 0; j < kBlockCols; j++) q[j] = sub % 2 ? bytes[j] >> 4 : bytes[j] & 15;
}

void copy_k_scales(const uint8_t* packed, size_t sub, BlockSource* block, size_t row) {
    const KScale k = k_scale(packed, sub);
    block->small[0][row] = k.scale;
    block->small[1][row] = k.minimum;
}

// Quarter `sub % 4` of half `sub / 4` of a Q6_K block.
void copy_q6_k_32(const uint8_t* block, size_t sub, int16_t* q) {
    const size_t half = sub / 4, quarter = sub % 4;
    const uint8_t* const low = block + 64 * half + 32 * (quarter % 2);
    const uint8_t* const pairs = block + 128 + 32 * half;
    for (size_t j = 0; j < kBlockCols; j++) {
        const int nibble = quarter < 2 ? low[j] & 15 : low[j] >> 4;
        q[j] = int16_t(nibble | (pairs[j] >> 2 * quarter & 3) << 4);
    }
}

const uint8_t* block_at(TensorType source, const uint8_t* row_data, size_t i_block) {
    const gguf::BlockShape shape = gguf::block_shape(uint32_t(source));
    return row_data + i_block * kBlockCols / shape.n_cols * shape.n_bytes;
}

}  // namespace

StoredType natural_type(TensorType source) {
    switch (source) {
        case TensorType::q4_0:
            return StoredType::q4;
        case TensorType::q4_1:
            return StoredType::q4m;
        case TensorType::q5_0:
            return StoredType::q5;
        case TensorType::q4_k:
            return StoredType::q4k;
        case TensorType::q5_k:
            return StoredType::q5k;
        case TensorType::q6_k:
            return StoredType::q6k;
        default:
            return StoredType::q8;
    }
}

bool keeps_source(TensorType source, StoredType stored) {
    return stored == natural_type(source) &&
           (stored != StoredType::q8 || source == TensorType::q8_0);
}

void copy_32(TensorType source, const uint8_t* row_data, size_t i_block, BlockSource* block,
             size_t row) {
    const uint8_t* const p = block_at(source, row_data, i_block);
    const size_t sub = i_block % kSuperBlocks;
    int16_t* const q = block->q[row];
    switch (source) {
        case TensorType::q4_0:
            block->scale[row] = bits_at(p);
            copy_nibbles_32(p + 2, q);
            return;
        case TensorType::q4_1:
            block->scale[row] = bits_at(p);
            block->minimum[row] = bits_at(p + 2);
            copy_nibbles_32(p + 4, q);
            return;
        case TensorType::q5_0:
            block->scale[row] = bits_at(p);
            copy_nibbles_32(p + 6, q);
            for (size_t j = 0; j < kBlockCols; j++) q[j] |= (p[2 + j / 8] >> j % 8 & 1) << 4;
            return;
        case TensorType::q8_0:
            block->scale[row] = bits_at(p);
            for (size_t j = 0; j < kBlockCols; j++) q[j] = int8_t(p[2 + j]);
            return;
        case TensorType::q4_k:
            copy_k_scales(p + 4, sub, block, row);
            copy_k_nibbles_32(p + 16, sub, q);
            return;
        case TensorType::q5_k:
            copy_k_scales(p + 4, sub, block, row);
            copy_k_nibbles_32(p + 48, sub, q);
            for (size_t j = 0; j < kBlockCols; j++) q[j] |= (p[16 + j] >> sub & 1) << 4;
            return;
        case TensorType::q6_k:
            block->small[0][row] = int8_t(p[192 + 2 * sub]);
            block->small[1][row] = int8_t(p[192 + 2 * sub + 1]);
            copy_q6_k_32(p, sub, q);
            return;
        default:
            AXIOM_PANIC("copy_32: a type that no stored type holds");
    }
}

void copy_super_scales(TensorType source, const uint8_t* row_data, size_t i_block,
                       SuperScales* super, size_t row) {
    const uint8_t* const p = block_at(source, row_data, i_block);
    if (source == TensorType::q6_k) {
        super->d[row] = bits_at(p + 208);
        return;
    }
    super->d[row] = bits_at(p);
    super->dmin[row] = bits_at(p + 2);
}

}  // namespace axiom::packer
