// SPDX-License-Identifier: MIT
// Ticks of the time-stamp counter and what they mean in nanoseconds.
// Must not know: how the rate was found (efi/cpu calibrates, bench/ asks Linux).
#pragma once

#include <cstdint>

namespace axiom {

// The counter itself: invariant TSC, ordered after earlier loads (lfence; rdtsc).
inline uint64_t ticks_now() {
    uint32_t lo, hi;
    asm volatile("lfence\n\trdtsc" : "=a"(lo), "=d"(hi)::"memory");
    return uint64_t{hi} << 32 | lo;
}

struct Clock {
    uint64_t ticks_per_second = 0;  // measured against a second clock, never assumed

    double seconds(uint64_t ticks) const { return double(ticks) / double(ticks_per_second); }
    uint64_t ns(uint64_t ticks) const {
        return uint64_t((unsigned __int128)(ticks)*1000000000u / ticks_per_second);
    }
};

}  // namespace axiom
