// SPDX-License-Identifier: MIT
// --bench on small random models without a vocabulary: records, counts, hashes, interruption.
#include "model/run/bench.h"

#include <nlohmann/json.hpp>
#include <numeric>

#include "test/unit/machine.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

// What one bench gave.
struct Tests {
    Status status;
    std::vector<json> records;
    std::vector<std::string> tables;
    Record last;

    Tests(const AlignedBytes& file, const std::string& plan, const Options& base = {},
          size_t stop_after = ~size_t{0}) {
        Result<Weights> weights = Weights::open("test.axm", file.span());
        REQUIRE(weights.ok());
        Options options = base;
        const std::vector<std::string_view> words = {"--bench", plan, "--isa", "scalar", "--quiet"};
        REQUIRE(parse_arguments(words, Source::host_command_line, &options).ok());
        const Result<MemoryNeed> need = bench_memory(weights.value(), options, 1);
        status = need.status();
        if (!need.ok()) return;
        // Exactly what bench_memory() says, so that too little is noticed.
        TestMachine m(need.value().least);
        m.stop_at = stop_after;
        status = bench(m.machine, weights.value(), options, &last, keep, this);
    }

  private:
    static void append(void* to, std::string_view text) {
        static_cast<std::string*>(to)->append(text);
    }
    static void keep(void* context, const Record& record) {
        Tests& t = *static_cast<Tests*>(context);
        std::string line, table;
        print_json(record, append, &line);
        print_test(record, t.records.empty() ? 0 : record.n_threads, append, &table);
        t.records.push_back(json::parse(line));
        t.tables.push_back(table);
    }
};

constexpr char kShape[] = "96,3,4,2,200,200";  // too small for a tokenizer

}  // namespace

TEST_CASE("a bench gives one record a test with llama-bench's fields and meanings") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    const Tests tests(file, "pp=70 tg=5 reps=3 warmup=2");
    INFO(tests.status.text());
    REQUIRE(tests.status.ok());
    REQUIRE(tests.records.size() == 2);
    const json &pp = tests.records[0], &tg = tests.records[1];
    CHECK((pp["n_prompt"] == 70 && pp["n_gen"] == 0 && pp["test"] == "pp70"));
    CHECK((tg["n_prompt"] == 0 && tg["n_gen"] == 5 && tg["test"] == "tg5"));
    for (const json& j : tests.records) {
        for (const char* name :
             {"cpu_info", "model_filename", "model_type", "model_size", "model_n_params", "n_batch",
              "n_threads", "n_prompt", "n_gen", "test_time", "avg_ns", "stddev_ns", "avg_ts",
              "stddev_ts", "samples_ns", "samples_ts"}) {
            INFO(name);
            CHECK(j.contains(name));
        }
        CHECK(j["status"] == "ok");
        CHECK(j["n_warmup"] == 2);
        CHECK(j["n_threads"] == 1);
        CHECK(j["logits_hash"].is_string());
        CHECK(j["gmac_per_s"] > 0);
        REQUIRE(j["samples_ns"].size() == 3);
        REQUIRE(j["samples_ts"].size() == 3);
        const double n_tokens = j["n_prompt"].get<double>() + j["n_gen"].get<double>();
        double sum_ns = 0, sum_ts = 0;
        for (size_t i = 0; i < 3; i++) {
            const double ns = j["samples_ns"][i], ts = j["samples_ts"][i];
            CHECK(ts == Approx(n_tokens * 1e9 / ns));
            sum_ns += ns;
            sum_ts += ts;
        }
        CHECK(j["avg_ns"].get<double>() == Approx(sum_ns / 3).margin(1));
        CHECK(j["avg_ts"].get<double>() == Approx(sum_ts / 3));  // of rates, as llama-bench
    }
    CHECK(pp["gb_per_s"].is_null());
    CHECK(tg["gb_per_s"] > 0);
    // Of every timed repetition, and of no other.
    CHECK(pp["layer_n"] == 3 * 3);  // 70 tokens are one pass of at most 128
    CHECK(tg["layer_n"] == 3 * 5 * 3);
    CHECK(pp["token_n"].is_null());
    CHECK(tg["token_n"] == 3 * 5);
    CHECK(tests.tables[0].find("pp70") != std::string::npos);
    CHECK(tests.tables[0].find("kernels") != std::string::npos);
    CHECK(tests.tables[1].find("kernels") == std::string::npos);
}

