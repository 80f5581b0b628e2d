// SPDX-License-Identifier: MIT
// How keys and values stand in the blocks of a KvPool: written position by position, read by tiles of
// queries. One class a KvType, with the same members; core/kernels.h has the layouts.
// Must not know: blocks, sequences, or who sees which positions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "core/kernels.h"
#include "core/quant.h"

namespace axiom {

// Queries of one KV head that are taken together. Positions ascend from query to query.
struct QueryTile {
    size_t n = 0;  // at most kMaxQueries
    size_t head_dim = 0;
    float attn_scale = 0;
    float* q[kMaxQueries] = {};         // [head_dim]
    float* scores = nullptr;            // [n, scores_stride] by position
    size_t scores_stride = 0;           // a multiple of kKvPositions
    float* gathered[kMaxQueries] = {};  // [columns]
    size_t end[kMaxQueries] = {};       // a query sees positions before this, ascending

    // The scores from position p on, of each of the first m queries.
    struct Scores {
        float* of[kMaxQueries] = {};
    };
    Scores scores_at(size_t p, size_t m) const {
        Scores s;
        for (size_t j = 0; j < m; j++) s.of[j] = scores + j * scores_stride + p;
        return s;
    }
};

class F16Kv {
  public:
    // Columns that values have in the cache, and so in what is gathered of them.
    static constexpr size_t columns(size_t head_dim) { return round_up(head_dim, 16); }
    // Of the keys of kKvPositions positions, and of their values.
    static constexpr size_t head_bytes(size_t head_dim) {
        return kKvPositions * columns(head_dim) * sizeof(uint16_t);
    }
    static constexpr size_t scratch_bytes(size_t head_dim) { return head_dim * sizeof(uint16_t); }
    static void store_key(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                          uint8_t* keys, size_t at);
    static void store_value(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                            uint8_t* values, size_t at);

    // The tile stays where it is.
    F16Kv(const Kernels& kernels, void*, const QueryTile& tile) : kernels_(kernels), tile_(tile) {}
    // scores[j][p ..] of the block at position p, of the first m queries at least.
    void score(const uint8_t* keys, size_t p, size_t m) const;
    // Adds scores[j][pos] * value[pos], of the block at position p, to what the first m queries have
    // gathered; scores are 0 where a query sees nothing.
    void gather(const uint8_t* values, size_t p, size_t m) const;

  private:
    const Kernels& kernels_;
    const QueryTile& tile_;
};

class Q8Kv {
  public:
    static constexpr size_t columns(size_t head_dim) { return round_up(head_dim, kBlockCols); }
    static constexpr size_t head_bytes(size_t head_dim) {
        return columns(head_dim) / kBlockCols * CachedValues::kBlockBytes;
    }
    static constexpr size_t scratch_bytes(size_t head_dim) {  // of a tile's queries, or of one key
        return std::max(quantized_acts_bytes(columns(head_dim), kMaxQueries),
                        quantized_acts_bytes(columns(head_dim), 1));
    }
    static void store_key(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                          uint8_t* keys, size_t at);
    static void store_value(const Kernels& kernels, void* scratch, const float* x, size_t head_dim,
                            uint8_t* values, size_t at);

    // Scales the tile's queries by attn_scale, in place, and quantizes them.
    Q8Kv(const Kernels& kernels, void* scratch, const QueryTile& tile);
    void score(const uint8_t* keys, size_t p, size_t m) const;
    void gather(const uint8_t* values, size_t p, size_t m) const;

  private:
    const Kernels& kernels_;
    const QueryTile& tile_;
    QuantizedActs queries_;
};

constexpr size_t kv_columns(KvType type, size_t head_dim) {
    return type == KvType::f16 ? F16Kv::columns(head_dim) : Q8Kv::columns(head_dim);
}
constexpr size_t kv_head_bytes(KvType type, size_t head_dim) {
    return type == KvType::f16 ? F16Kv::head_bytes(head_dim) : Q8Kv::head_bytes(head_dim);
}
// What one worker needs as `scratch`, 64-byte aligned.
constexpr size_t kv_scratch_bytes(KvType type, size_t head_dim) {
    return type == KvType::f16 ? F16Kv::scratch_bytes(head_dim) : Q8Kv::scratch_bytes(head_dim);
}
// The key and the value [head_dim] of position `at` of a block.
void kv_store(KvType type, const Kernels& kernels, void* scratch, const float* key,
              const float* value, size_t head_dim, uint8_t* keys, uint8_t* values, size_t at);

}  // namespace axiom
