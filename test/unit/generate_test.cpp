// SPDX-License-Identifier: MIT
// Whole runs on a small random model: what the record says of them, and what memory they take.
#include "model/run/generate.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/hash.h"
#include "model/run/perplexity.h"
#include "model/run/prompt.h"
#include "test/unit/machine.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

constexpr char kShape[] = "96,3,4,2,200,300";  // a vocabulary of bytes, 3 layers

struct Model {
    AlignedBytes file = synthetic_model(kShape, StoredType::q4);
    Weights weights;
    Model() {
        Result<Weights> opened = Weights::open("test.axm", file.span());
        REQUIRE(opened.ok());
        weights = opened.value();
    }
};

void append(void* to, std::string_view text) {
    static_cast<std::string*>(to)->append(text);
}

json json_of(const Record& r) {
    std::string line;
    print_json(r, append, &line);
    return json::parse(line);
}

std::string table_of(const Record& r) {
    std::string table;
    print_table(r, append, &table);
    return table;
}

// One run with exactly the memory it says it needs.
struct Run {
    Status status;
    Record record;
    json j;
    std::string table, text;
    size_t n_hashed = 0;
    uint64_t took_ticks = 0;

    Run(const Model& model, std::vector<std::string_view> words, size_t stop_at = ~size_t{0},
        WeightSource* source = nullptr) {
        words.insert(words.end(), {"--isa", "scalar"});
        const Options options = options_of(words);
        const Result<MemoryNeed> need = memory_needed(model.weights, options, 1);
        INFO(need.status().text());
        REQUIRE(need.ok());
        TestMachine m(need.value().wanted);
        m.stop_at = stop_at;
        m.machine.source = source;
        m.machine.on_logits = [](void* c, std::span<const float>) { ++*static_cast<size_t*>(c); };
        m.machine.on_logits_context = &n_hashed;
        const uint64_t begin = ticks_now();
        status = generate(m.machine, model.weights, options, &record);
        took_ticks = ticks_now() - begin;
        j = json_of(record);
        table = table_of(record);
        text = m.text;
    }
};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

TEST_CASE("a run's record counts its tokens and its rates follow from its times") {
    const Model model;
    const Run run(model, {"-p", "abc", "--raw", "-n", "5", "--ignore-eos", "-c", "64"});
    INFO(run.status.text());
    REQUIRE(run.status.ok());
    const json& j = run.j;
    CHECK(j["status"] == "ok");
    CHECK(j["stop_reason"] == "length");
    CHECK(j["n_prompt"] == 3);
    CHECK(j["n_gen"] == 5);
    CHECK(j["n_decode"] == 4);
    CHECK(run.n_hashed == 5);
    CHECK(j["samples_ns"].size() == 4);
    for (const char* name : {"layer_n", "boundary_n", "stall_n"}) CHECK(j[name] == 4 * 3);
    const double seconds = run.record.decode_ns * 1e-9;
    CHECK(run.record.decode_ts == Approx(4 / seconds));
    CHECK(run.record.decode_gb_per_s ==
          Approx(double(model.weights.bytes_per_token()) * 4 * 1e-9 / seconds));
    CHECK(run.record.decode_mmac_per_s ==
          Approx(double(model.weights.macs_per_token()) * 4 * 1e-6 / seconds));
    CHECK(run.record.prefill_ts == Approx(3e9 / run.record.prefill_ns));
    double sum = 0;
    for (const json& ns : j["samples_ns"]) sum += ns.get<double>();
    CHECK(sum == Approx(run.record.decode_ns).margin(4));
    CHECK(contains(run.table, "4 tokens"));
    // Parts of the whole; the machine's clock ticks once a nanosecond.
    CHECK(run.record.sample_ns > 0);
    CHECK(run.record.prefill_ns + run.record.decode_ns + 5 * run.record.sample_ns <=
          double(run.took_ticks));
    CHECK(run.text.starts_with("abc"));  // --raw shows the prompt
    CHECK(run.text.ends_with("\n"));
}

