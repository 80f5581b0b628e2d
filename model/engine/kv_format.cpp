// SPDX-License-Identifier: MIT
#include "model/engine/kv_format.h"

#include <algorithm>
#include <cstring>

namespace axiom {
namespace {

uint16_t* halves(uint8_t* p) {
    return reinterpret_cast<uint16_t*>(p);
}
const uint16_t* halves(const uint8_t* p) {
    return reinterpret_cast<const uint16_t*>(p);
}

// Of the positions [0, n), how many are in the block that begins at p.
constexpr size_t in_block(size_t n, size_t p) {
    return n <= p ? 0 : std::min(n - p, kKvPositions);
}

}  // namespace

// ---- f16

void F16Kv::store_key(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                      uint8_t* keys, size_t at) {
    uint16_t* const key = static_cast<uint16_t*>(scratch);
    kernels.to_f16(x, key, head_dim);
    for (size_t i = 0; i < head_dim; i++) halves(keys)[i * kKvPositions + at] = key[i];
}

void F16Kv::store_value(const Kernels& kernels, void*, const float* x, size_t head_dim,
                        uint8_t* values, size_t at) {
    kernels.to_f16(x, halves(values) + at * columns(head_dim), head_dim);
}

void F16Kv::score(const uint8_t* keys, size_t p, size_t m) const {
    const QueryTile::Scores scores = tile_.scores_at(p, m);
    kernels_.attention_scores(tile_.q, m, halves(keys), tile_.head_dim, tile_.attn_scale,
                              scores.of);
}

// Positions that all queries see, and then those of each that the first does not.
void F16Kv::gather(const uint8_t* values, size_t p, size_t m) const {
    const size_t n_columns = columns(tile_.head_dim);
    const QueryTile::Scores scores = tile_.scores_at(p, m);
    const size_t shared = in_block(tile_.end[0], p);
    kernels_.attention_values(scores.of, m, halves(values), n_columns, shared, tile_.gathered);
    for (size_t j = 0; j < m; j++) {
        const size_t own = in_block(tile_.end[j], p);
        if (own == shared) continue;
        const float* const rest = scores.of[j] + shared;
        kernels_.attention_values(&rest, 1, halves(values) + shared * n_columns, n_columns,
                                  own - shared, &tile_.gathered[j]);
    }
}

// ---- q8_0

namespace {

// [head_dim] in blocks of 32 columns, in scratch.
QuantizedActs quantized(const Kernels& kernels, void* scratch, const float* x, size_t head_dim) {
    const QuantizedActs acts = quantized_acts_in(scratch, Q8Kv::columns(head_dim), 1);
    kernels.quantize(x, head_dim, acts, 0, 0, acts.n_cols / kBlockCols);
    return acts;
}

uint16_t stored_scale(const QuantizedActs& acts, size_t b) {
    constexpr float kLargestHalf = 65504;
    return f32_to_f16(std::min(acts.field<float>(QuantizedActs::scale, 0, b), kLargestHalf));
}

// Keys stay in memory until another layer's have been by: nothing is worth fetching ahead.
constexpr Reading kKeyReading = {
    .n_streams = kKvPositions / kGroupRows, .ahead_bytes = 0, .n_tokens = 1};

}  // namespace

void Q8Kv::store_key(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                     uint8_t* keys, size_t at) {
    const QuantizedActs acts = quantized(kernels, scratch, x, head_dim);
    const size_t n_blocks = acts.n_cols / kBlockCols, row = at % kGroupRows;
    uint8_t* const group = keys + at / kGroupRows * group_bytes(StoredType::q8, n_blocks);
    for (size_t b = 0; b < n_blocks; b++) {
        uint8_t* const block = group + block_offset(StoredType::q8, b);
        for (size_t k = 0; k < kBlockCols / 4; k++)
            memcpy(block + 64 * k + 4 * row, acts.q(0, b) + 4 * k, 4);
        halves(block + quant_bytes(StoredType::q8))[row] = stored_scale(acts, b);
    }
}

void Q8Kv::store_value(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                       uint8_t* values, size_t at) {
    const QuantizedActs acts = quantized(kernels, scratch, x, head_dim);
    for (size_t b = 0; b < acts.n_cols / kBlockCols; b++) {
        uint8_t* const block = values + b * CachedValues::kBlockBytes;
        for (size_t c = 0; c < kBlockCols; c++)
            block[CachedValues::q_at(at, c)] = uint8_t(acts.q(0, b)[c]);
        *halves(block + CachedValues::scale_at(at)) = stored_scale(acts, b);
    }
}

Q8Kv::Q8Kv(const Kernels& kernels, void* scratch, const QueryTile& tile)
    : kernels_(kernels),
      tile_(tile),
      queries_(quantized_acts_in(scratch, columns(tile.head_dim), tile.n)) {
    for (size_t j = 0; j < tile.n; j++) {
        kernels.scale(tile.q[j], tile.attn_scale, tile.head_dim);
        kernels.quantize(tile.q[j], tile.head_dim, queries_, j, 0, queries_.n_cols / kBlockCols);
    }
}

void Q8Kv::score(const uint8_t* keys, size_t p, size_t m) const {
    matmul_for(kernels_, StoredType::q8, kKeyReading)(keys, queries_, m, tile_.scores + p,
                                                      tile_.scores_stride, 0, kKvPositions);
}

void Q8Kv::gather(const uint8_t* values, size_t p, size_t m) const {
    const QueryTile::Scores scores = tile_.scores_at(p, m);
    kernels_.attention_values_q8(scores.of, m, values, columns(tile_.head_dim), tile_.gathered);
}

void kv_store(KvType type, const Kernels& kernels, void* scratch, const float* key,
              const float* value, size_t head_dim, uint8_t* keys, uint8_t* values, size_t at) {
    const auto store = [&]<class Kv>() {
        Kv::store_key(kernels, scratch, key, head_dim, keys, at);
        Kv::store_value(kernels, scratch, value, head_dim, values, at);
    };
    if (type == KvType::f16) {
        store.template operator()<F16Kv>();
    } else {
        store.template operator()<Q8Kv>();
    }
}

}  // namespace axiom
