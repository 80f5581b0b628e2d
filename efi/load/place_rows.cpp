// SPDX-License-Identifier: MIT
#include "efi/load/place_rows.h"

#include <cstring>

#include "efi/memory/addresses.h"
#include "model/weights/row_nodes.h"

namespace axiom::efi {
namespace {

struct Context {
    const NumaFacts& numa;
    const RowPlaces* places = nullptr;
    const RowNodes* rows = nullptr;
};
const Context& of(const void* context) {
    return *static_cast<const Context*>(context);
}

// The middle of a page belongs to whom most of it does, where it is of one matrix.
uint64_t wanted_node(const void* context, uint64_t page) {
    const RowPlaces& p = *of(context).places;
    for (const AddressRange& range : p.left_alone)
        if (range.begin < page + kLargePageBytes && page < range.end) return PagePlaces::kAnywhere;
    const size_t node = of(context).rows->node_at(page + kLargePageBytes / 2 - p.model.begin);
    return node == RowNodes::kAny ? PagePlaces::kAnywhere : p.plan.nodes[node].domain;
}

uint64_t node_of(const void* context, uint64_t physical) {
    const NumaFacts::Memory* const memory = of(context).numa.find_memory(physical);
    return memory == nullptr ? PagePlaces::kAnywhere : memory->domain;
}

void copy(const void*, uint64_t from, uint64_t to, uint64_t n_bytes) {
    memcpy(reinterpret_cast<void*>(to), reinterpret_cast<const void*>(from), n_bytes);
}

PagePlaces places_by(const Context& context) {
    return {.wanted = wanted_node, .node_of = node_of, .copy = copy, .context = &context};
}

}  // namespace

bool places_rows(const Weights& weights, const CorePlan& plan, const NumaFacts& numa) {
    return plan.knows_nodes && numa.n_nodes > 1 && weights.has_layers();
}

uint64_t place_rows(const RowPlaces& places, std::span<const AddressRange> free,
                    PageTables* tables) {
    if (!places_rows(places.weights, places.plan, places.numa)) return 0;
    uint32_t workers[Team::kMaxNodes];
    for (size_t i = 0; i < places.plan.n_nodes; i++) workers[i] = places.plan.nodes[i].n_cores;
    const RowNodes rows(places.weights, {workers, places.plan.n_nodes});
    const Context context{places.numa, &places, &rows};
    return place_pages(places.model, free, places_by(context), tables);
}

NearPages rows_near(const RowPlaces& places, std::span<const uint32_t> workers,
                    const PageTables& tables) {
    if (!places_rows(places.weights, places.plan, places.numa)) return {};
    const RowNodes rows(places.weights, workers.first(places.plan.n_nodes));
    const Context context{places.numa, &places, &rows};
    return count_near(places.model, places_by(context), tables);
}

std::span<const NodeShare> describe_nodes(const NumaFacts& numa, const AddressRange& model,
                                          const PageTables& tables, std::span<NodeShare> out) {
    const Context context{numa};
    size_t n = 0;
    for (const NumaFacts::Node& node : numa.all()) {
        out[n++] = {node.domain, node.n_cpus,
                    numa.bytes_near(node.domain, {0, kMaxPhysicalAddress}),
                    bytes_on_node(model, node.domain, places_by(context), tables)};
    }
    return out.first(n);
}

}  // namespace axiom::efi
