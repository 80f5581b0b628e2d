// SPDX-License-Identifier: MIT
// Our GDT, TSS and IDT, and what happens on a CPU exception: everything a person needs to find the
// cause goes to the console, then the machine leaves as configured. Interrupts stay masked.
#pragma once

#include <cstdint>

#include "efi/paging.h"

namespace axiom::efi {

// Stacks for the exceptions that must not use the interrupted one: #DF, NMI, #MC, #PF (which is how
// a stack overflow shows).
inline constexpr unsigned kNExceptionStacks = 4;
inline constexpr uint64_t kExceptionStackBytes = 16384;

// What the report refers to.
struct CrashContext {
    uint64_t image_begin = 0, image_end = 0;
    uint64_t text_begin = 0, text_end = 0;
    uint64_t stack_begin = 0, stack_end = 0;  // the guard page lies just below stack_begin
    const PageTables* tables = nullptr;       // nullptr: trust no address
};

// Loads all three tables on this core. `exception_stacks`: kNExceptionStacks of them, mapped.
void install_interrupts(uint64_t exception_stacks, const CrashContext& context);
// The tables that addresses in a report are checked against, once they are in use.
void set_crash_tables(const PageTables* tables);

}  // namespace axiom::efi
