// SPDX-License-Identifier: MIT
// Many prompts at once: each is answered as if it were alone, in any company, order and memory.
#include "model/run/serve.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "model/run/generate.h"
#include "model/run/scheduler.h"
#include "test/unit/machine.h"
#include "test/unit/talk.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

// What tests ask, by id. Texts begin alike, or not, and are of all lengths.
struct Ask {
    std::string prompt, id;
    uint32_t n = 8;
    float temperature = 0;
    std::string stop = {};
};

std::vector<Ask> some_asks(size_t n) {
    const std::string shared = "Many prompts begin with these same words, which are read once; ";
    std::vector<Ask> asks;
    for (size_t i = 0; i < n; i++) {
        Ask ask;
        ask.prompt = (i % 3 == 0 ? shared : std::string()) +
                     std::string(1 + i * 37 % 90, char('a' + i % 26));
        ask.id = std::to_string(i);
        ask.n = uint32_t(1 + i * 5 % 23);
        ask.temperature = i % 2 != 0 ? 1.5f : 0.0f;
        if (i % 5 == 4) ask.stop = "<t27";
        asks.push_back(ask);
    }
    return asks;
}

// Gives requests one by one, each after a number of answers "none now".
struct AskSource final : RequestSource {
    std::vector<Ask> asks;
    Options defaults;
    size_t n_given = 0, n_pauses = 0, pause = 0;
    std::string cancelled_id;  // once it has been asked for this often
    mutable size_t n_asked = 0;

    AskSource(std::vector<Ask> a, const Options& d) : asks(std::move(a)), defaults(d) {}
    Next next(Request* request) override {
        if (n_given == asks.size()) return Next::none_ever;
        if (n_pauses++ % (pause + 1) != pause) return Next::none_now;
        const Ask& ask = asks[n_given++];
        *request = {};
        request->line = n_given;
        request->options = defaults;
        request->options.prompt = ask.prompt;
        request->options.n_predict = ask.n;
        request->options.temperature = ask.temperature;
        request->options.seed = std::hash<std::string>()(ask.id);
        request->id = {JsonValue::Kind::string, ask.id};
        if (!ask.stop.empty()) request->stops[request->n_stops++] = ask.stop;
        return Next::request;
    }
    bool is_cancelled(const Request& request) const override {
        return request.id.text == cancelled_id && ++n_asked > 3;
    }
};

Options options_for(std::vector<std::string_view> words) {
    words.insert(words.end(), {"--prompts", "x", "--raw", "--quiet", "--special"});
    return options_of(words);
}

// A run with all that came of it.
struct Served {
    Status status;
    Record record;
    std::vector<json> lines;
    std::map<std::string, json> by_id;
    size_t kv_left = 0, kv_high = 0, kv_capacity = 0;

    // n_bytes 0: what it wants; 1: the least it says it needs.
    Served(const Model& model, const Options& options, RequestSource& source, uint64_t n_text_bytes,
           uint64_t n_bytes = 0, size_t n_workers = 1, size_t stop_at = ~size_t{0}) {
        const Result<MemoryNeed> need =
            memory_needed(model.weights, options, n_workers, n_text_bytes);
        INFO(need.status().text());
        REQUIRE(need.ok());
        if (n_bytes == 0) n_bytes = need.value().wanted;
        if (n_bytes == 1) n_bytes = need.value().least;
        Workers workers(n_bytes, n_workers);
        TestMachine& m = workers.machine;
        m.stop_at = stop_at;
        status = serve(m.machine, model.weights, options, source, n_text_bytes, &record);
        size_t begin = 0;
        for (size_t end; (end = m.text.find('\n', begin)) != m.text.npos; begin = end + 1) {
            const std::string line = m.text.substr(begin, end - begin);
            CHECK(line.starts_with("{\"axiom\":1,\"kind\":\"result\",\"id\":"));
            lines.push_back(json::parse(line));
            if (lines.back()["id"].is_string()) by_id[lines.back()["id"]] = lines.back();
        }
        CHECK(begin == m.text.size());
        for (size_t i = 0; i < m.slab.n_classes(); i++) {
            const SlabClassStats stats = m.slab.stats(Slab::ClassId(i));
            if (stats.name != "kv") continue;
            kv_left = stats.in_use;
            kv_high = stats.high_water;
            kv_capacity = stats.capacity;
        }
    }
};

