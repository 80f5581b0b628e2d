// SPDX-License-Identifier: MIT
// One sequence of positions: what the model keeps of its tokens, layer by layer, in blocks of a
// KvPool. It grows at its end, can be cut back, and can be forked: both then share their blocks,
// and who writes to a shared one gets a copy of it.
// Must not know: tokens, or how keys and values are computed and read.
#pragma once

#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "model/engine/kv_pool.h"

namespace axiom {

class Sequence {
  public:
    Sequence() = default;  // of no pool: only to be assigned to
    Sequence(Sequence&& other) noexcept { *this = static_cast<Sequence&&>(other); }
    Sequence& operator=(Sequence&& other) noexcept;
    ~Sequence() { close(); }  // gives everything back

    // An empty one. no_memory when the pool has n_sequences already.
    static Result<Sequence> open(KvPool& pool);
    // Another one with the same positions. no_memory as open().
    Result<Sequence> fork() const;
    void close();

    // Positions it holds; the next row of a batch has this position.
    size_t length() const { return length_; }

    // Forgets position n and all later ones; n is 0 or return_point()..length().
    void truncate(size_t n);

    // The least length it can be cut back to, 0 aside: as the sequence grows, what a window has
    // left behind is freed but for the last EngineShape::n_return positions. 0 for models without
    // windows.
    size_t return_point() const { return return_point_; }

    // A length to come back to; good while it is neither cut off nor below return_point().
    struct Mark {
        size_t length;
    };
    Mark mark() const { return {length_}; }
    void restore(Mark mark) { truncate(mark.length); }

    // --- for the forward pass, on worker 0

    // Makes positions [length, length + n) writable: their blocks are there and shared with no one.
    // no_memory past the context, or when the pool is empty: then as before, once truncated to
    // length().
    Status reserve(size_t n);
    // They have been written: the sequence is longer, and what nobody can see any more is freed.
    void advance(size_t n);

    // Keys and values as one layer sees them.
    class View {
      public:
        // Of one head and positions [block * kKvPositions, ...), as kv_format.h lays them out.
        uint8_t* keys(size_t block, size_t head_kv) const {
            return blocks_[block] + head_kv * head_bytes_;
        }
        uint8_t* values(size_t block, size_t head_kv) const {
            return blocks_[block] + (n_head_kv_ + head_kv) * head_bytes_;
        }

      private:
        friend class Sequence;
        View(uint8_t* const* blocks, const LayerState& layer)
            : blocks_(blocks), n_head_kv_(layer.n_head_kv), head_bytes_(layer.head_bytes) {}
        uint8_t* const* blocks_;
        size_t n_head_kv_, head_bytes_;
    };
    View view(size_t i_layer) const {
        const LayerState& layer = pool_->layers()[i_layer];
        return {table_ + layer.slot * pool_->n_blocks(), layer};
    }

  private:
    // visit(layer, its blocks in position order) for every layer that has blocks of its own.
    template <class Visit>
    void each_slot(Visit&& visit) const {
        for (const LayerState& layer : pool_->layers()) {
            if (layer.kind != LayerState::Kind::shared)
                visit(layer, table_ + layer.slot * pool_->n_blocks());
        }
    }
    // Frees blocks [begin, end) of a slot.
    void release(const LayerState& layer, uint8_t** blocks, size_t begin, size_t end);

    KvPool* pool_ = nullptr;
    uint8_t** table_ = nullptr;
    size_t length_ = 0;
    size_t return_point_ = 0;
};

}  // namespace axiom
