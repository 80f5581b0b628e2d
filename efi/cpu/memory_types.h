// SPDX-License-Identifier: MIT
// How a core caches which addresses: its PAT and MTRRs, which must be the same on every core
// (Intel SDM vol. 3A, sections 11.11 and 11.12).
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom::efi {

struct MemoryTypes {
    static constexpr size_t kMaxVariable = 32;
    static constexpr size_t kNFixed = 11;

    uint64_t pat = 0;           // 0: no PAT
    uint64_t default_type = 0;  // 0: no MTRRs, or off
    uint32_t n_variable = 0;
    uint64_t variable[2 * kMaxVariable] = {};  // base and mask
    uint64_t fixed[kNFixed] = {};

    bool operator==(const MemoryTypes&) const = default;
};

// What the entries of our page tables mean by Cache (efi/memory/paging.h): entry 1 is WC, the others are as
// they are at reset. Before these tables are switched to.
void set_page_types();

MemoryTypes read_memory_types();
// The end of what AMD's CPUs take for write-back above 4 GiB without asking the MTRRs; 0: nothing. Also under a
// hypervisor, where the register may be missing and MTRRs mean little: everything.
uint64_t forced_write_back_end();
// Makes this core's registers those. Nothing is written where they are so already, which is what
// firmware should have seen to. Caches are off and flushed while they change. False when this core
// has not the registers for it.
bool adopt_memory_types(const MemoryTypes& wanted);

}  // namespace axiom::efi
