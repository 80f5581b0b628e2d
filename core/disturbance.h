// SPDX-License-Identifier: MIT
// What --disturb puts into layers on purpose: a tick on every worker, which may walk a buffer as another
// program would. Must not know: where ticks come from (the local APIC in the image, timer signals on Linux).
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "core/layer_loop.h"
#include "core/status.h"
#include "core/team.h"

namespace axiom {

// One worker's.
struct alignas(64) Tick {
    const uint8_t* buffer = nullptr;  // walked by each tick, a line at a time
    size_t n_bytes = 0;
    std::atomic<uint64_t> n_ticks{0};

    // In the middle of whatever the worker does: general registers only, nothing that is called.
    [[gnu::always_inline]] void handle() {
        constexpr size_t kLineBytes = 64;
        for (size_t at = 0; at < n_bytes; at += kLineBytes) {
            asm volatile("" ::"r"(*static_cast<const volatile uint8_t*>(buffer + at)));
        }
        n_ticks.fetch_add(1, std::memory_order_relaxed);
    }
};

class TickSource {
  public:
    // Both on worker 0, between passes. ticks[rank].handle() runs `hz` times a second on each worker of the
    // team until stop(), while it computes. What is left of a tick that comes late may be lost.
    virtual Status start(Team& team, LayerLoop& loop, std::span<Tick> ticks, uint32_t hz) = 0;
    virtual void stop(Team& team, LayerLoop& loop) = 0;

  protected:
    ~TickSource() = default;
};

}  // namespace axiom
