// SPDX-License-Identifier: MIT
// Where each core has its stacks and state, and the guard pages between them.
// Must not know: who allocated the memory, or what runs there.
#pragma once

#include <cstdint>

#include "core/slab.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {

// Stacks for the exceptions that must not use the interrupted one: #DF, NMI, #MC, #PF (which is how
// a stack overflow shows).
inline constexpr unsigned kNExceptionStacks = 4;
inline constexpr uint64_t kExceptionStackBytes = 16384;

// One core's stacks, which grow down, in this order: a guard page, which is never mapped, the
// exception stacks, another guard page, the stack.
struct CoreStacks {
    uint64_t exception_guard = 0;
    uint64_t exception_stacks = 0;  // kNExceptionStacks of kExceptionStackBytes
    uint64_t stack_guard = 0;
    uint64_t stack_begin = 0, stack_end = 0;

    static constexpr uint64_t bytes(uint64_t stack_bytes) {
        return kPageBytes + kNExceptionStacks * kExceptionStackBytes + kPageBytes + stack_bytes;
    }
    static constexpr CoreStacks at(uint64_t base, uint64_t stack_bytes) {
        CoreStacks s;
        s.exception_guard = base;
        s.exception_stacks = s.exception_guard + kPageBytes;
        s.stack_guard = s.exception_stacks + kNExceptionStacks * kExceptionStackBytes;
        s.stack_begin = s.stack_guard + kPageBytes;
        s.stack_end = s.stack_begin + stack_bytes;
        return s;
    }
    AddressRange range() const { return {exception_guard, stack_end}; }
};

// The places of the cores beside the boot processor, one after another: stacks, then state.
struct CoreMemory {
    static constexpr uint64_t kStackBytes = 64 << 10;
    static constexpr uint64_t kStateBytes = kPageBytes;
    static constexpr uint64_t kPlaceBytes = CoreStacks::bytes(kStackBytes) + kStateBytes;

    uint64_t base = 0;
    uint64_t n_places = 0;    // 0: the boot processor alone
    uint64_t trampoline = 0;  // kTrampolinePages below kTrampolineEnd (efi/cpu/trampoline.h)

    AddressRange range() const { return {base, base + n_places * kPlaceBytes}; }
    CoreStacks stacks(uint64_t i) const {
        return CoreStacks::at(base + i * kPlaceBytes, kStackBytes);
    }
    uint64_t state_address(uint64_t i) const { return stacks(i).stack_end; }
};

}  // namespace axiom::efi
