// SPDX-License-Identifier: MIT
// This core's control state: what AXIOM needs of CPUID, control registers, vector state, and the
// switch to our own stack and page tables (Intel SDM vol. 3A, sections 2.5, 4.1, 13).
#pragma once

#include <cstdint>

#include "efi/paging.h"

namespace axiom::efi {

PageTables::Features paging_features();
bool has_invariant_tsc();

// FPU, SSE and, where the CPU has XSAVE, the widest vector state worth having; rounding to nearest,
// denormals kept, all SIMD exceptions masked. Afterwards read_cpu_words() tells the truth.
void enable_vector_state();

// No-execute and write protection on, then CR3 = root, with every old translation flushed.
// Whatever runs next, and its stack, must be mapped by `root`.
void switch_page_tables(uint64_t root);

// Continues in function(context) on a stack that grows down from `top` (16-byte aligned).
[[noreturn]] void run_on_stack(uint64_t top, void (*function)(void*), void* context);

[[noreturn]] void halt_forever();

inline void mask_interrupts() {
    asm volatile("cli" ::: "memory");
}
inline uint64_t read_cr2() {
    uint64_t v;
    asm volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

}  // namespace axiom::efi