TEST_CASE("a run that decodes nothing shows no decoding") {
    const Model model;
    for (const char* n : {"0", "1"}) {
        const Run run(model, {"-p", "abc", "-n", n, "-c", "64"});
        REQUIRE(run.status.ok());
        INFO(run.table);
        CHECK(run.j["n_gen"] == std::stoi(n));
        CHECK(run.j["n_decode"] == 0);
        for (const char* name : {"decode_ns", "decode_ts", "decode_gb_per_s", "decode_mmac_per_s",
                                 "layer_n", "boundary_share", "stall_share"})
            CHECK(run.j[name].is_null());
        CHECK(run.j["avg_of"] == "prefill");
        CHECK_FALSE(contains(run.table, "decode"));
        CHECK_FALSE(contains(run.table, "multiply-adds"));
        CHECK(contains(run.table, "prefill"));
        CHECK(run.record.stop_reason == "length");
    }
}

TEST_CASE("batches, contexts and quiet runs do not change the logits hash") {
    const Model model;
    const std::vector<std::string_view> common = {"-p", "tell me more, please", "-n", "9",
                                                  "--ignore-eos"};
    const auto hash = [&](std::vector<std::string_view> more) {
        std::vector<std::string_view> words = common;
        words.insert(words.end(), more.begin(), more.end());
        const Run run(model, words);
        REQUIRE(run.status.ok());
        return run.j["logits_hash"].get<std::string>();
    };
    const std::string expected = hash({});
    CHECK(hash({"-b", "1"}) == expected);
    CHECK(hash({"-b", "7", "-c", "100"}) == expected);
    CHECK(hash({"--quiet"}) == expected);
    CHECK(hash({"-p", "tell me less, please"}) != expected);
}

TEST_CASE("a system message given wins over the template's own") {
    const Model model;
    const auto n_prompt = [&](std::vector<std::string_view> more) {
        std::vector<std::string_view> words = {"-p", "abc", "-n", "0", "-c", "256"};
        words.insert(words.end(), more.begin(), more.end());
        return Run(model, words).record.n_prompt;
    };
    const uint32_t given = n_prompt({"-sys", "hello"});
    CHECK(given > n_prompt({}));
    CHECK(n_prompt({"-sys", "hello", "--default-system"}) == given);
}

TEST_CASE("a run ends when its context is full") {
    const Model model;
    const Run run(model, {"-p", "abc", "--raw", "-n", "-1", "--ignore-eos", "-c", "40"});
    REQUIRE(run.status.ok());
    CHECK(run.j["stop_reason"] == "context_full");
    CHECK(run.j["n_gen"] == 40 - 3 + 1);  // the last one needs no position
    CHECK(run.j["n_decode"] == 40 - 3);
}

TEST_CASE("a stopped run says so by its status and in its record, with what was done") {
    const Model model;  // 3 layers: 3 boundaries a pass
    const std::vector<std::string_view> words = {"-p", "abc",          "--raw", "-n",
                                                 "9",  "--ignore-eos", "-c",    "64"};
    {
        const Run run(model, words, 2);  // while reading the prompt
        CHECK(run.status.code() == Code::interrupted);
        CHECK(run.j["status"] == "interrupted");
        CHECK(run.j["stop_reason"] == "interrupted");
        CHECK(run.j["error"].is_null());
        CHECK(run.j["prefill_ns"].is_null());
        CHECK(run.j["n_prompt"] == 3);
        CHECK(run.j["n_gen"] == 0);
    }
    {
        const Run run(model, words, 3 + 2 * 3 + 1);  // in the third pass of decoding
        CHECK(run.status.code() == Code::interrupted);
        CHECK(run.j["status"] == "interrupted");
        CHECK(run.j["stop_reason"] == "interrupted");
        CHECK(run.j["n_gen"] == 3);
        CHECK(run.j["n_decode"] == 2);
        CHECK(run.j["layer_n"] == 2 * 3);
        CHECK(run.j["logits_hash"].is_string());
        CHECK(contains(run.table, "interrupted"));
        CHECK(run.text.ends_with("\n"));
    }
}

