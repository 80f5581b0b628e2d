// SPDX-License-Identifier: MIT
// Traces and costs of layers: what is read of them, and which layer and stage is said to have changed.
#include "bench/compare/layers.h"

#include <nlohmann/json.hpp>

#include "bench/compare/print.h"
#include "bench/compare/read.h"
#include "test/unit/catch.h"

using namespace axiom::compare;
using nlohmann::json;

namespace {

struct Shape {
    int n_layer = 3, n_passes = 5, slow_layer = -1;
    double scale = 1;
    std::string test = "tg32", checksum = "ab";
};

// Attention 100, feed-forward 200, boundary 1, stall 0 us; of the slow layer attention is 150. A pass
// takes 50 us more than its layers.
std::string trace(const Shape& shape) {
    std::string out =
        "{\"axiom\":1,\"kind\":\"trace\",\"model_filename\":\"m/small.axm\",\"axm_checksum\":\"" +
        shape.checksum + "\",\"test\":\"" + shape.test +
        "\",\"backend\":\"linux\",\"kernel_set\":\"avx2\",\"n_threads\":2,\"n_layer\":" +
        std::to_string(shape.n_layer) + ",\"tsc_hz\":1000}\n";
    for (int i = 0; i < shape.n_passes; i++) {
        // Medians are those of the pass in the middle.
        const double jitter = shape.scale * (1 + 0.01 * (i - shape.n_passes / 2));
        json layers = json::array();
        double sum = 50e3;
        for (int l = 0; l < shape.n_layer; l++) {
            const double attention = (l == shape.slow_layer ? 150e3 : 100e3) * jitter;
            layers.push_back({attention, 200e3 * jitter, 1e3 * jitter, 0});
            sum += attention + 201e3 * jitter;
        }
        out += "{\"pass\":" + std::to_string(i) +
               ",\"stage\":\"decode\",\"rows\":1,\"ns\":" + std::to_string(sum) +
               ",\"layers\":" + layers.dump() + "}\n";
    }
    return out;
}

struct Traces {
    Input input;
    Comparison rows;
    std::vector<LayerPair> pairs;

    Traces(const std::string& a, const std::string& b) {
        read_text("a.trace", a, &input);
        read_text("b.trace", b, &input);
        REQUIRE(!input.sides.empty());
        rows = compare(input.sides, input.sides[0], {});
        pairs = compare_layers(input.sides, input.sides[0], 0.95);
    }
    std::string text() const { return text_table({input, rows, pairs}); }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}

// So many runs in one file, a little apart.
std::string runs(Shape shape, int n) {
    std::string out;
    for (int i = 0; i < n; i++) {
        shape.scale = 1 + 0.0001 * i;
        out += trace(shape);
    }
    return out;
}

}  // namespace

TEST_CASE("the layer and the stage that lost are named first, with the change of a pass") {
    const Traces t(trace({}), trace({.slow_layer = 1}));
    REQUIRE(t.pairs.size() == 1);
    const LayerPair& pair = t.pairs[0];
    CHECK(pair.lines[0].stage == "attention");
    CHECK(pair.lines[0].layer == 1);
    CHECK(pair.lines[0].base_ns == Approx(100e3));
    CHECK(pair.lines[0].other_ns == Approx(150e3));
    CHECK(pair.lines[0].ratio == Approx(1.5));
    REQUIRE(pair.totals.size() == 5);
    CHECK(pair.totals[0].other_ns - pair.totals[0].base_ns == Approx(50e3));
    CHECK(pair.totals[1].ratio == 1);
    CHECK_FALSE(pair.totals[3].has_ratio);  // stalls are 0
    CHECK(pair.totals[4].stage == "whole pass");
    CHECK(pair.totals[4].base_ns == Approx(953e3));
    CHECK(contains(t.text(), "attention         1  100.0   150.0   +50.0  1.500\n"));
}

TEST_CASE("one run a side shows no difference of layers, four do, whatever passes they have") {
    const Traces one(trace({.n_passes = 100}), trace({.n_passes = 100, .slow_layer = 1}));
    CHECK_FALSE(one.pairs[0].lines[0].differs);
    CHECK(contains(one.text(), "Too few runs to show any difference"));

    const Traces four(runs({}, 4), runs({.slow_layer = 1}, 4));
    CHECK(four.pairs[0].base.n_passes.size() == 4);
    CHECK(four.pairs[0].lines[0].differs);
    CHECK(four.pairs[0].n_shown == 1);
    // Three layers and four stages, without the stalls.
    CHECK(four.pairs[0].n_by_chance == Approx(0.45));
    CHECK(contains(four.text(), "slower"));
    CHECK(contains(four.text(), "Of 12 figures of single layers 1 differ"));
    const json j = json::parse(json_text({four.input, four.rows, four.pairs}));
    CHECK(j["layers"][0]["n_runs"] == json({4, 4}));
    CHECK(j["layers"][0]["layers"][0]["verdict"] == "slower");
    CHECK(j["layers"][0]["layers"][0]["layer"] == 1);
}

