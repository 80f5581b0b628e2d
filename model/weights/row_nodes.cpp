// SPDX-License-Identifier: MIT
#include "model/weights/row_nodes.h"

#include <algorithm>

#include "core/quant.h"

namespace axiom {

using format::Extent;
using format::Role;
using format::TensorEntry;

namespace {

// Matrices whose rows are claimed one after the other. ffn_up goes along with ffn_gate, row by row.
constexpr Role kQkv[] = {Role::attn_q, Role::attn_k, Role::attn_v};
constexpr Role kAlone[] = {Role::attn_output, Role::ffn_gate, Role::ffn_up, Role::ffn_down,
                           Role::output};

std::span<const Role> claimed_with(Role role, bool is_output_tied) {
    static constexpr Role kEmbedding[] = {Role::token_embd};
    if (role == Role::token_embd && is_output_tied) return kEmbedding;
    if (std::find(std::begin(kQkv), std::end(kQkv), role) != std::end(kQkv)) return kQkv;
    const Role* const alone = std::find(std::begin(kAlone), std::end(kAlone), role);
    if (alone == std::end(kAlone)) return {};
    return {alone, 1};
}

uint64_t n_groups(const TensorEntry& e) {
    return (e.n_rows + kGroupRows - 1) / kGroupRows;
}

}  // namespace

RowNodes::RowNodes(const Weights& weights, std::span<const uint32_t> workers)
    : weights_(weights), workers_(workers) {
    for (const uint32_t n : workers) n_workers_ += n;
}

const TensorEntry* RowNodes::entry_at(uint64_t file_offset, uint64_t* offset_in_tensor) const {
    const std::span<const Extent> extents = weights_.layout.extents;  // ascending by offset
    const auto after =
        std::upper_bound(extents.begin(), extents.end(), file_offset,
                         [](uint64_t offset, const Extent& e) { return offset < e.offset; });
    if (after == extents.begin()) return nullptr;
    const Extent& extent = after[-1];
    if (extent.kind == format::ExtentKind::expert) return nullptr;
    for (const TensorEntry& e : weights_.entries_of(size_t(&extent - extents.data()))) {
        const uint64_t at = file_offset - extent.offset - e.offset;
        if (at >= e.bytes) continue;
        *offset_in_tensor = at;
        return &e;
    }
    return nullptr;
}

size_t RowNodes::node_at(uint64_t file_offset) const {
    uint64_t offset = 0;
    const TensorEntry* const entry = entry_at(file_offset, &offset);
    if (entry == nullptr || !is_quantized(entry->type)) return kAny;
    const std::span<const Role> roles = claimed_with(entry->role, weights_.config.tied_output);
    uint64_t n_units = 0, unit = 0;
    for (const TensorEntry& e : weights_.entries_of(entry->extent)) {
        if (std::find(roles.begin(), roles.end(), e.role) == roles.end()) continue;
        if (&e == entry) unit = n_units + offset / (e.bytes / n_groups(e));
        n_units += n_groups(e);
    }
    if (n_units == 0) return kAny;
    uint64_t n_before = 0;
    for (size_t node = 0; node < workers_.size(); node++) {
        n_before += workers_[node];
        if (unit < n_units * n_before / n_workers_) return node;
    }
    return kAny;
}

}  // namespace axiom
