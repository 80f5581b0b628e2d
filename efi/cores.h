// SPDX-License-Identifier: MIT
// The other cores: started by INIT and SIPI after ExitBootServices, each with its own stack, tables
// and vector state, they serve the team (Intel SDM vol. 3A, section 9.4).
// Must not know: what a team computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/clock.h"
#include "core/cpu_features.h"
#include "core/fmt.h"
#include "core/team.h"
#include "efi/interrupts.h"
#include "efi/memory.h"

namespace axiom::efi {

// Memory of the other cores: for each a guard page, its stack, a guard page, its exception stacks.
struct CoreArea {
    static constexpr uint64_t kStackBytes = 64 << 10;
    static constexpr uint64_t kExceptionBytes = kNExceptionStacks * kExceptionStackBytes;
    static constexpr uint64_t kCoreBytes = 2 * kPageBytes + kStackBytes + kExceptionBytes;
    // Below 1 MiB: the code a core starts in, and a copy of the top page table that it can load
    // while it still has 32 bits.
    static constexpr uint64_t kTrampolinePages = 2;

    uint64_t trampoline = 0;
    uint64_t stacks = 0;
    size_t n_cores = 0;

    uint64_t stack_guard(size_t i) const { return stacks + i * kCoreBytes; }
    uint64_t stack_begin(size_t i) const { return stack_guard(i) + kPageBytes; }
    uint64_t exception_guard(size_t i) const { return stack_begin(i) + kStackBytes; }
    uint64_t exception_stacks(size_t i) const { return exception_guard(i) + kPageBytes; }
};

// The APIC ids to start, this core's left out, n_wanted cores in all at most (0: as many as there
// are). Fills `out`, returns how many.
size_t cores_to_start(std::span<const uint32_t> apic_ids, uint32_t own_id, size_t n_wanted,
                      std::span<uint32_t> out);

struct StartedCores {
    size_t n_workers = 1;         // this core included: what the team was initialised with
    CpuFeatures features;         // what every one of them may execute
    size_t n_silent = 0;          // cores that did not answer
    uint32_t first_silent_id = 0;
    const char* trouble = nullptr;  // why none could be asked; nullptr if they were
    bool x2apic = false;
};

// How long a core may take to answer.
inline constexpr uint64_t kCorePatienceMs = 3000;

// Fills the trampoline pages for cores that shall use the finished `page_tables`, under which they
// are no longer writable.
void write_trampoline(const CoreArea& area, uint64_t page_tables);

// Starts the cores, all at once, initialises the team with those that answer, and has them serve
// it, ranks in the order of `apic_ids`. After write_trampoline(), its tables in use. A core that
// answers too late stops itself. Nothing here fails: a missing core costs speed.
StartedCores start_cores(const CoreArea& area, std::span<const uint32_t> apic_ids,
                         const Clock& clock, Team* team);

}  // namespace axiom::efi