TEST_CASE("traces of other weights, tests or shapes are not compared, which is said") {
    for (const Shape& other :
         {Shape{.test = "tg64"}, Shape{.checksum = "cd"}, Shape{.n_layer = 4}}) {
        const Traces t(trace({}), trace(other));
        CHECK(t.pairs.empty());
        CHECK(contains(t.text(), "traces of b: no other has passes of the same weights"));
    }
}

TEST_CASE("a trace belongs to the records of the file beside it") {
    const std::string record =
        "{\"axiom\":1,\"status\":\"ok\",\"backend\":\"linux\",\"build_commit\":\"c0\",\"test\":"
        "\"tg32\","
        "\"avg_ts\":5,\"model_filename\":\"m/"
        "small.axm\",\"axm_checksum\":\"ab\",\"n_threads\":2}\n";
    for (const bool trace_first : {false, true}) {
        Input input;
        if (trace_first) read_text("dir/a.trace", trace({}), &input);
        read_text("dir/a.jsonl", record, &input);
        if (!trace_first) read_text("dir/a.trace", trace({}), &input);
        REQUIRE(input.sides.size() == 1);
        CHECK(input.sides[0].runs.size() == 1);
        CHECK(input.sides[0].traces.size() == 1);
        CHECK(input.sides[0].build == "c0");
        CHECK_FALSE(input.damaged);
    }
}

TEST_CASE("damaged passes of a trace are named by line, and the others are used") {
    const std::string good = trace({.n_passes = 1});
    const std::string pass = good.substr(good.find('\n') + 1);
    const auto notes_of = [&](const std::string& text) {
        Input input;
        read_text("a.trace", text, &input);
        CHECK(input.damaged);
        return input.notes.empty() ? "" : input.notes[0];
    };
    CHECK(contains(notes_of(pass), "a.trace:1: a pass of a trace, found no line before it"));
    for (const char* layers :
         {"[[1,2,3,4],[1,2,3,4]]", "[[1,2,3],[1,2,3],[1,2,3]]", "[[1,2,3,-4],[1,2,3,4],[1,2,3,4]]",
          "[[1,2,3,\"4\"],[1,2,3,4],[1,2,3,4]]", "7", "[]"}) {
        INFO(layers);
        const std::string bad = "{\"pass\":1,\"stage\":\"decode\",\"rows\":1,\"ns\":9,\"layers\":" +
                                std::string(layers) + "}\n";
        CHECK(
            contains(notes_of(good + bad), "a.trace:3: a pass of a trace: found other than four"));
    }
    CHECK(contains(notes_of(good + pass.substr(0, 40)), "a.trace:3: a record is cut off"));
    Input input;
    read_text("a.trace", good + pass.substr(0, 40) + "\n" + pass, &input);
    CHECK(input.sides.at(0).traces.at(0).passes.size() == 2);
}

TEST_CASE("costs of layers that records state are compared as traces are") {
    const auto record = [](double stall) {
        return "{\"axiom\":1,\"status\":\"ok\",\"test\":\"tg4\",\"avg_ts\":5,\"model_filename\":"
               "\"m.axm\","
               "\"n_threads\":1,\"layers\":[{\"compute_ns\":1000,\"stall_ns\":10,\"bytes\":0,\"gb_"
               "per_s\":"
               "null},{\"compute_ns\":1000,\"stall_ns\":" +
               std::to_string(stall) + ",\"bytes\":9,\"gb_per_s\":1.5}]}\n";
    };
    const Traces t(record(500), record(2500));
    REQUIRE(t.pairs.size() == 1);
    CHECK(t.pairs[0].lines[0].stage == "stall");
    CHECK(t.pairs[0].lines[0].layer == 1);
    CHECK(t.pairs[0].lines[0].ratio == Approx(5));
    CHECK(t.pairs[0].totals.size() == 2);
    CHECK(contains(t.text(), "means of a run"));
}
