// SPDX-License-Identifier: MIT
// Our IDT, and what each core loads: its GDT, its TSS, the IDT. Interrupts stay masked, so only
// exceptions and NMI ever come. Must not know: what is done about them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "efi/cpu/core_state.h"
#include "efi/cpu/descriptors.h"

namespace axiom::efi {

inline constexpr uint64_t kNmiVector = 2, kPageFaultVector = 14, kMachineCheckVector = 18;

// The interrupted registers, as interrupt_stubs.S hands them to axiom_exception().
struct Frame {
    uint64_t rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    uint64_t vector, error;
    uint64_t rip, cs, rflags, rsp, ss;
};

struct InterruptTable {
    static constexpr size_t kNVectors = 256;
    Gate gates[kNVectors] = {};
};

// Every vector leads to interrupt_stubs.S.
void fill_interrupts(InterruptTable* table);
// Gives this core its own GDT and TSS, and the IDT that all share. The exception stacks of `core`
// are mapped.
void load_interrupts(CoreState& core, const InterruptTable& table);

}  // namespace axiom::efi
