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

// By the plan's cores, at equal speeds. Nothing is wanted where all cores are of one node, or where layers
// arrive from a disk, which writes to physical addresses. `free`, `tables`: see place_pages().
PlacedPages place_rows(const Weights& weights, const AddressRange& model, const CorePlan& plan,
                       const NumaFacts& numa, std::span<const AddressRange> free,
                       PageTables* tables);

// What firmware says of where memory lies, and where the model does. `out` is at least as many as there are.
std::span<const NodeShare> describe_nodes(const NumaFacts& numa, const AddressRange& model,
                                          const PageTables& tables, std::span<NodeShare> out);

}  // namespace axiom::efi
