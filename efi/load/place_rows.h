// SPDX-License-Identifier: MIT
// On a machine of several memory nodes: rows of the weights lie in the memory of the cores that read them.
// Must not know: how pages are mapped, or how many there are.
#pragma once

#include <span>

#include "core/slab.h"
#include "efi/cpu/smp_plan.h"
#include "efi/dev/acpi_numa.h"
#include "efi/memory/paging.h"
#include "efi/memory/place_pages.h"
#include "model/report/record.h"
#include "model/weights/weights.h"

namespace axiom::efi {

// Whether there is anything to do: not where memory is all alike, nor where layers arrive from a disk, which
// writes to physical addresses.
bool places_rows(const Weights& weights, const CorePlan& plan, const NumaFacts& numa);

struct RowPlaces {
    const Weights& weights;
    AddressRange model;
    const CorePlan& plan;
    const NumaFacts& numa;
    std::span<const AddressRange> left_alone;  // pages of the model in these stay
};
// By the plan's cores, at equal speeds. `free`, `tables` and what is returned: see place_pages(). The firmware's
// tables, cores and devices may still be at work: nothing of boot services' memory may be in `free`.
uint64_t place_rows(const RowPlaces& places, std::span<const AddressRange> free,
                    PageTables* tables);
// By the workers that there are of each of the plan's nodes.
NearPages rows_near(const RowPlaces& places, std::span<const uint32_t> workers,
                    const PageTables& tables);

// What firmware says of where memory lies, and where the model does. `out` is at least as many as there are.
std::span<const NodeShare> describe_nodes(const NumaFacts& numa, const AddressRange& model,
                                          const PageTables& tables, std::span<NodeShare> out);

}  // namespace axiom::efi
