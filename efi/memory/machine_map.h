// SPDX-License-Identifier: MIT
// How every address is mapped once the machine is ours: W^X, large pages, no null page, no guard
// pages. Devices' registers come on top (efi/dev/device.h).
// Must not know: how page tables are built, or what runs afterwards.
#pragma once

#include <cstdint>
#include <span>

#include "core/slab.h"
#include "efi/memory/core_memory.h"
#include "efi/memory/memory_map.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// Our image in memory. What is neither code nor data is read-only.
struct ImageParts {
    AddressRange whole, code, data;
};

struct MachinePlan {
    std::span<const MemoryRegion> regions;  // the final map
    ImageParts image;
    AddressRange model;         // read-only
    CoreStacks stacks;          // the boot processor's
    CoreMemory others;          // the other cores'
    PhysicalView memory;        // for the next table
    uint64_t attributes_table;  // address of the UEFI memory attributes table; 0: none
};

// Ranges beside those of the plan, devices' registers.
struct MoreRanges {
    size_t n = 0;
    uint64_t bytes = 0;
};
// Tables that map_machine() and the mapping of `more` need, for any final map that grows a little
// beyond `regions`.
uint64_t tables_needed(std::span<const MemoryRegion> regions, const CoreMemory& others,
                       const MoreRanges& more, const PageTables::Features& features);

// Fills `out`, which is initialised and empty. no_memory when its pool does not suffice.
Status map_machine(const MachinePlan& plan, PageTables* out);

}  // namespace axiom::efi