namespace {

// Each layer takes a while, and the disk may be gone.
class SlowSource final : public WeightSource {
  public:
    explicit SlowSource(const Weights& weights) : weights_(weights) {}
    Status acquire(size_t i, const LayerWeights** layer) override {
        if (n_acquired++ == fails_at) return Status(Code::io, "disk lost");
        const uint64_t begin = ticks_now();
        while (ticks_now() - begin < kTicks) {
        }
        layer_ = weights_.layer(i);
        *layer = &layer_;
        return {};
    }
    void release(size_t) override {}
    Status acquire_experts(size_t, std::span<const uint32_t>, ExpertWeights*) override {
        return {};
    }

    static constexpr uint64_t kTicks = 100000;
    size_t n_acquired = 0, fails_at = SIZE_MAX;

  private:
    const Weights& weights_;
    LayerWeights layer_;
};

}  // namespace

TEST_CASE("waiting for weights is in the record as stall, and losing them is the run's error") {
    const Model model;
    const std::vector<std::string_view> words = {"-p", "abc",          "--raw", "-n",
                                                 "4",  "--ignore-eos", "-c",    "64"};
    const Run resident(model, words);
    SlowSource slow(model.weights);
    const Run run(model, words, ~size_t{0}, &slow);
    REQUIRE(run.status.ok());
    CHECK(run.j["logits_hash"] == resident.j["logits_hash"]);
    CHECK(run.j["stall_n"] == 3 * 3);
    // The machine's clock ticks once a nanosecond.
    CHECK(run.j["stall_p50_ns"].get<double>() >= double(SlowSource::kTicks));
    CHECK(run.j["stall_share"].get<double>() * run.record.decode_ns >=
          0.999 * 9 * double(SlowSource::kTicks));
    CHECK(run.j["stall_share"].get<double>() + run.j["boundary_share"].get<double>() <= 1);
    CHECK(contains(run.table, "stall"));

    SlowSource lost(model.weights);
    lost.fails_at = 3 + 3 + 1;  // in the second pass of decoding
    const Run failed(model, words, ~size_t{0}, &lost);
    CHECK(failed.status.code() == Code::io);
    CHECK(failed.j["status"] == "error");
    CHECK(failed.j["error"] == "disk lost");
    CHECK(failed.j["n_decode"] == 1);
}

TEST_CASE("a run takes the memory that its plan says, to the byte") {
    const Model model;
    const Options options = options_of({"-p", "abc", "-n", "3", "-c", "64", "--quiet"});
    const Result<MemoryNeed> need = memory_needed(model.weights, options, 1);
    REQUIRE(need.ok());
    CHECK(need.value().least == need.value().wanted);  // -c leaves no choice
    Record record;
    TestMachine enough(need.value().least), less(need.value().least - 1);
    CHECK(generate(enough.machine, model.weights, options, &record).ok());
    const Status status = generate(less.machine, model.weights, options, &record);
    CHECK(status.code() == Code::no_memory);
    CHECK(contains(std::string(status.text()), "a context of 64 positions needs"));
    CHECK(record.error() == status.text());
}

TEST_CASE("without -c the context is what memory holds, as long as the prompt fits") {
    const Model model;
    const Options options = options_of({"-p", "abc", "-n", "3", "--quiet"});
    const MemoryNeed need = memory_needed(model.weights, options, 1).value();
    REQUIRE(need.least < need.wanted);
    Record whole, part;
    TestMachine all(need.wanted), some((need.least + need.wanted) / 2);
    REQUIRE(generate(all.machine, model.weights, options, &whole).ok());
    REQUIRE(generate(some.machine, model.weights, options, &part).ok());
    CHECK(part.n_ctx < whole.n_ctx);
    CHECK(part.n_ctx >= kKvPositions);
    CHECK(part.logits_hash == whole.logits_hash);
}

