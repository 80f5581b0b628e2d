// SPDX-License-Identifier: MIT
#include "efi/phases/setup.h"

namespace axiom::efi {

FreeMemory find_free_memory(const MemoryMap& map, const OwnedPages& pages,
                            const CacheRules& rules) {
    AddressRange kept[OwnedPages::kMax + kMaxUncached];
    const auto owned = pages.ranges();
    std::copy(owned.begin(), owned.end(), kept);
    const size_t n_kept =
        owned.size() + uncached_ranges(map.regions, rules, std::span(kept).subspan(owned.size()));
    const std::span<AddressRange> all(kept, n_kept);
    FreeMemory free;
    free.n_first = free_ranges(map.regions, all, FreeMemoryKind::never_boot_services,
                               std::span(free.ranges).first(FreeMemory::kMaxFirst));
    free.n = free.n_first + free_ranges(map.regions, all, FreeMemoryKind::boot_services,
                                        std::span(free.ranges).subspan(free.n_first));
    return free;
}

}  // namespace axiom::efi
