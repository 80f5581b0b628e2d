// SPDX-License-Identifier: MIT
// Where the cores beside the boot processor have their stacks and state: one place after another,
// each with its guards. Must not know: who allocated it, or what runs there.
#pragma once

#include <cstdint>

#include "core/slab.h"
#include "efi/cpu/core_state.h"
#include "efi/cpu/interrupts.h"
#include "efi/memory/memory_map.h"

namespace axiom::efi {

struct CoreMemory {
    static constexpr uint64_t kStackBytes = 64 << 10;
    static constexpr uint64_t kExceptionStacksBytes = kNExceptionStacks * kExceptionStackBytes;
    static constexpr uint64_t kStateBytes = kPageBytes;
    // guard, exception stacks, guard, stack, state
    static constexpr uint64_t kPlaceBytes =
        kPageBytes + kExceptionStacksBytes + kPageBytes + kStackBytes + kStateBytes;
    static_assert(sizeof(CoreState) <= kStateBytes);

    uint64_t base = 0;
    uint64_t n_places = 0;    // 0: the boot processor alone
    uint64_t trampoline = 0;  // kTrampolinePages below kTrampolineEnd

    AddressRange range() const { return {base, base + n_places * kPlaceBytes}; }
    uint64_t exception_guard(uint64_t i) const { return base + i * kPlaceBytes; }
    uint64_t exception_stacks(uint64_t i) const { return exception_guard(i) + kPageBytes; }
    uint64_t stack_guard(uint64_t i) const { return exception_stacks(i) + kExceptionStacksBytes; }
    uint64_t stack_begin(uint64_t i) const { return stack_guard(i) + kPageBytes; }
    uint64_t stack_end(uint64_t i) const { return stack_begin(i) + kStackBytes; }
    CoreState* state(uint64_t i) const { return reinterpret_cast<CoreState*>(stack_end(i)); }
};

}  // namespace axiom::efi
