// SPDX-License-Identifier: MIT
// Our GDT, TSS and IDT, and what happens on a CPU exception: everything a person needs to find the
// cause goes to the console, then the machine leaves as configured. Interrupts stay masked.
#pragma once

#include <cstdint>

#include "efi/descriptors.h"
#include "efi/paging.h"

namespace axiom::efi {

// Stacks for the exceptions that must not use the interrupted one: #DF, NMI, #MC, #PF (which is how
// a stack overflow shows).
inline constexpr unsigned kNExceptionStacks = 4;
inline constexpr uint64_t kExceptionStackBytes = 16384;

// What one core's segment registers point to, and what the report says of it.
struct CoreTables {
    uint64_t gdt[5] = {};
    TaskState task{};
    uint32_t number = 0;       // in reports
    uint64_t stack_begin = 0, stack_end = 0;  // a guard page lies just below stack_begin
};

// What the report refers to.
struct CrashContext {
    uint64_t image_begin = 0, image_end = 0;
    uint64_t text_begin = 0, text_end = 0;
    const PageTables* tables = nullptr;       // nullptr: trust no address
};

// Fills in the IDT, which all cores share. Before the first load_tables().
void prepare_interrupts(const CrashContext& context);
// Loads GDT, TSS and IDT on this core. `tables` outlives the core's use of them;
// `exception_stacks`: kNExceptionStacks of kExceptionStackBytes, mapped.
void load_tables(CoreTables* tables, uint64_t exception_stacks);
// Whoever calls this first may report and leave; every other core stops here for good. The cores
// that compute are stopped by an NMI (`stop_others`, if cores were started).
void become_reporter();
void stop_others_by(void (*stop_others)());
uint32_t core_number();  // of this core, once its tables are loaded

// The tables that addresses in a report are checked against, once they are in use.
void set_crash_tables(const PageTables* tables);

}  // namespace axiom::efi