// Text and hash of each ask in a run of its own.
struct Alone {
    std::string text, hash, stop_reason;
    size_t n_gen;
};
std::map<std::string, Alone> alone(const Model& model, const std::vector<Ask>& asks,
                                   std::vector<std::string_view> words) {
    std::map<std::string, Alone> all;
    words.push_back("--parallel");
    words.push_back("1");
    const Options options = options_for(words);
    for (const Ask& ask : asks) {
        Options one = options;
        one.prompts = {};
        one.prompt = ask.prompt;
        one.n_predict = ask.n;
        one.temperature = ask.temperature;
        one.seed = std::hash<std::string>()(ask.id);
        const Result<MemoryNeed> need = memory_needed(model.weights, one, 1);
        REQUIRE(need.ok());
        TestMachine machine(need.value().wanted);
        Record record;
        REQUIRE(generate(machine.machine, model.weights, one, &record).ok());
        std::string text = machine.text.substr(0, machine.text.size() - 1);
        // generate() knows no stop strings: such a run is compared with one of a slot of its own.
        if (!ask.stop.empty()) {
            AskSource source({ask}, options);
            const Served served(model, options, source, 200);
            const json& j = served.by_id.at(ask.id);
            CHECK(text.starts_with(std::string(j["text"])));
            all[ask.id] = {j["text"], j["logits_hash"], j["stop_reason"], j["n_gen"]};
            continue;
        }
        all[ask.id] = {text, std::string(Text<16>(HexDigits{record.logits_hash, 16}).view()),
                       std::string(record.stop_reason), record.n_gen};
    }
    return all;
}

void check_same(const Served& served, const std::map<std::string, Alone>& expected) {
    CHECK(served.status.ok());
    CHECK(served.record.n_ok == expected.size());
    CHECK(served.record.n_prompts == expected.size());
    REQUIRE(served.by_id.size() == expected.size());
    for (const auto& [id, one] : expected) {
        INFO("id " << id);
        const json& j = served.by_id.at(id);
        CHECK(j["status"] == "ok");
        CHECK(j["text"] == one.text);
        CHECK(j["logits_hash"] == one.hash);
        CHECK(j["stop_reason"] == one.stop_reason);
        CHECK(j["n_gen"] == one.n_gen);
    }
    CHECK(served.kv_left == 0);
}

}  // namespace

TEST_CASE("prompts answered side by side have text and hash of a run alone", "[serve]") {
    Model model;
    const std::vector<Ask> asks = some_asks(17);
    for (const bool windows : {false, true}) {
        if (windows) model.layers[1].window = 40;
        const auto expected = alone(model, asks, {"-c", "200"});
        size_t round = 0;
        for (const std::string_view slots : {"1", "2", "3", "5", "8"}) {
            for (const std::string_view batch : {"1", "7", "128"}) {
                // Orders, sets and pauses take turns.
                std::vector<Ask> ordered = asks;
                if (round % 3 == 1) std::reverse(ordered.begin(), ordered.end());
                if (round % 3 == 2)
                    std::rotate(ordered.begin(), ordered.begin() + 7, ordered.end());
                std::vector<std::string_view> words = {"-c", "200", "-np", slots, "-b", batch};
                const auto sets = kernel_sets(decode_features(read_cpu_words()));
                const KernelSet& set = sets[round % sets.size()];
                if (set.usable) words.insert(words.end(), {"--isa", set.kernels->name});
                const Options options = options_for(words);
                AskSource source(ordered, options);
                source.pause = round % 4;
                INFO("windows " << windows << " slots " << slots << " batch " << batch << " round "
                                << round);
                // With as much memory as helps, and with as little as will do.
                const Served served(model, options, source, 200, round % 2, 1 + round % 2);
                check_same(served, expected);
                CHECK(served.record.n_parallel == std::stoul(std::string(slots)));
                round++;
            }
        }
    }
}

