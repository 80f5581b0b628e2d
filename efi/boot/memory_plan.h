// SPDX-License-Identifier: MIT
// What AXIOM takes of memory, while there is a firmware to ask, in order to live without one.
// Must not know: what runs there.
#pragma once

#include <span>

#include "core/status.h"
#include "efi/boot/pages.h"
#include "efi/cpu/smp_plan.h"
#include "efi/dev/device.h"
#include "efi/memory/core_memory.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// Each is no_memory when the firmware has not that much left.

// The boot processor's.
Result<CoreStacks> take_stacks(OwnedPages* pages);
// Stacks for `n_others` cores and the pages they begin in; these are 0 where the firmware itself has all that is
// low, and are then found once it is gone.
Result<CoreMemory> take_cores(OwnedPages* pages, size_t n_others);
// What each device asks for, written into it.
Status take_device_memory(OwnedPages* pages, DeviceList devices);
// Enough tables for any final map that grows a little beyond `map`.
Result<std::span<PageTable>> take_tables(OwnedPages* pages, const MemoryMap& map,
                                         const CoreMemory& others, DeviceList devices,
                                         const PageTables::Features& features);

}  // namespace axiom::efi
