// SPDX-License-Identifier: MIT
// Our GDT, TSS and IDT, and what happens on a CPU exception: everything a person needs to find the
// cause goes to the console, then the machine leaves as configured. Interrupts stay masked. Where
// other cores run, they are stopped first.
#pragma once

#include <cstdint>

#include "efi/cpu/core_state.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// Stacks for the exceptions that must not use the interrupted one: #DF, NMI, #MC, #PF (which is how
// a stack overflow shows).
inline constexpr unsigned kNExceptionStacks = 4;
inline constexpr uint64_t kExceptionStackBytes = 16384;

// What the report refers to.
struct CrashContext {
    uint64_t image_begin = 0, image_end = 0;
    uint64_t text_begin = 0, text_end = 0;
    const PageTables* tables = nullptr;  // nullptr: trust no address
};

// On the boot processor, first: fills the IDT, which all cores share, and loads it as below.
void install_interrupts(CoreState& core, const CrashContext& context);
// Loads this core's own GDT and TSS and the IDT. core.exception_stacks are mapped.
void load_interrupts(CoreState& core);
// The tables that addresses in a report are checked against, once they are in use.
void set_crash_tables(const PageTables* tables);

}  // namespace axiom::efi
