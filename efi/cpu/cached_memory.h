// SPDX-License-Identifier: MIT
// Which RAM the MTRRs let a core cache (Intel SDM vol. 3A, section 12.11.4; AMD APM vol. 2, sections 7.7 and
// 7.9.1). The rest runs a hundred times slower: firmware that sets too few ranges leaves a piece like this.
// Must not know: how the registers are read, or what is done about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/slab.h"
#include "efi/cpu/memory_types.h"
#include "efi/memory/memory_map.h"

namespace axiom::efi {

struct CacheRules {
    MemoryTypes types;
    // AMD: RAM from 4 GiB up to here is write-back whatever the MTRRs say (SYSCFG.Tom2ForceMemTypeWB).
    uint64_t forced_end = 0;
};

// What of the regions that free_ranges() may give is not write-back, ascending, in pieces of whole pages. Where
// `out` is full its last piece takes in all that follows. Nothing where MTRRs are off: who runs us under a
// hypervisor may leave them so.
size_t uncached_ranges(std::span<const MemoryRegion> regions, const CacheRules& rules,
                       std::span<AddressRange> out);

}  // namespace axiom::efi
