// SPDX-License-Identifier: MIT
// This core's control state: what AXIOM needs of CPUID, control registers, vector state, and the
// switch to our own stack and page tables (Intel SDM vol. 3A, sections 2.5, 4.1, 13).
#pragma once

#include <cstdint>

#include "efi/memory/paging.h"
#include "efi/platform/confidential.h"

namespace axiom::efi {

PageTables::Features paging_features();
ConfidentialWords read_confidential_words();
bool has_invariant_tsc();

// FPU, SSE and, where the CPU has XSAVE, the widest vector state worth having; rounding to nearest,
// denormals kept, all SIMD exceptions masked. Afterwards read_cpu_words() tells the truth.
void enable_vector_state();

// No-execute and write protection on, then CR3 = root, with every old translation flushed.
// Whatever runs next, and its stack, must be mapped by `root`.
void switch_page_tables(uint64_t root);

// What a core needs to be given of this one's control registers to reach 64-bit mode under the same
// page tables.
struct PagingState {
    uint32_t cr0 = 0, cr4 = 0, efer = 0;
    // CPUID bits that these rely on: leaf 0x80000001 EDX, leaf 7 ECX.
    uint32_t needed_edx = 0, needed_ecx = 0;
};
PagingState paging_state();

// While it lives this core reads and writes past its caches, which are empty, and so are its
// translations before and after (Intel SDM vol. 3A, section 11.11.8).
class CachesOff {
  public:
    CachesOff();
    ~CachesOff();
    CachesOff(const CachesOff&) = delete;
    CachesOff& operator=(const CachesOff&) = delete;

  private:
    uint64_t cr0_, cr4_;
};

// Forgets how this core translated the page of `address`.
inline void forget_translation(uint64_t address) {
    asm volatile("invlpg (%0)" ::"r"(address) : "memory");
}

// Calls function(context) on a stack that grows down from `top` (16-byte aligned).
void call_on_stack(uint64_t top, void (*function)(void*), void* context);

[[noreturn]] void halt_forever();

inline void mask_interrupts() {
    asm volatile("cli" ::: "memory");
}
inline void allow_interrupts() {
    asm volatile("sti" ::: "memory");
}
inline uint64_t read_cr2() {
    uint64_t v;
    asm volatile("mov %%cr2, %0" : "=r"(v));
    return v;
}

}  // namespace axiom::efi