TEST_CASE("-ctk and -ctv choose what a run caches, and its record and its memory say which") {
    const Model model;
    const std::vector<std::string_view> common = {
        "-p", "tell me more, please", "-n", "9", "--ignore-eos", "-c", "64"};
    const auto with = [&](std::vector<std::string_view> words) {
        words.insert(words.begin(), common.begin(), common.end());
        return words;
    };
    const auto kv_bytes = [](const Run& run) {
        for (const json& slab : run.j["slabs"])
            if (slab["name"] == "kv") return slab["object_bytes"].get<size_t>();
        return size_t{0};
    };
    const Run halves(model, common), bytes(model, with({"-ctk", "q8_0", "-ctv", "q8_0"}));
    REQUIRE(halves.status.ok());
    REQUIRE(bytes.status.ok());
    CHECK(halves.j["type_k"] == "f16");
    CHECK(halves.j["type_v"] == "f16");
    CHECK(bytes.j["type_k"] == "q8_0");
    CHECK(bytes.j["type_v"] == "q8_0");
    CHECK(halves.record.logits_hash != bytes.record.logits_hash);
    CHECK(Run(model, with({"-ctk", "f16", "-ctv", "f16"})).record.logits_hash ==
          halves.record.logits_hash);
    CHECK(Run(model, with({"-ctk", "q8_0", "-ctv", "q8_0", "-b", "3"})).record.logits_hash ==
          bytes.record.logits_hash);
    // 2 heads of 24 columns, 32 as they are cached either way; the alignment is for the count of users.
    CHECK(kv_bytes(halves) == 2 * 2 * 32 * 32 * 2 + Slab::kAlignment);
    CHECK(kv_bytes(bytes) == 2 * 2 * 32 * 34 + Slab::kAlignment);

    for (const auto& [k, v] : {std::pair{"q8_0", "f16"}, std::pair{"f16", "q8_0"}}) {
        const Options options = options_of({"-ctk", k, "-ctv", v});
        const Status status = memory_needed(model.weights, options, 1).status();
        CHECK(status.code() == Code::bad_option);
        CHECK(std::string(status.text()) == std::string("option -ctv: found ") + v +
                                                " where -ctk is " + k +
                                                ", allowed the same type for both");
    }
}

TEST_CASE("perplexity takes the memory that its plan says and does not depend on batches") {
    const Model model;
    std::string text;
    for (int i = 0; i < 200; i++) text += char('a' + i * 7 % 26);
    double first = 0;
    for (const char* n_batch : {"128", "5", "64"}) {
        const Options options =
            options_of({"--perplexity", "x", "-c", "64", "-b", n_batch, "--isa", "scalar"});
        const MemoryNeed need = memory_needed(model.weights, options, 1, text.size()).value();
        TestMachine enough(need.least), less(need.least - 1);
        Record record;
        double value = 0;
        const Status status =
            perplexity(enough.machine, model.weights, options, text, &record, &value);
        INFO(status.text());
        REQUIRE(status.ok());
        CHECK(record.n_prompt == 3 * 64);
        // Random weights know nothing: about as many choices as there are tokens.
        CHECK(value > 150);
        CHECK(value < 600);
        if (first == 0) first = value;
        CHECK(value == first);
        CHECK(contains(enough.text, "[3/3] perplexity"));
        CHECK(perplexity(less.machine, model.weights, options, text, &record, &value).code() ==
              Code::no_memory);
    }
}