TEST_CASE("200 prompts of mixed lengths are all answered in little memory", "[serve]") {
    const Model model;
    const std::vector<Ask> asks = some_asks(200);
    const auto expected = alone(model, asks, {"-c", "192", "--isa", "scalar"});
    const Options options = options_for({"-c", "192", "-np", "8", "-b", "16", "--isa", "scalar"});
    AskSource source(asks, options);
    const Served served(model, options, source, 200, 1);
    check_same(served, expected);
    // One whole sequence is all there is room for, so sequences had to wait or to give way.
    CHECK(served.kv_capacity == 3 * 192 / kKvPositions);
    CHECK(served.kv_high > served.kv_capacity * 3 / 4);
    CHECK(served.record.n_preempted > 0);
    CHECK(served.record.rows_per_pass > 1.5);
}

TEST_CASE("prompts that begin alike are read once and parted when they differ", "[serve]") {
    const Model model;
    std::vector<Ask> asks;
    const std::string shared(150, 's');
    for (int i = 0; i < 8; i++) asks.push_back({shared + std::to_string(i), std::to_string(i), 4});
    const auto expected = alone(model, asks, {"-c", "200", "--isa", "scalar"});
    const Options options = options_for({"-c", "200", "-np", "4", "-b", "50", "--isa", "scalar"});
    AskSource source(asks, options);
    const Served served(model, options, source, 200);
    check_same(served, expected);
    // All but the first read what follows the shared text only.
    size_t n_prompt = 0;
    for (const auto& [id, j] : served.by_id) {
        n_prompt += size_t(j["n_prompt"]);
        CHECK(j["n_shared"] == (id == "0" ? 0 : 150));
    }
    CHECK(served.record.n_shared == 7 * 150);
    CHECK(served.record.n_prompt == n_prompt);
    CHECK(served.record.n_prompt_rows == n_prompt - 7 * 150);
    // Four sequences share four whole blocks of each layer and have a block or two of their own.
    CHECK(served.kv_high <= 3 * (4 + 4 * 2));
}

