// SPDX-License-Identifier: MIT
// What the time from power-on, or from a program's start, to the first token went to. Whatever passes is
// some phase's, so the phases add up to all of it.
// Must not know: what the phases do.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/clock.h"

namespace axiom {

// In the order of the record. bench/RECORD.md says what each is.
enum class Phase : uint8_t {
    firmware,
    console,
    find,
    load,
    verify,
    exit,
    paging,
    cores,
    choice,
    slab,
    prefill,
    other,
};
inline constexpr std::array<std::string_view, 12> kPhaseNames = {
    "firmware", "console", "find",   "load", "verify",  "exit",
    "paging",   "cores",   "choice", "slab", "prefill", "other"};
inline constexpr size_t kNPhases = kPhaseNames.size();
static_assert(size_t(Phase::other) + 1 == kNPhases);

class BootPhases {
  public:
    // `ticks`: when the first phase began. The time-stamp counter begins with 0 at power-on.
    explicit BootPhases(uint64_t ticks) : last_(ticks) {}

    // What has passed since the last end was this phase's.
    void end(Phase phase, uint64_t now = ticks_now()) {
        if (is_closed_) return;
        ticks_[size_t(phase)] += now - last_;
        last_ = now;
    }
    // The same, and nothing counts any more.
    void close(Phase phase, uint64_t now = ticks_now()) {
        end(phase, now);
        is_closed_ = true;
    }
    // Some of what was one phase's is another's.
    void move(Phase from, Phase to, uint64_t ticks) {
        ticks = ticks < ticks_[size_t(from)] ? ticks : ticks_[size_t(from)];
        ticks_[size_t(from)] -= ticks;
        ticks_[size_t(to)] += ticks;
    }

    bool is_closed() const { return is_closed_; }
    uint64_t ticks(size_t i_phase) const { return ticks_[i_phase]; }

  private:
    uint64_t last_;
    bool is_closed_ = false;
    std::array<uint64_t, kNPhases> ticks_{};
};

}  // namespace axiom
