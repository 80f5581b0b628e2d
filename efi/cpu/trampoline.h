// SPDX-License-Identifier: MIT
// The code in low memory that takes a core from its start-up interrupt to 64-bit mode and to
// axiom_ap_main(), and the words that it reads (efi/cpu/trampoline.S).
// Must not know: which cores run it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom::efi {

// Three pages below kTrampolineEnd: code, TrampolineData, and a copy of the root page table, which
// 32-bit code must be able to load.
inline constexpr uint64_t kTrampolinePages = 3;
inline constexpr uint64_t kTrampolineEnd = 0xa0000;  // start-up vectors 0xa0 and up do not exist

struct [[gnu::packed]] TrampolineData {
    uint32_t n_tickets;  // taken so far; kTrampolineClosed turns later cores away
    uint32_t n_places;   // a core with a higher ticket halts
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint16_t padding0;
    uint32_t jump32;  // far pointers
    uint16_t jump32_selector, padding1;
    uint32_t jump64;
    uint16_t jump64_selector, padding2;
    uint32_t cr4, cr3, efer, cr0;
    uint32_t needed_edx, needed_ecx;  // CPUID bits as in PagingState; a core without them halts
    uint64_t root;                    // the real CR3
    uint64_t first_stack;             // top of ticket 0's stack
    uint64_t stack_stride;
    uint64_t entry;   // called with the ticket and the next word; never returns
    uint64_t shared;  // what all cores that come are given
    uint64_t gdt[4];
};
static_assert(offsetof(TrampolineData, gdt_limit) == 8 && offsetof(TrampolineData, jump32) == 16 &&
              offsetof(TrampolineData, jump64) == 24 && offsetof(TrampolineData, cr4) == 32 &&
              offsetof(TrampolineData, cr3) == 36 && offsetof(TrampolineData, efer) == 40 &&
              offsetof(TrampolineData, cr0) == 44 && offsetof(TrampolineData, needed_edx) == 48 &&
              offsetof(TrampolineData, needed_ecx) == 52 && offsetof(TrampolineData, root) == 56 &&
              offsetof(TrampolineData, first_stack) == 64 &&
              offsetof(TrampolineData, stack_stride) == 72 &&
              offsetof(TrampolineData, entry) == 80 && offsetof(TrampolineData, shared) == 88 &&
              offsetof(TrampolineData, gdt) == 96);

inline constexpr uint32_t kTrampolineClosed = 0x80000000;

}  // namespace axiom::efi

// Position-independent; begins at the first instruction.
extern "C" [[gnu::visibility("hidden")]] const char axiom_trampoline_begin[],
    axiom_trampoline_end[], axiom_trampoline_32[], axiom_trampoline_64[];