TEST_CASE(
    "perplexity is of the second half of each chunk, from a first token if the model wants one") {
    const Model model;
    const std::span<const uint8_t> section = model.weights.tokenizer;
    auto& header =
        *reinterpret_cast<format::TokenizerHeader*>(const_cast<uint8_t*>(section.data()));
    std::string text;
    for (int i = 0; i < 80; i++) text += char('a' + i * 11 % 26);
    for (const bool add_bos : {false, true}) {
        header.add_bos = add_bos;
        header.bos = 256;
        const Tokenizer tokenizer = Tokenizer::open("test.axm", 0, section).value();
        std::vector<TokenId> tokens(max_tokens(text.size()));
        AlignedBytes scratch(Tokenizer::scratch_bytes(text.size()));
        const Tokenizer::Segment segment{text, Tokenizer::Specials::literal};
        const size_t n = tokenizer.encode({&segment, 1}, true, tokens, scratch.span()).value();
        REQUIRE(n >= 80);
        double nll = 0;
        for (const size_t at : {0u, 40u}) {
            std::vector<TokenId> chunk(tokens.begin() + at, tokens.begin() + at + 40);
            if (add_bos) chunk[0] = 256;
            Engine engine(model.weights, kScalarKernels, 1, 40, 40);
            engine.run(chunk, 40, [&](size_t i, std::span<const float> logits) {
                if (i < 20 || i == 39) return;
                double sum = 0;
                for (const float l : logits) sum += std::exp(double(l));
                nll += std::log(sum) - double(logits[chunk[i + 1]]);
            });
        }
        const Options options = options_of({"--perplexity", "x", "-c", "40"});
        TestMachine m(memory_needed(model.weights, options, 1, text.size()).value().least);
        Record record;
        double value = 0;
        REQUIRE(perplexity(m.machine, model.weights, options, text, &record, &value).ok());
        CHECK(value == Approx(std::exp(nll / 38)).epsilon(1e-5));
        CHECK(contains(m.text, "over 38 tokens"));
    }
}

TEST_CASE("perplexity's chunks are of 512 tokens by default, and at least of three") {
    const Model model;
    const auto run = [&](std::vector<std::string_view> words, size_t n_bytes) {
        words.insert(words.end(), {"--perplexity", "x"});
        const Options options = options_of(words);
        const std::string text(n_bytes, 'z');
        TestMachine m(memory_needed(model.weights, options, 1, n_bytes).value().least);
        Record record;
        double value = 0;
        const Status status = perplexity(m.machine, model.weights, options, text, &record, &value);
        return status.ok() ? std::to_string(record.n_prompt) : std::string(status.text());
    };
    CHECK(run({}, 512) == "512");
    CHECK(run({}, 511) ==
          "option --perplexity: the text has 511 tokens, allowed at least one chunk of 512 "
          "(option -c)");
    CHECK(run({"-c", "3"}, 5) == "3");
    CHECK(run({"-c", "2"}, 5).starts_with("option -c: found 2, allowed at least 3"));
}

TEST_CASE("a stopped perplexity says so") {
    const Model model;
    const std::string text(200, 'a');
    const Options options = options_of({"--perplexity", "x", "-c", "64", "-b", "8"});
    TestMachine m(memory_needed(model.weights, options, 1, text.size()).value().least);
    m.stop_at = 5;
    Record record;
    double value = 0;
    CHECK(perplexity(m.machine, model.weights, options, text, &record, &value).code() ==
          Code::interrupted);
    CHECK(record.status() == "interrupted");
}

TEST_CASE("check_run finds a prompt that does not fit before anything is taken") {
    const Model model;
    const auto check = [&](std::vector<std::string_view> words) {
        const Options options = options_of(words);
        AlignedBytes scratch(size_t(check_scratch_bytes(model.weights, options)));
        return check_run(model.weights, options, decode_features(read_cpu_words()), scratch.span());
    };
    CHECK(check({"-p", "abc", "--raw", "-c", "4"}).ok());
    const Status status = check({"-p", "abcd", "--raw", "-c", "4"});
    CHECK(status.code() == Code::bad_option);
    CHECK(contains(std::string(status.text()), "the prompt has 4 tokens, allowed at most 3"));
    const std::string too_long = std::to_string(model.weights.config.n_ctx_train + 1);
    CHECK(check({"--perplexity", "x"}).ok());  // needs no prompt
    CHECK(check({"-p", "abc", "-c", too_long}).code() == Code::bad_option);
}