TEST_CASE("the oldest sequence goes on in every pass, and all that generate do", "[serve]") {
    const Model model;
    constexpr size_t kSlots = 5, kBatch = 6, kContext = 96;
    Engine engine(model.weights, kScalarKernels,
                  {.n_ctx = kContext,
                   .n_batch = kBatch,
                   .n_logit_rows = kSlots,
                   .n_workers = 1,
                   .n_sequences = kSlots + 1,
                   .n_positions = kContext});
    const size_t n_tables = engine.in_use("kv_table");
    {
        std::vector<Tokens> histories(kSlots, Tokens(kContext + 1));
        std::vector<Sampler::Candidate> candidates(300);
        alignas(Slot) static uint8_t storage[kSlots * sizeof(Slot)];
        Slot* const first = reinterpret_cast<Slot*>(storage);
        for (size_t i = 0; i < kSlots; i++) {
            new (first + i) Slot(engine.transformer(), engine.pool(), model.tokenizer, histories[i],
                                 candidates);
            REQUIRE(first[i].session.open().ok());
        }
        const std::span<Slot> slots(first, kSlots);
        Scheduler scheduler(slots, engine.pool(), kBatch);
        size_t n_started = 0, n_ended = 0, n_passes = 0;
        uint32_t random = 1;
        const auto next = [&](uint32_t n) {
            random = random * 1664525u + 1013904223u;
            return (random >> 16) % n;
        };
        while (n_ended < 60) {
            while (n_started < 60 && scheduler.has_free_slot() && next(3) != 0) {
                Tokens tokens(1 + next(70));
                for (size_t i = 0; i < tokens.size(); i++)
                    tokens[i] = i < 40 ? TokenId(i) : TokenId(next(256));
                Slot& slot = scheduler.best_slot(tokens);
                slot.request.options.n_predict = 1 + next(25);
                slot.request.options.ignore_eos = true;
                slot.session.restart({});
                REQUIRE(slot.session.resume(tokens).ok());
                scheduler.enter(slot);
                n_started++;
            }
            if (scheduler.live().empty()) continue;
            Row memory[kBatch];
            std::vector<Slot*> generating;
            for (Slot* slot : scheduler.live()) {
                if (slot->begun && slot->session.pending().size() == 1) generating.push_back(slot);
            }
            const size_t n_preempted = scheduler.n_preempted();
            const std::span<const Row> rows = scheduler.compose(memory);
            n_passes++;
            REQUIRE_FALSE(rows.empty());
            const auto live = scheduler.live();
            CHECK(live[0]->n_rows > 0);
            bool all_older_begun = true;
            for (const Slot* slot : live) {
                CHECK((!slot->begun || all_older_begun));
                all_older_begun = all_older_begun && slot->begun;
                if (slot->n_rows > 0) CHECK(slot->begun);
            }
            // Who lost its blocks is the only one that does not go on.
            size_t n_still = 0;
            for (const Slot* slot : generating) n_still += slot->n_rows == 1;
            CHECK(n_still + (scheduler.n_preempted() - n_preempted) >= generating.size());
            REQUIRE(engine.transformer().forward(rows).ok());
            const std::vector<Slot*> now(live.begin(), live.end());
            size_t i_logits = 0;
            for (Slot* slot : now) {
                if (slot->n_rows == 0 || !slot->session.pending().empty()) continue;
                const auto logits = engine.workspace().logits_row(i_logits++);
                slot->session.accept(slot->session.sample(logits));
                if (!slot->session.done()) continue;
                scheduler.leave(*slot);
                n_ended++;
            }
        }
        CHECK(scheduler.n_preempted() > 0);
        CHECK(n_passes < 60 * 100);
        for (Slot& slot : slots) slot.~Slot();
    }
    CHECK(engine.in_use("kv") == 0);
    CHECK(engine.in_use("kv_table") == n_tables);
}

TEST_CASE("bad lines and prompts that do not fit are reported, and the others are answered",
          "[serve]") {
    const Model model;
    const Options options = options_for({"-c", "64", "-n", "3"});
    std::string text =
        "good\n"
        "{\"prompt\":1}\n"
        "\n" +
        std::string(64, 'x') + "\n" + std::string(63, 'x') +
        "\n{\"prompt\":\"none\",\"n\":0,\"id\":4}\n{\"prompt\":\"\",\"n\":-1}";
    PromptFile source("p.jsonl", text, options);
    const uint64_t longest = PromptFile::longest_line(text);
    const Served served(model, options, source, longest);
    CHECK(served.status.ok());
    std::map<int, json> by_line;
    for (const json& j : served.lines) by_line[j["line"]] = j;
    REQUIRE(by_line.size() == 6);
    CHECK(by_line[1]["status"] == "ok");
    CHECK(by_line[1]["n_gen"] == 3);
    CHECK(by_line[1]["id"].is_null());
    CHECK(by_line[2]["status"] == "error");
    CHECK(by_line[2]["error"] == "p.jsonl: line 2, column 2: prompt: found 1, allowed a string");
    CHECK_FALSE(by_line[2].contains("text"));
    CHECK(by_line[4]["error"] ==
          "line 4: the prompt has 64 tokens, allowed at most 63 (the context of 64 less one to "
          "generate)");
    CHECK(by_line[5]["status"] == "ok");
    CHECK(by_line[5]["stop_reason"] == "context_full");
    CHECK(by_line[5]["n_gen"] == 2);
    CHECK(by_line[6]["id"] == 4);
    CHECK(by_line[6]["n_gen"] == 0);
    CHECK(by_line[6]["text"] == "");
    CHECK(by_line[6]["logits_hash"] == std::string(Text<16>(HexDigits{Xxh64::of("", 0), 16})));
    CHECK(by_line[7]["status"] == "ok");  // an empty prompt: the first token there is
    CHECK(served.record.n_prompts == 6);
    CHECK(served.record.n_ok == 4);
    CHECK(served.record.n_failed == 2);
    CHECK(served.kv_left == 0);
}