TEST_CASE("a bench's logits hashes do not depend on repetitions, warm-up or batches") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4m);
    Options in_sevens;
    in_sevens.n_batch = 7;
    const Tests once(file, "pp=50 tg=6 reps=1 warmup=0"), often(file, "pp=50 tg=6 reps=3 warmup=2"),
        sevens(file, "pp=50 tg=6 reps=1", in_sevens);
    for (size_t i = 0; i < 2; i++) {
        CHECK(once.records.at(i)["logits_hash"] == often.records.at(i)["logits_hash"]);
        CHECK(once.records.at(i)["logits_hash"] == sevens.records.at(i)["logits_hash"]);
    }
    CHECK(once.records[0]["logits_hash"] != once.records[1]["logits_hash"]);
    for (const json& j : once.records) {
        CHECK(j["boundary_share"] > 0);
        CHECK(j["boundary_share"] < 1);
    }
}

TEST_CASE("a depth is as if its tokens had been generated before") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q8);
    const Tests deep(file, "pp=0 tg=3 d=40 reps=2"), whole(file, "pp=0 tg=43 reps=1"),
        prompt(file, "pp=43 tg=0 reps=1");
    REQUIRE((deep.records.size() == 1 && whole.records.size() == 1 && prompt.records.size() == 1));
    CHECK(deep.records[0]["test"] == "tg3 @ d40");
    CHECK(deep.records[0]["n_depth"] == 40);
    CHECK(deep.records[0]["n_gen"] == 3);
    CHECK(deep.records[0]["layer_n"] == 2 * 3 * 3);
    CHECK(deep.records[0]["logits_hash"] == whole.records[0]["logits_hash"]);
    CHECK(prompt.records[0]["logits_hash"] == whole.records[0]["logits_hash"]);
}

TEST_CASE("a depth that is read once and cut back to gives every repetition the same logits") {
    SyntheticModel model(kShape);
    for (const uint32_t window : {0u, 1u, 33u}) {
        for (LayerConfig& layer : model.layers) layer.window = window;
        std::vector<json> hashes;
        for (const std::string_view plan :
             {"pp=0 tg=7 d=90 npl=2 reps=1 warmup=0", "pp=0 tg=7 d=90 npl=2 reps=3 warmup=1"}) {
            const Options options = options_of({"--bench", plan, "--isa", "scalar", "--quiet"});
            TestMachine m(bench_memory(model.weights, options, 1).value().least);
            Record record;
            const auto keep = [](void* to, const Record& r) {
                static_cast<std::vector<json>*>(to)->push_back(r.logits_hash);
            };
            REQUIRE(bench(m.machine, model.weights, options, &record, keep, &hashes).ok());
        }
        INFO("window " << window);
        CHECK((hashes.size() == 2 && hashes[0] == hashes[1]));
        CHECK(hashes.at(0) != 0);
    }
}

