// SPDX-License-Identifier: MIT
// Which node's workers read which rows: as they claim them.
#include "model/weights/row_nodes.h"

#include <vector>

#include "test/unit/catch.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using format::ExtentKind;
using format::Role;

namespace {

// Of units that are claimed together, the node of each, by what its first worker gets when it takes all.
std::vector<size_t> nodes_by_claims(const std::vector<uint32_t>& workers, size_t n_units) {
    size_t n_workers = 0;
    for (const uint32_t n : workers) n_workers += n;
    Team team;
    team.init(n_workers);
    team.set_nodes(workers);
    std::vector<size_t> node_of(n_units, RowNodes::kAny);
    size_t rank = 0;
    for (size_t node = 0; node < workers.size(); rank += workers[node], node++) {
        if (workers[node] == 0) continue;
        // No more than its own part, however much it wants; the rest stays for the others.
        const auto [begin, end] = Worker{rank, n_workers, &team}.claim(n_units, n_units);
        for (size_t i = begin; i < end; i++) node_of[i] = node;
    }
    return node_of;
}

struct Group {
    const uint8_t* data;
    size_t n_bytes;
};

void add(const TensorView& w, std::vector<Group>* out) {
    const size_t n = (w.n_rows + kGroupRows - 1) / kGroupRows;
    for (size_t i = 0; i < n; i++) {
        out->push_back({static_cast<const uint8_t*>(w.data) + i * (w.bytes / n), w.bytes / n});
    }
}

}  // namespace

TEST_CASE("every row group belongs to the node whose workers claim it first") {
    for (const char* shape : {"256,2,4,2,512,512", "256,2,4,4,768,1000,tied"}) {
        const AlignedBytes file = synthetic_model(shape, StoredType::q4);
        const Weights w = Weights::open("m.axm", file.span()).value();
        for (const std::vector<uint32_t>& workers :
             {std::vector<uint32_t>{1, 1}, {1, 3}, {2, 0, 1}, {4}, {1, 1, 1, 1, 1}}) {
            const RowNodes rows(w, workers);
            const auto check = [&](std::initializer_list<TensorView> together) {
                std::vector<Group> groups;
                for (const TensorView& view : together) add(view, &groups);
                const std::vector<size_t> expected = nodes_by_claims(workers, groups.size());
                for (size_t i = 0; i < groups.size(); i++) {
                    const uint64_t at = uint64_t(groups[i].data - file.span().data());
                    INFO(shape << ", " << workers.size() << " nodes, group " << i);
                    REQUIRE(rows.node_at(at) == expected[i]);
                    REQUIRE(rows.node_at(at + groups[i].n_bytes - 1) == expected[i]);
                }
            };
            for (size_t i = 0; i < w.config.n_layer; i++) {
                const LayerWeights layer = w.layer(i);
                check({layer[Role::attn_q], layer[Role::attn_k], layer[Role::attn_v]});
                check({layer[Role::attn_output]});
                check({layer[Role::ffn_gate]});
                check({layer[Role::ffn_up]});
                check({layer[Role::ffn_down]});
            }
            check({w.output});
        }
    }
}

TEST_CASE("tables, norms and an embedding beside an output matrix belong to no node") {
    const AlignedBytes file = synthetic_model("256,2,4,2,512,512", StoredType::q4);
    const Weights w = Weights::open("m.axm", file.span()).value();
    const uint32_t workers[] = {1, 1};
    const RowNodes rows(w, workers);
    const auto node_of = [&](const void* p) {
        return rows.node_at(uint64_t(static_cast<const uint8_t*>(p) - file.span().data()));
    };
    CHECK(node_of(file.span().data()) == RowNodes::kAny);
    CHECK(node_of(w.token_embd.data) == RowNodes::kAny);
    CHECK(node_of(w.output_norm.data) == RowNodes::kAny);
    CHECK(node_of(w.layer(1)[Role::ffn_norm].data) == RowNodes::kAny);
    CHECK(node_of(w.layer(1)[Role::ffn_down].data) == 0);
    CHECK(rows.node_at(file.span().size()) == RowNodes::kAny);
}