TEST_CASE("Ctrl-C keeps what is done and answers what was under way with what it has", "[serve]") {
    const Model model;
    const std::vector<Ask> asks = {{"aaa", "a", 2}, {"bbb", "b", 60}, {"ccc", "c", 60}};
    const Options options = options_for({"-c", "200", "-np", "2", "--isa", "scalar"});
    AskSource whole_source(asks, options);
    const Served whole(model, options, whole_source, 200);
    AskSource source(asks, options);
    const Served served(model, options, source, 200, 0, 1, 30);
    CHECK(served.status.code() == Code::interrupted);
    CHECK(served.record.status() == "interrupted");
    CHECK(served.by_id.at("a") == whole.by_id.at("a"));
    REQUIRE(served.by_id.size() == 3);
    for (const char* id : {"b", "c"}) {
        const json& j = served.by_id.at(id);
        CHECK(j["status"] == "interrupted");
        CHECK(j["stop_reason"].is_null());
        CHECK(j["n_gen"] < 60);
        CHECK_FALSE(j.contains("error"));
    }
    const std::string text = served.by_id.at("b")["text"], all = whole.by_id.at("b")["text"];
    CHECK_FALSE(text.empty());
    CHECK(all.starts_with(text));
    CHECK(served.record.n_ok == 1);
    CHECK(served.record.n_interrupted == 2);
    CHECK(served.kv_left == 0);
}

TEST_CASE("a request that nobody waits for any more leaves, and the others do not notice",
          "[serve]") {
    const Model model;
    const std::vector<Ask> asks = {{"aaa", "a", 20}, {"bbb", "b", 60}, {"ccc", "c", 20}};
    const Options options = options_for({"-c", "200", "-np", "2", "--isa", "scalar"});
    AskSource whole_source(asks, options);
    const Served whole(model, options, whole_source, 200);
    AskSource source(asks, options);
    source.cancelled_id = "b";
    const Served served(model, options, source, 200);
    CHECK(served.status.ok());
    CHECK(served.by_id.at("b")["status"] == "cancelled");
    CHECK(served.by_id.at("b")["n_gen"] == 4);
    for (const char* id : {"a", "c"})
        CHECK(served.by_id.at(id)["logits_hash"] == whole.by_id.at(id)["logits_hash"]);
    CHECK(served.record.n_cancelled == 1);
    CHECK(served.record.n_ok == 2);
}

TEST_CASE("many sequences take the memory that their plan says", "[serve]") {
    const Model model;
    for (const std::string_view slots : {"0", "1", "8", "64"}) {
        const Options options = options_for({"-c", "100", "-np", slots, "-n", "1000"});
        INFO("slots " << slots);
        const Result<MemoryNeed> need = memory_needed(model.weights, options, 1, 100);
        REQUIRE(need.ok());
        CHECK(need.value().least < need.value().wanted + (slots == "1"));
        for (const bool wanted : {false, true}) {
            AskSource source(some_asks(3), options);
            const Served served(model, options, source, 100, wanted ? 0 : 1);
            CHECK(served.status.ok());
            CHECK(served.record.n_ok == 3);
            const uint32_t given =
                slots == "0" ? (wanted ? 8 : 1) : uint32_t(std::stoul(std::string(slots)));
            CHECK(served.record.n_parallel == given);
            // The last block of the one context there is room for may be used to its end.
            CHECK(served.record.n_positions == (wanted ? given * 100 : given == 1 ? 100 : 128));
        }
        TestMachine machine(need.value().least - 64);
        AskSource source(some_asks(1), options);
        Record record;
        CHECK(serve(machine.machine, model.weights, options, source, 100, &record).code() ==
              Code::no_memory);
    }
}
