// SPDX-License-Identifier: MIT
// --disturb scatter: memory whose pages lie in another order than their addresses, as a system that
// hands out one page at a time leaves it. Must not know: what the memory holds.
#pragma once

#include <cstdint>

#include "core/slab.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// Shuffles what the whole pages of `range` translate to; all are mapped, in pages of 4 KiB. `swap`, where
// not null, swaps what two pages of memory hold, by their physical addresses, so that the range still
// reads the same. The tables are not in use yet.
void scatter_pages(const AddressRange& range, void (*swap)(void* context, uint64_t a, uint64_t b),
                   void* context, PageTables* tables);

}  // namespace axiom::efi
