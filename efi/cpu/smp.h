// SPDX-License-Identifier: MIT
// Starts the other cores, all at once, with INIT and start-up interrupts (Intel SDM vol. 3A,
// section 9.4), and makes them a team. Must not know: what the team computes.
#pragma once

#include <string_view>

#include "core/clock.h"
#include "core/cpu_features.h"
#include "core/team.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/smp_plan.h"
#include "efi/memory/core_memory.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

struct CoreStart {
    const CorePlan& plan;      // stays
    const CoreMemory& memory;  // mapped, guards and all; plan.n_others places, as Cores has them
    PageTables* tables;        // in use; the trampoline is mapped to run only while it does
    Clock clock;
    std::string_view isa;  // a kernel set every core must be able to run; empty: any
    bool quiet;
};

struct StartedCores {
    size_t n_started = 1;                        // that answered, with the boot processor
    uint32_t workers_of[Team::kMaxNodes] = {1};  // of the plan's memory nodes, in rank order
    CpuWords common;                             // what all workers have
};

// Of this core's APIC id, as plan_cores() wants it.
unsigned own_thread_bits();

// After the exit, on the boot processor: the others wait in team->serve() when it returns, and
// team->init() has been called with the number of workers. A core that does not answer in time, or
// cannot do what is asked, is said by number and left out; should it come later, it halts.
StartedCores start_team(const CoreStart& start, Team* team);

}  // namespace axiom::efi
