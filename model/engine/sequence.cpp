// SPDX-License-Identifier: MIT
#include "model/engine/sequence.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace axiom {
namespace {

constexpr size_t blocks_of(size_t n_positions) {
    return (n_positions + kKvPositions - 1) / kKvPositions;
}

// The first block of which a row at `position` or later sees anything.
constexpr size_t first_visible(size_t position, size_t window) {
    return position + 1 > window ? (position + 1 - window) / kKvPositions : 0;
}

}  // namespace

Sequence& Sequence::operator=(Sequence&& other) noexcept {
    if (this == &other) return *this;
    close();
    pool_ = std::exchange(other.pool_, nullptr);
    table_ = std::exchange(other.table_, nullptr);
    length_ = std::exchange(other.length_, 0);
    return_point_ = std::exchange(other.return_point_, 0);
    return *this;
}

Result<Sequence> Sequence::open(KvPool& pool) {
    uint8_t** const table = pool.take_table();
    if (table == nullptr) return error(Code::no_memory, "all sequences are in use");
    Sequence sequence;
    sequence.pool_ = &pool;
    sequence.table_ = table;
    return sequence;
}

Result<Sequence> Sequence::fork() const {
    AXIOM_CHECK(pool_ != nullptr);
    Result<Sequence> result = open(*pool_);
    if (!result.ok()) return result;
    Sequence& other = result.value();
    const size_t n_pointers = pool_->n_slots() * pool_->n_blocks();
    memcpy(other.table_, table_, n_pointers * sizeof *table_);
    other.length_ = length_;
    other.return_point_ = return_point_;
    each_slot([&](const LayerState& layer, uint8_t** blocks) {
        for (size_t b = 0; b < pool_->n_blocks(); b++) {
            if (blocks[b] != nullptr) pool_->share_block(layer.block_class, blocks[b]);
        }
    });
    return result;
}

void Sequence::close() {
    if (pool_ == nullptr) return;
    truncate(0);
    pool_->give_back(table_);
    pool_ = nullptr;
    table_ = nullptr;
}

void Sequence::release(const LayerState& layer, uint8_t** blocks, size_t begin, size_t end) {
    for (size_t b = begin; b < end; b++) {
        if (blocks[b] != nullptr) pool_->release_block(layer.block_class, blocks[b]);
        blocks[b] = nullptr;
    }
}

void Sequence::truncate(size_t n) {
    AXIOM_CHECK(n <= length_ && (n == 0 || n >= return_point_));
    each_slot([&](const LayerState& layer, uint8_t** blocks) {
        release(layer, blocks, n == 0 ? 0 : blocks_of(n), pool_->n_blocks());
    });
    length_ = n;
    if (n == 0) return_point_ = 0;
}

void Sequence::advance(size_t n) {
    length_ += n;
    if (!pool_->has_windows() || length_ <= return_point_ + pool_->n_return()) return;
    const size_t point = length_ - pool_->n_return();
    each_slot([&](const LayerState& layer, uint8_t** blocks) {
        if (layer.kind != LayerState::Kind::window) return;
        release(layer, blocks, first_visible(return_point_, layer.window),
                first_visible(point, layer.window));
    });
    return_point_ = point;
}

Status Sequence::reserve(size_t n) {
    if (n > pool_->n_ctx() - length_) {
        return error(Code::no_memory, "context full: ", uint64_t(length_ + n), " positions, ",
                     uint64_t(pool_->n_ctx()), " allowed");
    }
    bool enough = true;
    each_slot([&](const LayerState& layer, uint8_t** blocks) {
        for (size_t b = length_ / kKvPositions; enough && b < blocks_of(length_ + n); b++) {
            uint8_t* const old = blocks[b];
            if (old != nullptr && !pool_->is_shared(layer.block_class, old)) continue;
            uint8_t* const block = old == nullptr ? pool_->take_block(layer.block_class)
                                                  : pool_->copy_block(layer.block_class, old);
            enough = block != nullptr;
            if (!enough) return;
            if (old != nullptr) pool_->release_block(layer.block_class, old);
            blocks[b] = block;
        }
    });
    if (enough) return {};
    return error(Code::no_memory, "no block of keys and values is left for position ",
                 uint64_t(length_), " and later");
}

}  // namespace axiom
