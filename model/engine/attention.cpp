// SPDX-License-Identifier: MIT
// Attention: keys and values enter their sequence's blocks, queries read them tile by tile.
#include <algorithm>
#include <cstring>

#include "core/mathf.h"
#include "model/engine/transformer.h"

namespace axiom {
namespace {

constexpr float kMinusInfinity = -__builtin_huge_valf();

// Queries of a tile that is claimed: many share each conversion of keys and values, but every worker
// is to find tiles, some to end with when others are still at theirs. Kernels like multiples of 4.
constexpr size_t queries_a_tile(size_t n_queries, size_t n_workers) {
    constexpr size_t kTilesAWorker = 4, kFewest = 4;
    const size_t share = n_queries / (n_workers * kTilesAWorker);
    return std::clamp(share / kFewest * kFewest, kFewest, kMaxQueries);
}
static_assert(queries_a_tile(0, 1) == 4 && queries_a_tile(1 << 20, 1) == kMaxQueries);

}  // namespace

// RMSNorm over all heads of a row at once.
void Transformer::norm_whole(const Layer& layer) {
    const LayerConfig& c = layer.config;
    const size_t n_units = layer.owns_kv() ? 2 : 1;  // per row
    const auto [begin, end] = layer.worker.split(layer.n_rows() * n_units);
    for (size_t unit = begin; unit < end; unit++) {
        const size_t t = unit / n_units;
        const bool is_key = unit % n_units != 0;
        float* const x = is_key ? ws_.k + t * ws_.kv_stride : ws_.q + t * ws_.q_stride;
        const TensorView& weight = layer.weights[is_key ? Role::attn_k_norm : Role::attn_q_norm];
        if (weight)
            kernels_.rms_norm(x, weight.f32(), is_key ? c.n_kv() : c.n_q(), config_.rms_eps, x);
    }
    layer.meet();
}

// Heads are normed and turned: queries in place; keys enter the cache with their values.
void Transformer::rotate_and_store(const Layer& layer) {
    const LayerConfig& c = layer.config;
    const size_t head_dim = c.head_dim;
    const size_t n_units = c.n_head + (layer.owns_kv() ? c.n_head_kv : 0);  // per row
    void* const scratch = ws_.scratch[layer.worker.rank].kv;
    const auto turn = [&](float* x, size_t t, const TensorView& norm) {
        if (norm && c.norm_whole_qk == 0)
            kernels_.rms_norm(x, norm.f32(), head_dim, config_.rms_eps, x);
        if (c.rope == format::kNone) return;
        kernels_.rope(x, ws_.cosines(c.rope, t), ws_.sines(c.rope, t), config_.rope[c.rope].n_dims);
    };
    const TensorView& q_norm = layer.weights[Role::attn_q_norm];
    const TensorView& k_norm = layer.weights[Role::attn_k_norm];
    const auto [begin, end] = layer.worker.split(layer.pass.rows.size() * n_units);
    for (size_t unit = begin; unit < end; unit++) {
        const size_t t = unit / n_units, head = unit % n_units;
        if (head < c.n_head) {
            turn(ws_.q + t * ws_.q_stride + head * head_dim, t, q_norm);
            continue;
        }
        const size_t head_kv = head - c.n_head;
        const Row& row = layer.pass.rows[t];
        const Sequence::View kv = row.sequence->view(layer.index);
        const size_t block = row.position / kKvPositions, at = row.position % kKvPositions;
        float* const key = ws_.k + t * ws_.kv_stride + head_kv * head_dim;
        turn(key, t, k_norm);
        const float* const value = ws_.v + t * ws_.kv_stride + head_kv * head_dim;
        kv_store(kv_type(), kernels_, scratch, key, value, head_dim, kv.keys(block, head_kv),
                 kv.values(block, head_kv), at);
    }
}

// softmax(scale q k^T) v, each query over the positions it sees; in place of q, and
// quantized. Queries that read the same keys and values (a sequence's rows, the heads of a group)
// are taken together, at most kMaxQueries.
void Transformer::attend(const Layer& layer) {
    const Pass& pass = layer.pass;
    const LayerConfig& c = layer.config;
    const size_t heads_per_kv = c.n_head / c.n_head_kv;
    if (!pass.policy.claims_attention) {
        const auto [begin, end] = layer.worker.split(c.n_head);
        for (size_t first = begin; first < end;) {
            const size_t head_kv = first / heads_per_kv, group_end = (head_kv + 1) * heads_per_kv;
            const size_t n = std::min(std::min(group_end, end) - first, kMaxQueries);
            attend_tile(layer, {pass.groups[0], head_kv, first - head_kv * heads_per_kv, n});
            first += n;
        }
    } else {
        const size_t n_tile = queries_a_tile(pass.rows.size() * c.n_head, layer.worker.count);
        const auto tiles_of = [&](const RowGroup& group) {  // of one KV head
            return (group.n_rows * heads_per_kv + n_tile - 1) / n_tile;
        };
        size_t n_units = 0;
        for (const RowGroup& group : pass.groups) n_units += c.n_head_kv * tiles_of(group);
        // Claims ascend, and so do the groups they are in.
        const RowGroup* group = pass.groups.data();
        size_t units_before = 0;
        for (;;) {
            const auto [begin, end] = layer.worker.claim(n_units, 1);
            if (begin == end) break;
            for (size_t unit = begin; unit < end; unit++) {
                while (unit - units_before >= c.n_head_kv * tiles_of(*group))
                    units_before += c.n_head_kv * tiles_of(*group++);
                const size_t i = unit - units_before, n_tiles = tiles_of(*group);
                const size_t first = i % n_tiles * n_tile;
                const size_t left = group->n_rows * heads_per_kv - first;
                attend_tile(layer, {*group, i / n_tiles, first, std::min(left, n_tile)});
            }
        }
    }
    if (c.head_dim % kBlockCols == 0) return;
    // Heads that share a block of columns are quantized when all are there.
    layer.meet();
    const QuantizedActs out = attn_acts(layer);
    const size_t n_blocks = out.n_cols / kBlockCols;
    const auto [begin, end] = layer.worker.split(pass.rows.size() * n_blocks);
    for (size_t i = begin; i < end; i++) {
        const size_t t = i / n_blocks, b = i % n_blocks;
        kernels_.quantize(ws_.q + t * ws_.q_stride, c.n_q(), out, t, b, b + 1);
    }
}

void Transformer::attend_tile(const Layer& layer, const Tile& tile) {
    if (kv_type() == KvType::f16) {
        attend_tile_as<F16Kv>(layer, tile);
    } else {
        attend_tile_as<Q8Kv>(layer, tile);
    }
}

template <class Kv>
void Transformer::attend_tile_as(const Layer& layer, const Tile& tile) {
    const LayerConfig& c = layer.config;
    const size_t head_dim = c.head_dim, n_columns = Kv::columns(head_dim), n = tile.n;
    const size_t heads_per_kv = c.n_head / c.n_head_kv;
    const Sequence::View kv = tile.group.sequence->view(layer.index);
    const Scratch& scratch = ws_.scratch[layer.worker.rank];
    QueryTile queries = {.n = n,
                         .head_dim = head_dim,
                         .attn_scale = c.attn_scale,
                         .scores = scratch.scores,
                         .scores_stride = ws_.scores_stride};
    size_t row[kMaxQueries];
    // A query sees positions [begin, end) and reads them from the block they begin in. Rows stand
    // in the order of their positions, so all three ascend.
    size_t begin[kMaxQueries] = {}, block[kMaxQueries] = {};
    size_t* const end = queries.end;
    for (size_t j = 0; j < n; j++) {
        row[j] = layer.pass.order[tile.group.first + (tile.first + j) / heads_per_kv];
        const size_t head = tile.head_kv * heads_per_kv + (tile.first + j) % heads_per_kv;
        queries.q[j] = ws_.q + row[j] * ws_.q_stride + head * head_dim;
        queries.gathered[j] = scratch.gathered + j * n_columns;
        end[j] = layer.pass.rows[row[j]].position + 1;
        begin[j] = c.window != 0 && end[j] > c.window ? end[j] - c.window : 0;
        block[j] = begin[j] / kKvPositions * kKvPositions;
    }
    // Queries that have begun at position p: the first of the tile.
    const auto begun = [&](size_t p) {
        size_t m = n;
        while (block[m - 1] > p) m--;
        return m;
    };
    const size_t first = block[0], last = round_up(end[n - 1], kKvPositions);
    const Kv reader(kernels_, scratch.kv, queries);

    for (size_t p = first; p < last; p += kKvPositions)
        reader.score(kv.keys(p / kKvPositions, tile.head_kv), p, begun(p));
    for (size_t j = 0; j < n; j++) {
        float* const scores = scratch.scores + j * ws_.scores_stride;  // [end], then their softmax
        if (c.attn_softcap != 0)
            kernels_.softcap(scores + block[j], end[j] - block[j], c.attn_softcap);
        // What lies before the window weighs nothing, and nothing is what the smallest weight that
        // softmax can give is rounded to. Nor does what comes after the query.
        std::fill(scores + block[j], scores + begin[j], kMinusInfinity);
        kernels_.softmax(scores + block[j], end[j] - block[j]);
        std::fill(scores + block[j], scores + begin[j], 0.0f);
        std::fill(scores + end[j], scores + last, 0.0f);
    }

    memset(scratch.gathered, 0, n * n_columns * sizeof(float));
    for (size_t p = first; p < last; p += kKvPositions)
        reader.gather(kv.values(p / kKvPositions, tile.head_kv), p, begun(p));
    for (size_t j = 0; j < n; j++) {
        memcpy(queries.q[j], queries.gathered[j], head_dim * sizeof(float));
        if (head_dim % kBlockCols != 0) continue;
        float* const row_q = ws_.q + row[j] * ws_.q_stride;
        const size_t b = size_t(queries.q[j] - row_q) / kBlockCols;
        kernels_.quantize(row_q, c.n_q(), attn_acts(layer), row[j], b, b + head_dim / kBlockCols);
    }
}

}  // namespace axiom
