// SPDX-License-Identifier: MIT
// The merge loop that both tokenizer families share: symbols in a row, the best neighbouring pair
// becomes one symbol, until no pair may merge. O(n log n) by a heap that holds each pair once.
// Must not know: what makes a pair good, or what a token is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/format/tokenizer_section.h"

namespace axiom {

struct Symbol {
    uint32_t previous, next;  // symbols in the row; kNone at its ends
    uint32_t token;           // what it has become, format::kNoToken if nothing
    uint32_t priority;        // of merging with the next one; lower first, ties by position
    uint32_t merged;          // the token that would be
    uint32_t slot;            // in the heap, kNone if no such merge
};

struct PairMerge {
    uint32_t priority = 0;
    uint32_t merged = format::kNoToken;  // kNoToken: the pair does not merge
};

class Merger {
  public:
    static constexpr uint32_t kNone = 0xffffffff;

    // A symbol is named by where it begins in the text, so both spans hold one entry for each byte.
    Merger(std::span<Symbol> symbols, std::span<uint32_t> heap) : symbols_(symbols), heap_(heap) {}

    void clear() { n_heap_ = 0, last_ = kNone; }

    // Symbols in ascending order; the first one is 0.
    void append(uint32_t begin, uint32_t token) {
        symbols_[begin] = {last_, kNone, token, 0, format::kNoToken, kNone};
        if (last_ != kNone) symbols_[last_].next = begin;
        last_ = begin;
    }

    // find_pair(left, right) -> PairMerge, for neighbours by their names.
    template <class FindPair>
    void run(FindPair find_pair) {
        if (last_ == kNone) return;
        for (uint32_t left = 0; symbols_[left].next != kNone; left = symbols_[left].next) {
            consider(left, find_pair);
        }
        while (n_heap_ > 0) {
            const uint32_t left = heap_[0];
            remove(left);
            Symbol& symbol = symbols_[left];
            const uint32_t right = symbol.next;
            remove(right);
            symbol.token = symbol.merged;
            symbol.next = symbols_[right].next;
            if (symbol.next != kNone) symbols_[symbol.next].previous = left;
            if (symbol.previous != kNone) consider(symbol.previous, find_pair);
            consider(left, find_pair);
        }
    }

    const Symbol& operator[](uint32_t i) const { return symbols_[i]; }

  private:
    template <class FindPair>
    void consider(uint32_t left, FindPair find_pair) {
        remove(left);
        Symbol& symbol = symbols_[left];
        if (symbol.next == kNone) return;
        const PairMerge merge = find_pair(left, symbol.next);
        if (merge.merged == format::kNoToken) return;
        symbol.priority = merge.priority;
        symbol.merged = merge.merged;
        place(left, uint32_t(n_heap_++));
        rise(symbol.slot);
    }

    bool before(uint32_t a, uint32_t b) const {
        const uint32_t pa = symbols_[a].priority, pb = symbols_[b].priority;
        return pa < pb || (pa == pb && a < b);
    }
    void place(uint32_t i, uint32_t slot) {
        heap_[slot] = i;
        symbols_[i].slot = slot;
    }
    void rise(uint32_t slot) {
        const uint32_t i = heap_[slot];
        while (slot > 0 && before(i, heap_[(slot - 1) / 2])) {
            place(heap_[(slot - 1) / 2], slot);
            slot = (slot - 1) / 2;
        }
        place(i, slot);
    }
    void sink(uint32_t slot) {
        const uint32_t i = heap_[slot];
        for (size_t child = 2 * size_t{slot} + 1; child < n_heap_; child = 2 * size_t{slot} + 1) {
            if (child + 1 < n_heap_ && before(heap_[child + 1], heap_[child])) child++;
            if (!before(heap_[child], i)) break;
            place(heap_[child], slot);
            slot = uint32_t(child);
        }
        place(i, slot);
    }
    void remove(uint32_t i) {
        const uint32_t slot = symbols_[i].slot;
        if (slot == kNone) return;
        symbols_[i].slot = kNone;
        const uint32_t moved = heap_[--n_heap_];
        if (moved == i) return;
        place(moved, slot);
        rise(slot);
        sink(symbols_[moved].slot);
    }

    std::span<Symbol> symbols_;
    std::span<uint32_t> heap_;
    size_t n_heap_ = 0;
    uint32_t last_ = kNone;
};

}  // namespace axiom
