// SPDX-License-Identifier: MIT
#include "model/engine/kv_pool.h"

#include <algorithm>
#include <cstring>

#include "model/engine/kv_format.h"

namespace axiom {
namespace {

constexpr size_t blocks_of(size_t n_positions) {
    return (n_positions + kKvPositions - 1) / kKvPositions;
}

// Blocks that n neighbouring positions touch at most, wherever they begin.
constexpr size_t blocks_touched(size_t n) {
    return (n + 2 * kKvPositions - 2) / kKvPositions;
}
static_assert(blocks_touched(1) == 1 && blocks_touched(2) == 2);
static_assert(blocks_touched(kKvPositions + 1) == 2 && blocks_touched(kKvPositions + 2) == 3);

// Keys of every head, then values of every head.
constexpr size_t kv_block_bytes(size_t n_head_kv, size_t head_bytes) {
    return 2 * n_head_kv * head_bytes;
}

constexpr std::string_view kClassNames[KvPool::kMaxClasses] = {"kv", "kv 2", "kv 3", "kv 4"};

}  // namespace

LayerState KvPool::describe(const ModelConfig& config, size_t i_layer) const {
    const size_t owner = config.layer(i_layer).kv_layer;
    AXIOM_CHECK(owner <= i_layer && config.layer(owner).kv_layer == owner);
    const LayerConfig& layer = config.layer(owner);
    LayerState state;
    state.n_head_kv = layer.n_head_kv;
    state.head_bytes = kv_head_bytes(type_, layer.head_dim);
    state.window = layer.window;
    for (size_t i = 0; i < config.n_layer; i++) {
        const LayerConfig& reader = config.layer(i);
        if (reader.kv_layer != owner) continue;
        state.window = reader.window == 0 || state.window == 0
                           ? 0
                           : std::max<size_t>(state.window, reader.window);
    }
    state.kind = owner != i_layer    ? LayerState::Kind::shared
                 : state.window != 0 ? LayerState::Kind::window
                                     : LayerState::Kind::paged;
    for (size_t i = 0; i < owner; i++) state.slot += config.layer(i).kv_layer == i;
    state.block_class = class_of(kv_block_bytes(state.n_head_kv, state.head_bytes));
    return state;
}

uint32_t KvPool::class_of(size_t block_bytes) const {
    for (uint32_t c = 0; c < n_classes_; c++) {
        if (classes_[c].block_bytes == block_bytes) return c;
    }
    return kMaxClasses - 1;
}

void KvPool::add_class_for(size_t block_bytes) {
    for (size_t c = 0; c < n_classes_; c++) {
        if (classes_[c].block_bytes == block_bytes) return;
    }
    if (n_classes_ < kMaxClasses) n_classes_++, classes_[n_classes_ - 1] = {};
    Class& last = classes_[n_classes_ - 1];
    last.block_bytes = std::max(last.block_bytes, block_bytes);
}

void KvPool::plan(const ModelConfig& config, const EngineShape& shape, SlabPlan& plan) {
    config_ = &config;
    type_ = shape.kv_type;
    n_ctx_ = shape.n_ctx;
    n_return_ = std::min(shape.n_return, shape.n_ctx);
    n_batch_ = shape.n_batch;
    n_blocks_ = blocks_of(shape.n_ctx);
    n_slots_ = n_classes_ = 0;
    has_windows_ = false;

    for (size_t i = 0; i < config.n_layer; i++) {
        const LayerConfig& layer = config.layer(i);
        if (layer.kv_layer == i)
            add_class_for(kv_block_bytes(layer.n_head_kv, kv_head_bytes(type_, layer.head_dim)));
    }
    const uint64_t n_all = shape.n_positions == 0 ? uint64_t(n_blocks_) * shape.n_sequences
                                                  : blocks_of(shape.n_positions);
    uint64_t n_blocks[kMaxClasses] = {};
    for (size_t i = 0; i < config.n_layer; i++) {
        const LayerState state = describe(config, i);
        if (state.kind == LayerState::Kind::shared) continue;
        has_windows_ |= state.kind == LayerState::Kind::window;
        n_slots_++;
        const uint64_t n = most_blocks(state);
        n_blocks[state.block_class] += std::clamp<uint64_t>(n_all, n, n * shape.n_sequences);
    }

    plan.add_array("kv_layers", config.n_layer, &layers_);
    plan.add_class("kv_table", n_slots_ * n_blocks_ * sizeof(uint8_t*), shape.n_sequences,
                   &table_class_);
    for (size_t c = 0; c < n_classes_; c++) {
        plan.add_class(kClassNames[c], classes_[c].block_bytes + Slab::kAlignment, n_blocks[c],
                       &classes_[c].id);
    }
}

size_t KvPool::most_blocks(const LayerState& layer) const {
    if (layer.kind != LayerState::Kind::window) return n_blocks_;
    return std::min(n_blocks_, blocks_touched(n_batch_ + n_return_ + layer.window - 1));
}

bool KvPool::has_room(size_t n_positions) const {
    size_t n_free[kMaxClasses] = {};
    for (size_t c = 0; c < n_classes_; c++) {
        const SlabClassStats stats = slab_->stats(classes_[c].id);
        n_free[c] = stats.capacity - stats.in_use;
    }
    for (const LayerState& layer : layers_) {
        if (layer.kind == LayerState::Kind::shared) continue;
        const size_t n = std::min(blocks_of(n_positions), most_blocks(layer));
        if (n_free[layer.block_class] < n) return false;
        n_free[layer.block_class] -= n;
    }
    return true;
}

void KvPool::bind(Slab& slab) {
    slab_ = &slab;
    for (size_t i = 0; i < layers_.size(); i++) layers_[i] = describe(*config_, i);
}

KvPool::Table KvPool::take_table() {
    void* const table = slab_->allocate(table_class_);
    if (table != nullptr) memset(table, 0, n_slots_ * n_blocks_ * sizeof(uint8_t*));
    return static_cast<Table>(table);
}

void KvPool::give_back(Table table) {
    slab_->free(table_class_, table);
}

uint8_t* KvPool::take_block(uint32_t block_class) {
    uint8_t* const block = static_cast<uint8_t*>(slab_->allocate(classes_[block_class].id));
    if (block == nullptr) return nullptr;
    memset(block, 0, classes_[block_class].block_bytes);
    n_users(block_class, block) = 1;
    return block;
}

uint8_t* KvPool::copy_block(uint32_t block_class, const uint8_t* from) {
    uint8_t* const block = static_cast<uint8_t*>(slab_->allocate(classes_[block_class].id));
    if (block == nullptr) return nullptr;
    memcpy(block, from, classes_[block_class].block_bytes);
    n_users(block_class, block) = 1;
    return block;
}

void KvPool::release_block(uint32_t block_class, uint8_t* block) {
    if (--n_users(block_class, block) == 0) slab_->free(classes_[block_class].id, block);
}

uint32_t& KvPool::n_users(uint32_t block_class, uint8_t* block) const {
    return *reinterpret_cast<uint32_t*>(block + classes_[block_class].block_bytes);
}

}  // namespace axiom