TEST_CASE("sequences side by side have the logits that each has alone") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q8);
    const Weights weights = Weights::open("test.axm", file.span()).value();
    constexpr size_t kSequences = 3, kDepth = 37, kGen = 4, kEach = kDepth + kGen;
    // Each sequence is a stretch of the bench's ids, which depend on nothing else.
    std::vector<TokenId> ids(kSequences * kEach);
    uint32_t x = 1;
    for (TokenId& id : ids) {
        x = x * 1664525u + 1013904223u;
        id = TokenId((x >> 8) % weights.config.n_vocab);
    }
    Engine engine(weights, kScalarKernels, 1, kEach, kEach);
    Xxh64 last_logits;
    for (size_t i = 0; i < kSequences; i++) {
        engine.sequence().truncate(0);
        engine.run(std::span(ids).subspan(i * kEach, kEach), 1,
                   [&](size_t position, std::span<const float> logits) {
                       if (position == kEach - 1)
                           last_logits.update(logits.data(), logits.size_bytes());
                   });
    }
    Options in_twos;
    in_twos.n_batch = 2;  // prompts are read so; a pass of one token each has three rows
    for (const Options& options : {Options(), in_twos}) {
        const Tests tests(file, "pp=20 tg=4 d=37 npl=3 reps=2", options);
        INFO(tests.status.text());
        REQUIRE(tests.records.size() == 2);
        const json &pp = tests.records[0], &tg = tests.records[1];
        CHECK(tg["logits_hash"] ==
              std::string(Text<16>(HexDigits{last_logits.digest(), 16}).view()));
        CHECK(tg["test"] == "tg4 x3 @ d37");
        CHECK((tg["n_gen"] == 4 && tg["n_depth"] == 37 && tg["n_sequences"] == 3));
        CHECK(tg["layer_n"] == 2 * 4 * 3);  // passes and layers: all sequences share them
        CHECK(tg["token_n"] == 2 * 4 * 3);
        for (size_t i = 0; i < 2; i++) {
            const double ns = tg["samples_ns"][i];
            CHECK(tg["samples_ts"][i].get<double>() == Approx(3 * 4 * 1e9 / ns));
        }
        CHECK((pp["test"] == "pp20" && pp["n_sequences"] == 1));
        CHECK(pp["layer_n"] == 2 * 3 * (options.n_batch == 2 ? 10 : 1));
        CHECK(pp["logits_hash"] == Tests(file, "pp=20 tg=0 reps=1").records.at(0)["logits_hash"]);
    }
    CHECK(Tests(file, "pp=0 tg=4 npl=2").records.at(0)["test"] == "tg4 x2");
}

TEST_CASE("lists are tested in every combination, each with the logits it has alone") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    const Tests lists(file, "pp=8,0,20 tg=3,5 d=0,9 npl=1,2 reps=1 warmup=0");
    INFO(lists.status.text());
    REQUIRE(lists.status.ok());
    const std::vector<std::pair<std::string, std::string>> alone = {
        {"pp8", "pp=8 tg=0"},
        {"pp20", "pp=20 tg=0"},
        {"tg3", "pp=0 tg=3"},
        {"tg5", "pp=0 tg=5"},
        {"tg3 @ d9", "pp=0 tg=3 d=9"},
        {"tg5 @ d9", "pp=0 tg=5 d=9"},
        {"tg3 x2", "pp=0 tg=3 npl=2"},
        {"tg5 x2", "pp=0 tg=5 npl=2"},
        {"tg3 x2 @ d9", "pp=0 tg=3 npl=2 d=9"},
        {"tg5 x2 @ d9", "pp=0 tg=5 npl=2 d=9"},
    };
    REQUIRE(lists.records.size() == alone.size());
    for (size_t i = 0; i < alone.size(); i++) {
        INFO(alone[i].first);
        CHECK(lists.records[i]["test"] == alone[i].first);
        CHECK(lists.records[i]["samples_ns"].size() == 1);
        CHECK(lists.records[i]["logits_hash"] ==
              Tests(file, alone[i].second + " reps=1 warmup=0").records.at(0)["logits_hash"]);
    }
}

TEST_CASE("a bench goes through numbers of workers, those there are, with the same logits") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    const Weights weights = Weights::open("test.axm", file.span()).value();
    const Options options = options_of(
        {"--bench", "pp=9 tg=4 threads=1,3,2,0,7,1 reps=1", "--isa", "scalar", "--quiet"});
    Workers m(bench_memory(weights, options, 3).value().least, 3);
    std::vector<json> records;
    const auto keep = [](void* to, const Record& r) {
        std::string line;
        print_json(
            r, [](void* s, std::string_view t) { static_cast<std::string*>(s)->append(t); }, &line);
        static_cast<std::vector<json>*>(to)->push_back(json::parse(line));
    };
    Record record;
    REQUIRE(bench(m.machine.machine, weights, options, &record, keep, &records).ok());
    // 0 is all three, and 7 is no more: both have been tested as 3.
    const std::vector<int> n_threads = {1, 1, 3, 3, 2, 2, 1, 1};
    REQUIRE(records.size() == n_threads.size());
    for (size_t i = 0; i < records.size(); i++) {
        CHECK(records[i]["n_threads"] == n_threads[i]);
        CHECK(records[i]["logits_hash"] == records[i % 2]["logits_hash"]);
    }
}

