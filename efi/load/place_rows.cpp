// SPDX-License-Identifier: MIT
#include "efi/load/place_rows.h"

#include <cstring>

#include "efi/memory/addresses.h"
#include "model/weights/row_nodes.h"

namespace axiom::efi {
namespace {

struct Context {
    const NumaFacts& numa;
    const AddressRange& model;
    const CorePlan* plan = nullptr;
    const RowNodes* rows = nullptr;
};
const Context& of(const void* context) {
    return *static_cast<const Context*>(context);
}

// The middle of a page belongs to whom most of it does, where it is of one matrix.
uint64_t wanted_node(const void* context, uint64_t page) {
    const Context& c = of(context);
    const size_t node = c.rows->node_at(page + kLargePageBytes / 2 - c.model.begin);
    return node == RowNodes::kAny ? PagePlaces::kAnywhere : c.plan->nodes[node].domain;
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

PlacedPages place_rows(const Weights& weights, const AddressRange& model, const CorePlan& plan,
                       const NumaFacts& numa, std::span<const AddressRange> free,
                       PageTables* tables) {
    if (plan.n_nodes < 2 || !weights.has_layers()) return {};
    uint32_t workers[Team::kMaxNodes];
    for (size_t i = 0; i < plan.n_nodes; i++) workers[i] = plan.nodes[i].n_cores;
    const RowNodes rows(weights, {workers, plan.n_nodes});
    const Context context{numa, model, &plan, &rows};
    return place_pages(model, free, places_by(context), tables);
}

std::span<const NodeShare> describe_nodes(const NumaFacts& numa, const AddressRange& model,
                                          const PageTables& tables, std::span<NodeShare> out) {
    const Context context{numa, model};
    size_t n = 0;
    for (const NumaFacts::Node& node : numa.all()) {
        out[n++] = {node.domain, node.n_cpus,
                    numa.bytes_near(node.domain, {0, kMaxPhysicalAddress}),
                    bytes_on_node(model, node.domain, places_by(context), tables)};
    }
    return out.first(n);
}

}  // namespace axiom::efi
