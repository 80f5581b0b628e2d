// SPDX-License-Identifier: MIT
// Waiting by the time-stamp counter.
#pragma once

#include <cstdint>

#include "core/clock.h"
#include "efi/dev/ports.h"

namespace axiom::efi {

// Until `done` says so; false when it has not after `us` microseconds.
template <class Done>
bool wait_for(const Clock& clock, uint64_t us, const Done& done) {
    const uint64_t ticks = clock.ticks_per_second / 1000000 * us;
    for (const uint64_t begin = ticks_now(); !done(); pause_cpu()) {
        if (ticks_now() - begin >= ticks) return done();
    }
    return true;
}
inline void wait_us(const Clock& clock, uint64_t us) {
    wait_for(clock, us, [] { return false; });
}

}  // namespace axiom::efi