TEST_CASE("an interrupted bench keeps the repetitions that finished") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    // Three layers a pass: pp8 is one pass, so the 4th repetition of pp8 is cut at its 2nd layer.
    const Tests tests(file, "pp=8 tg=4 reps=5 warmup=1", {}, 4 * 3 + 2);
    CHECK(tests.status.code() == Code::interrupted);
    REQUIRE(tests.records.size() == 1);
    CHECK(tests.records[0]["status"] == "interrupted");
    CHECK(tests.records[0]["samples_ns"].size() == 3);
    CHECK(tests.records[0]["logits_hash"].is_null());
    CHECK(tests.records[0]["avg_ts"] > 0);
}

TEST_CASE("a bench takes the memory that its plan says, to the byte") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    const Weights weights = Weights::open("test.axm", file.span()).value();
    const auto ignore = [](void*, const Record&) {};
    for (const std::string_view plan :
         {"pp=40 tg=9 reps=2 d=5", "pp=40 tg=9 reps=2 d=5 npl=7", "pp=0 tg=1 npl=64",
          "pp=7,40 tg=1,9,3 d=5,0 npl=1,3,2 reps=2"}) {
        const Options options = options_of({"--bench", plan, "--quiet", "--trace", "x"});
        const uint64_t need = bench_memory(weights, options, 1).value().least;
        Record record;
        TestMachine enough(need), less(need - 1);
        CHECK(bench(enough.machine, weights, options, &record, ignore, nullptr).ok());
        CHECK(bench(less.machine, weights, options, &record, ignore, nullptr).code() ==
              Code::no_memory);
        CHECK(record.status() == "error");
    }
}

TEST_CASE("a bench's rates are its multiply-adds and bytes over its samples") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    const Weights weights = Weights::open("test.axm", file.span()).value();
    const Tests tests(file, "pp=20 tg=6 reps=3 warmup=0");
    REQUIRE(tests.records.size() == 2);
    const auto seconds = [](const json& j) {
        double ns = 0;
        for (const json& sample : j["samples_ns"]) ns += sample.get<double>();
        return ns * 1e-9;
    };
    const json &pp = tests.records[0], &tg = tests.records[1];
    const double macs = double(weights.macs_per_token());
    const double output = double(weights.output.n_rows * weights.output.n_cols);
    const double bytes = double(weights.bytes_per_token());
    CHECK(tg["gmac_per_s"].get<double>() == Approx(macs * 18e-9 / seconds(tg)).margin(6e-4));
    CHECK(tg["gb_per_s"].get<double>() == Approx(bytes * 18e-9 / seconds(tg)).margin(6e-4));
    CHECK(pp["gmac_per_s"].get<double>() ==
          Approx(((macs - output) * 20 + output) * 3e-9 / seconds(pp)).margin(6e-4));
    // Five sequences' tokens share the weights that a pass reads.
    const json batch = Tests(file, "pp=0 tg=6 npl=5 reps=3 warmup=0").records.at(0);
    CHECK(batch["gmac_per_s"].get<double>() ==
          Approx(macs * 5 * 18e-9 / seconds(batch)).margin(6e-4));
    CHECK(batch["gb_per_s"].get<double>() == Approx(bytes * 18e-9 / seconds(batch)).margin(6e-4));
}

TEST_CASE("a bench longer than the context is refused with both lengths") {
    const AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    const uint64_t trained = Weights::open("test.axm", file.span()).value().config.n_ctx_train;
    const Tests model(file, "pp=" + std::to_string(trained + 1));
    CHECK(model.status.code() == Code::bad_option);
    CHECK(std::string(model.status.text()).find(std::to_string(trained + 1)) != std::string::npos);
    Options short_context;
    short_context.n_ctx = 16;
    const Tests option(file, "pp=8 tg=9 d=8", short_context);
    CHECK(
        std::string(option.status.text()).find("found tests of 17 positions, allowed at most 16") !=
        std::string::npos);
}
