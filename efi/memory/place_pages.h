// SPDX-License-Identifier: MIT
// Weights beside the cores that read them, on a machine whose memory lies in nodes: pages of the model trade
// places with free ones of the wanted node, and keep their addresses.
// Must not know: which core reads what.
#pragma once

#include <cstdint>
#include <span>

#include "core/slab.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// By what firmware calls a node. kAnywhere: no node is wanted, or none is told of.
struct PagePlaces {
    static constexpr uint64_t kAnywhere = ~uint64_t{0};
    uint64_t (*wanted)(const void* context, uint64_t address);    // of the model's page there
    uint64_t (*node_of)(const void* context, uint64_t physical);  // where memory is
    void (*copy)(const void* context, uint64_t from, uint64_t to, uint64_t n_bytes);  // physical
    const void* context;
};

// Large pages (2 MiB) that lie in `model` whole, mapped as such; `free`: memory whose contents nobody needs,
// mapped, too. The tables are not in use yet. What finds no free page where it is wanted stays. Returns how many
// moved.
uint64_t place_pages(const AddressRange& model, std::span<const AddressRange> free,
                     const PagePlaces& places, PageTables* tables);

struct NearPages {
    uint64_t n_wanted = 0;  // that some node should have
    uint64_t n_near = 0;    // of these, that it has
};
NearPages count_near(const AddressRange& model, const PagePlaces& places, const PageTables& tables);

// Bytes of `range` that the tables map to memory of `node`.
uint64_t bytes_on_node(const AddressRange& range, uint64_t node, const PagePlaces& places,
                       const PageTables& tables);

}  // namespace axiom::efi
