// SPDX-License-Identifier: MIT
// What is kept of passes: histograms, sums, and the trace of --trace.
#include "model/run/pass_stats.h"

#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "model/run/generate.h"
#include "test/unit/catch.h"
#include "test/unit/machine.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

void append(void* to, std::string_view text) {
    static_cast<std::string*>(to)->append(text);
}

std::vector<json> lines_of(const std::string& text) {
    std::vector<json> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (line.starts_with("{")) lines.push_back(json::parse(line));
    return lines;
}

constexpr Clock kNanoseconds{.ticks_per_second = 1000000000};

// Two layers: 10 i + 1, ... for the first, 10 i + 6, ... for the second.
void run_pass(PassStats& stats, uint64_t i, size_t n_rows) {
    const ForwardTimes times = stats.begin();
    for (uint64_t layer = 0; layer < 2; layer++) {
        const uint64_t base = 10 * i + 5 * layer;
        times.layer_ticks[layer] = 100 + base;
        times.boundary_ticks[layer] = base + 2;
        times.stall_ticks[layer] = base + 3;
        if (times.attention_ticks != nullptr) times.attention_ticks[layer] = 40 + base;
    }
    stats.end(1000 * (i + 1), n_rows);
}

}  // namespace

TEST_CASE("passes are counted, summed and traced in the order in which they ran") {
    std::vector<uint64_t> memory(PassStats::n_words(1, 2)), traced(PassTrace::n_words(3, 2));
    PassStats stats(memory, 2, kNanoseconds, PassTrace(traced, 2));
    stats.set_stage(Stage::prefill, false);
    run_pass(stats, 0, 7);
    stats.set_stage(Stage::decode);
    for (uint64_t i = 1; i < 5; i++) run_pass(stats, i, 1);
    stats.add_token(2000);
    CHECK(stats.n_passes() == 4);
    CHECK(stats.total_ticks() == 2000 + 3000 + 4000 + 5000);
    Record r;
    stats.fill_layers(&r);
    CHECK(r.layer.n == 8);
    CHECK(r.layer.max_ns == 145);
    CHECK(r.boundary.max_ns == 47);
    CHECK(r.stall.max_ns == 48);
    CHECK(r.token.n == 1);
    // Boundaries: 10 i + 2 and 10 i + 7, i = 1..4.
    CHECK(r.boundary_share == Approx((4 * 9 + 20 * 10) / 14000.0));
    CHECK(r.stall_share == Approx((4 * 11 + 20 * 10) / 14000.0));
    LayerCost costs[2];
    stats.fill_costs(costs);
    CHECK(costs[0].compute_ns == Approx(100 + 25));
    CHECK(costs[1].stall_ns == Approx(25 + 8));
    REQUIRE(stats.pass_ns().size() == 1);  // as many as were to be told apart
    CHECK(stats.pass_ns()[0] == 2000);

    r.test = "tg4";
    r.kernel_set = "sse";
    r.n_threads = 2;
    r.tsc_hz = 1000000000;
    std::string text;
    stats.trace().print(r, kNanoseconds, append, &text);
    CHECK(text.starts_with("{\"axiom\":1,\"kind\":\"trace\","));
    const std::vector<json> lines = lines_of(text);
    REQUIRE(lines.size() == 4);
    CHECK(lines[0]["n_passes"] == 3);
    CHECK(lines[0]["n_dropped"] == 2);
    CHECK(lines[0]["n_layer"] == 2);
    CHECK(lines[0]["test"] == "tg4");
    CHECK(lines[0]["model_filename"].is_null());
    CHECK(lines[1] == json{{"pass", 0},
                           {"stage", "prefill"},
                           {"rows", 7},
                           {"ns", 1000},
                           {"layers", {{40, 60, 2, 3}, {45, 60, 7, 8}}}});
    CHECK(lines[2]["stage"] == "decode");
    CHECK(lines[2]["pass"] == 1);
    CHECK(lines[3]["layers"] == json{{60, 60, 22, 23}, {65, 60, 27, 28}});

    stats.clear();
    CHECK((stats.n_passes() == 0 && stats.total_ticks() == 0 && stats.trace().n_dropped() == 0));
    stats.fill_layers(&r);
    CHECK(r.layer.n == 0);
    CHECK(r.boundary_share == 0);
}

TEST_CASE("memory for passes does not grow with their number unless they are told apart") {
    CHECK(PassStats::n_words(100, 3) == PassStats::n_words(0, 3) + 100);
    std::vector<uint64_t> memory(PassStats::n_words(0, 2));
    PassStats stats(memory, 2, kNanoseconds);
    CHECK(stats.begin().attention_ticks == nullptr);  // nobody asked for a trace
    for (uint64_t i = 0; i < 5000; i++) run_pass(stats, i % 3, 1);
    Record r;
    stats.fill_layers(&r);
    CHECK(r.layer.n == 10000);
    CHECK(r.layer.p999_ns == 125);
    CHECK(stats.pass_ns().empty());
}

TEST_CASE("a traced run has every pass of its prompt and of decoding, and the logits of any run") {
    const AlignedBytes file = synthetic_model("96,3,4,2,200,300", StoredType::q4);
    const Weights weights = Weights::open("test.axm", file.span()).value();
    uint64_t hashes[2];
    for (const bool traced : {false, true}) {
        std::vector<std::string_view> words = {"-p", "abcdefghij",   "--raw",   "-n",
                                               "6",  "-b",           "4",       "-c",
                                               "64", "--ignore-eos", "--draft", "off"};
        if (traced) words.insert(words.end(), {"--trace", "x"});
        const Options options = options_of(words);
        TestMachine m(memory_needed(weights, options, 1).value().least);
        std::string text;
        m.machine.trace = append;
        m.machine.trace_context = &text;
        BootPhases phases(ticks_now());
        m.machine.phases = &phases;
        m.machine.entry_ticks = ticks_now();
        Record record;
        REQUIRE(generate(m.machine, weights, options, &record).ok());
        hashes[traced] = record.logits_hash;
        // All of the time to the first token, but for what lies between the two readings above, is
        // some phase's; each is rounded down.
        uint64_t sum = 0;
        for (const uint64_t ns : record.boot_phase_ns) sum += ns;
        CHECK(double(sum) + kNPhases >= record.phase_first_token_ns);
        CHECK(record.boot_phase_ns[size_t(Phase::prefill)] > 0);
        if (!traced) {
            CHECK(text.empty());
            continue;
        }
        const std::vector<json> lines = lines_of(text);
        REQUIRE(lines.size() == 1 + 3 + 5);
        CHECK(lines[0]["axm_checksum"].is_string());
        double layers_ns = 0;
        for (size_t i = 1; i < lines.size(); i++) {
            CHECK(lines[i]["pass"] == i - 1);
            CHECK(lines[i]["stage"] == (i < 4 ? "prefill" : "decode"));
            CHECK(lines[i]["rows"] == (i < 3 ? 4 : i == 3 ? 2 : 1));
            REQUIRE(lines[i]["layers"].size() == 3);
            double in_layers = 0;
            for (const json& layer : lines[i]["layers"]) {
                REQUIRE(layer.size() == 4);
                for (const json& ns : layer) in_layers += ns.get<double>();
            }
            CHECK(in_layers <= lines[i]["ns"].get<double>());
            layers_ns += in_layers;
        }
        CHECK(layers_ns > 0);
    }
    CHECK(hashes[0] == hashes[1]);
}
