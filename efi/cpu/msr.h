// SPDX-License-Identifier: MIT
// Model-specific registers of this core (Intel SDM vol. 4).
#pragma once

#include <cstdint>

// In interrupt_stubs.S: false where this core has no such register, or it refuses the value.
extern "C" [[gnu::visibility("hidden")]] bool axiom_probe_msr(uint32_t msr, uint64_t* value);
extern "C" [[gnu::visibility("hidden")]] bool axiom_try_msr(uint32_t msr, uint64_t value);

namespace axiom::efi {

inline uint64_t read_msr(uint32_t msr) {
    uint32_t low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return uint64_t{high} << 32 | low;
}
inline void write_msr(uint32_t msr, uint64_t v) {
    asm volatile("wrmsr" ::"c"(msr), "a"(uint32_t(v)), "d"(uint32_t(v >> 32)) : "memory");
}

}  // namespace axiom::efi
