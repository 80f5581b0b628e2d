// SPDX-License-Identifier: MIT
// What one phase of the boot gathers and a later one needs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/fmt.h"
#include "core/slab.h"
#include "efi/boot/exit.h"
#include "efi/boot/pages.h"
#include "efi/cpu/cached_memory.h"
#include "efi/cpu/smp_plan.h"
#include "efi/load/loader.h"
#include "efi/memory/core_memory.h"
#include "efi/nvme/disk.h"
#include "model/weights/weights.h"

namespace axiom::efi {

struct CoreSetup {
    CorePlan plan;
    CoreMemory memory;  // of plan.n_others cores
};

struct Loaded {
    LoadedModel model;
    Weights weights;
    NvmePlace disk;  // that layers are streamed from
};

// What vouches for this start, for the record; empty texts where nothing does.
struct Trust {
    std::string_view secure_boot;
    Text<64> options_pcr, model_pcr;
};

// Of --prompts; empty without that option.
struct Prompts {
    std::span<char> text;
    uint64_t longest_line = 0;
};

// What the slab may have: all of it, and which of it comes last.
struct FreeMemory {
    // Crumbs between firmware's own pieces must not crowd out what comes last.
    static constexpr size_t kMaxFirst = Slab::kMaxRanges * 3 / 4;
    AddressRange ranges[Slab::kMaxRanges];
    size_t n_first = 0, n = 0;
    std::span<const AddressRange> all() const { return {ranges, n}; }
    std::span<const AddressRange> first() const { return all().first(n_first); }
    std::span<const AddressRange> last() const { return all().subspan(n_first); }
};
// By the map at hand, once boot services are gone: RAM that is cached, and is not otherwise ours.
FreeMemory find_free_memory(const MemoryMap& map, const OwnedPages& pages, const CacheRules& rules);

// Pieces of RAM that are not cached, at most.
inline constexpr size_t kMaxUncached = 16;

}  // namespace axiom::efi
