// SPDX-License-Identifier: MIT
// The record where there is little room: what goes, and in which order.
#include "model/report/short_record.h"

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom;
using nlohmann::json;

namespace {

struct Full {
    std::vector<uint64_t> samples = std::vector<uint64_t>(200, 123456789);
    std::vector<LayerCost> layers = std::vector<LayerCost>(20);
    std::vector<SlabMark> slabs = std::vector<SlabMark>(20, {"a class", 1, 2, 3});
    std::vector<TaskCost> tasks = std::vector<TaskCost>(20, {"a task", 1, 2, 3});
    std::vector<NodeShare> nodes = std::vector<NodeShare>(20);
    std::vector<TurnCost> turns = std::vector<TurnCost>(20);
    Record r;

    Full() {
        r.decode_samples_ns = samples;
        r.layer_costs = layers;
        r.slabs = slabs;
        r.tasks = tasks;
        r.nodes = nodes;
        r.turns = turns;
        r.n_turns = 20;
        r.logits_hash = 0xabc;
    }
    std::string line(size_t n_bytes) const {
        std::string text(n_bytes, '?');
        text.resize(print_short_json(r, text));
        return text;
    }
};

}  // namespace

TEST_CASE("a record that fits is the record's line") {
    const Full full;
    std::string whole;
    print_json(
        full.r, [](void* to, std::string_view t) { static_cast<std::string*>(to)->append(t); },
        &whole);
    whole.pop_back();
    CHECK(full.line(whole.size()) == whole);
    CHECK(full.line(whole.size() + 100) == whole);
}

TEST_CASE("of a record that is too long samples go first, then what took how long one by one") {
    const Full full;
    // What still is there once a line must be shorter than the one before, by a byte.
    const std::vector<std::string> parts = {"samples_ns", "layers", "slabs",
                                            "tasks",      "nodes",  "turns"};
    std::string line = full.line(1 << 20);
    const double average = json::parse(line)["avg_ns"];
    for (size_t n_gone = 1; n_gone <= parts.size(); n_gone++) {
        const size_t n_before = line.size();
        line = full.line(n_before - 1);
        INFO(n_gone);
        REQUIRE(line.size() < n_before);
        const json j = json::parse(line);
        for (size_t i = 0; i < parts.size(); i++) {
            const json& part = j[parts[i]];
            CHECK((part.is_null() || part.empty()) == (i < n_gone));
        }
        CHECK(j["samples_ts"].is_null());
        CHECK(j["avg_ns"] == average);
        CHECK(j["logits_hash"] == "0000000000000abc");
        CHECK(j["n_turns"] == 20);
    }
    CHECK(full.line(line.size()) == line);
    CHECK(full.line(line.size() - 1).empty());
    CHECK(line.size() < 4096);
}
