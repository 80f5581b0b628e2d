// SPDX-License-Identifier: MIT
// Whose memory is whose: AXIOM's own work area, the image's parts, and how each is mapped once the
// machine is ours (W^X, large pages, unmapped null page and guards).
// Must not know: how page tables are built, or what runs afterwards.
#pragma once

#include <cstdint>
#include <span>

#include "core/slab.h"
#include "efi/boot/firmware.h"
#include "efi/boot/loader.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/core_memory.h"
#include "efi/cpu/interrupts.h"
#include "efi/dev/acpi.h"
#include "efi/memory/memory_map.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// Page memory taken before the exit and used after it.
struct WorkArea {
    std::span<uint8_t> raw_map;       // GetMemoryMap's bytes
    std::span<MemoryRegion> regions;  // decoded
    std::span<char> ring;             // console, a power of two
    uint64_t exception_stacks = 0;    // kNExceptionStacks of kExceptionStackBytes
    uint64_t exception_guard = 0;     // the page below them
    uint64_t stack_guard = 0;         // the page below stack_begin
    uint64_t stack_begin = 0, stack_end = 0;
    std::span<char> option_text;  // allocated by main, before anything else
    std::span<PageTable> tables;
    CoreMemory cores;  // of the cores beside this one

    // no_memory when the firmware has none left.
    Status allocate(const Firmware& firmware);
    // Enough tables for any final map that grows a little beyond `map`.
    Status allocate_tables(const Firmware& firmware, const MemoryMap& map,
                           const PageTables::Features& features);
    // Stacks for `n_others` cores and the pages they begin in. Without them the boot processor is
    // alone, and the status says why.
    Status allocate_cores(const Firmware& firmware, size_t n_others);
    void release(const Firmware& firmware);

    // Everything above lies in these, in cores.range(), and below 1 MiB.
    AddressRange range() const { return {base, base + bytes}; }
    AddressRange tables_range() const;
    AddressRange text_range() const;

    uint64_t base = 0, bytes = 0;
};

AddressRange image_range(const Firmware& firmware);
AddressRange model_range(const LoadedModel& model);
CrashContext crash_context(const AddressRange& image);

// Reading what the memory map describes, and nothing else. `map` outlives the view.
PhysicalView readable_memory(const MemoryMap& map);

struct MappingPlan {
    const MemoryMap& map;
    const WorkArea& area;
    AddressRange model, image;
    const AcpiFacts& acpi;
    const LocalApic& apic;
    uint64_t memory_attributes_table;  // 0: none
};
// Builds the tables in plan.area.tables. no_memory when they do not suffice.
Status map_machine(const MappingPlan& plan, const PageTables::Features& features, PageTables* out);

}  // namespace axiom::efi
