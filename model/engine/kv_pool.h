// SPDX-License-Identifier: MIT
// The memory that sequences keep their state in: blocks of kKvPositions keys and values of one
// layer, from one slab class for each size of block, counted by reference so that sequences can
// share what they have in common.
// Must not know: which positions a block holds, or what a sequence does with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/kernels.h"
#include "core/slab_plan.h"
#include "model/engine/engine_shape.h"
#include "model/format/config.h"

namespace axiom {

// What a sequence keeps of one layer. Keys and values are all there is today. Where other state
// goes:
// - gated delta nets (qwen35) and short convolutions (lfm2): a kind `recurrent`, one object of
//   fixed size for a sequence and layer instead of blocks, in its own class. A fork copies it when
//   written, as blocks; a point to return to needs a copy of it;
// - attention sinks (gpt-oss) are weights, and per-layer embeddings (gemma4) are read by token:
//   neither is state of a sequence.
struct LayerState {
    enum class Kind : uint8_t {
        paged,   // keys and values of every position
        window,  // of the last `window` positions, and what returning to earlier ones needs
        shared,  // those of an earlier layer
    };
    Kind kind = Kind::paged;
    uint32_t block_class = 0;
    uint32_t slot = 0;  // row of a sequence's table; a shared layer has that of the other
    size_t n_head_kv = 0;
    size_t head_bytes = 0;  // of the keys of one head in a block, and of its values (kv_format.h)
    size_t window = 0;      // the widest of the layers that read this slot; 0: unlimited
};

class KvPool {
  public:
    // Distinct sizes of block; layers beyond that share the largest class.
    static constexpr size_t kMaxClasses = 4;

    KvPool() = default;
    KvPool(const KvPool&) = delete;
    KvPool& operator=(const KvPool&) = delete;

    // Adds this pool's classes to a plan; the pool stays where it is and the configuration outlives
    // it. There are blocks for every sequence at its full length, or for shape.n_positions; of
    // windows for as much as shape.n_batch and n_return make necessary.
    void plan(const ModelConfig& config, const EngineShape& shape, SlabPlan& plan);
    // After SlabPlan::create().
    void bind(Slab& slab);

    KvType type() const { return type_; }
    size_t n_ctx() const { return n_ctx_; }
    size_t n_blocks() const { return n_blocks_; }  // of a full sequence, in each slot
    size_t n_slots() const { return n_slots_; }
    std::span<const LayerState> layers() const { return layers_; }
    size_t n_return() const { return n_return_; }
    bool has_windows() const { return has_windows_; }
    // Whether the blocks that are free now are enough for n positions of one more sequence.
    bool has_room(size_t n_positions) const;

  private:
    friend class Sequence;
    using Table = uint8_t**;  // [n_slots, n_blocks] blocks in position order, or nullptr

    LayerState describe(const ModelConfig& config, size_t i_layer) const;
    // Blocks that one sequence has of a layer at a time, at most.
    size_t most_blocks(const LayerState& layer) const;
    void add_class_for(size_t block_bytes);
    uint32_t class_of(size_t block_bytes) const;

    // nullptr when all are in use. A new block holds zeros: kernels read columns past head_dim and
    // positions past the sequence, which must not be NaNs.
    Table take_table();
    void give_back(Table table);
    uint8_t* take_block(uint32_t block_class);
    uint8_t* copy_block(uint32_t block_class, const uint8_t* from);
    void share_block(uint32_t block_class, uint8_t* block) { n_users(block_class, block)++; }
    void release_block(uint32_t block_class, uint8_t* block);
    bool is_shared(uint32_t block_class, uint8_t* block) const {
        return n_users(block_class, block) > 1;
    }
    // Behind the block's keys and values.
    uint32_t& n_users(uint32_t block_class, uint8_t* block) const;

    struct Class {
        size_t block_bytes = 0;
        Slab::ClassId id = 0;
    };
    Slab* slab_ = nullptr;
    const ModelConfig* config_ = nullptr;
    KvType type_ = KvType::f16;
    size_t n_ctx_ = 0, n_batch_ = 0, n_return_ = 0, n_blocks_ = 0, n_slots_ = 0;
    bool has_windows_ = false;
    std::span<LayerState> layers_;  // [n_layer]
    Class classes_[kMaxClasses];
    size_t n_classes_ = 0;
    Slab::ClassId table_class_ = 0;
};

}  // namespace axiom
