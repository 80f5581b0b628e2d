// SPDX-License-Identifier: MIT
// Single-producer single-consumer byte ring: the engine writes text, a layer-boundary task drains
// it. Capacity is a power of two and belongs to the caller.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace axiom {

class Ring {
  public:
    void init(char* storage, size_t capacity_power_of_two) {
        storage_ = storage;
        mask_ = capacity_power_of_two - 1;
        head_ = tail_ = 0;
    }
    // Bytes accepted: all of them, or as many as there is room for.
    size_t write(std::string_view text) {
        const size_t head = head_.load(std::memory_order_relaxed);
        const size_t room = capacity() - (head - tail_.load(std::memory_order_acquire));
        const size_t n = text.size() < room ? text.size() : room;
        for (size_t i = 0; i < n; i++) storage_[(head + i) & mask_] = text[i];
        head_.store(head + n, std::memory_order_release);
        return n;
    }
    bool pop(char* c) {
        const size_t tail = tail_.load(std::memory_order_relaxed);
        if (tail == head_.load(std::memory_order_acquire)) return false;
        *c = storage_[tail & mask_];
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }
    bool empty() const {
        return head_.load(std::memory_order_acquire) == tail_.load(std::memory_order_relaxed);
    }
    size_t capacity() const { return mask_ + 1; }

  private:
    char* storage_ = nullptr;
    size_t mask_ = 0;
    std::atomic<size_t> head_{0};
    std::atomic<size_t> tail_{0};
};

}  // namespace axiom
