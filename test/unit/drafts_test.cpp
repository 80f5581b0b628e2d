// SPDX-License-Identifier: MIT
// Drafts: where they are looked up, and that nobody sees from the outcome that there were any.
#include "model/engine/drafts.h"

#include <string>
#include <vector>

#include "model/engine/draft_gate.h"
#include "test/unit/talk.h"

using namespace axiom;
using namespace axiom::test;

namespace {

struct Lookup {
    std::vector<uint32_t> table = std::vector<uint32_t>(Drafts::n_entries(100));
    Drafts drafts{table};

    Tokens propose(const Tokens& tokens, size_t most) {
        const std::span<const TokenId> found = drafts.propose(tokens, most);
        return Tokens(found.begin(), found.end());
    }
};

// What a run shows: its tokens, its text and the hash of all logits that the sampler saw.
struct Outcome {
    Tokens tokens;
    std::string text;
    uint64_t hash = 0;
    size_t n_passes = 0, n_drafted = 0, n_accepted = 0;
};

Outcome run(const Model& model, const Kernels& kernels, size_t n_workers, const Tokens& prompt,
            const Options& options, size_t n_ctx) {
    EngineShape shape =
        shape_of(n_ctx, 32, options.draft == Draft::lookup ? options.n_draft_max + 1 : 1);
    shape.n_workers = n_workers;
    shape.n_sequences = 2;
    shape.n_return = options.draft == Draft::lookup ? options.n_draft_max + 1 : 0;
    Engine engine(model.weights, kernels, shape);
    const size_t none_in_use = engine.in_use("kv");
    Outcome outcome;
    {
        Talk talk(model, engine, {}, options);
        std::vector<uint64_t> ticks(PassStats::n_words(n_ctx, model.weights.config.n_layer));
        PassStats stats(ticks, model.weights.config.n_layer, {.ticks_per_second = 1000000000});
        REQUIRE(talk->resume(prompt).ok());
        REQUIRE(talk->prefill().ok());
        Xxh64 hash;
        while (!talk->done()) {
            hash.update(talk->logits().data(), talk->logits().size_bytes());
            talk->accept(talk->sample(talk->logits()));
            if (!talk->done()) REQUIRE(talk->step(&stats).ok());
        }
        // As without drafts, the last token has not been read.
        REQUIRE(talk->sequence().length() == prompt.size() + talk.accepted.size() - 1);
        outcome = {talk.accepted,    talk.text,         hash.digest(),
                   stats.n_passes(), talk->n_drafted(), talk->n_drafts_accepted()};
    }
    REQUIRE(engine.in_use("kv") == none_in_use);
    return outcome;
}

Options options_with(bool drafts, uint32_t n_draft_max, uint32_t n_predict) {
    Options options;
    options.n_predict = n_predict;
    options.ignore_eos = true;
    options.special = true;
    options.draft = drafts ? Draft::lookup : Draft::off;
    options.n_draft_max = n_draft_max;
    return options;
}

// Tokens that repeat themselves now and then, so that there is something to look up.
Tokens repeating(size_t n) {
    Tokens tokens(n);
    for (size_t i = 0; i < n; i++) tokens[i] = TokenId(i % 9 * 31 % 256);
    return tokens;
}

}  // namespace

TEST_CASE("a draft is what followed the last three tokens where they stood before, latest first") {
    Lookup lookup;
    CHECK(lookup.propose({1}, 9).empty());
    CHECK(lookup.propose({1, 2, 3}, 9).empty());
    CHECK(lookup.propose({1, 2, 3, 4, 5, 1, 2, 3}, 9) == Tokens{4, 5, 1, 2, 3});
    CHECK(lookup.propose({1, 2, 3, 4, 5, 1, 2, 3}, 2) == Tokens{4, 5});
    CHECK(lookup.propose({1, 2, 3, 4, 5, 1, 2, 3}, 0).empty());
    CHECK(lookup.propose({1, 2, 3, 4, 5, 1, 2, 3, 7, 1, 2, 3}, 2) == Tokens{7, 1});
    CHECK(lookup.propose({1, 2, 3, 4, 5, 1, 2, 3, 7, 1, 2, 3, 8}, 9).empty());
    lookup.drafts.clear();
    CHECK(lookup.propose({7, 7}, 9).empty());
    CHECK(lookup.propose({7, 7, 7}, 9) == Tokens{7});
}

TEST_CASE("where no three tokens stood before, two do") {
    Lookup lookup;
    CHECK(lookup.propose({1, 2, 3, 4, 9, 2, 3}, 2) == Tokens{4, 9});
    lookup.drafts.clear();
    // Three are found first, though two stood later.
    CHECK(lookup.propose({1, 2, 3, 4, 9, 2, 3, 5, 1, 2, 3}, 1) == Tokens{4});
}

TEST_CASE("a draft goes on beside what it departed from as soon as one token is the same") {
    const Tokens given = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 99};
    struct Way {
        const char* name;
        Tokens written;  // after 1, 2, 3 were written and what follows was proposed
        Tokens expected;
    };
    const Way ways[] = {
        {"a token replaced", {4, 70, 6}, {7, 8}},
        {"a token left out", {4, 6}, {7, 8}},
        {"six left out", {4, 11}, {12, 13}},
        {"seven left out", {4, 12}, {}},
        {"a token put in", {4, 70, 5}, {6, 7}},
        {"three put in", {4, 70, 71, 72, 5}, {6, 7}},
        {"four put in", {4, 70, 71, 72, 73, 5}, {}},
        {"no token the same", {70, 71}, {}},
        // Two tokens were proposed, eight more may be missed.
        {"soon enough", {70, 71, 72, 73, 74, 75, 76, 77, 78, 13}, {14, 15}},
        {"too late", {70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 14}, {}},
    };
    for (const Way& way : ways) {
        INFO(way.name);
        Lookup lookup;
        Tokens tokens = given;
        tokens.insert(tokens.end(), {1, 2, 3});
        REQUIRE(lookup.propose(tokens, 2) == Tokens{4, 5});
        tokens.insert(tokens.end(), way.written.begin(), way.written.end());
        CHECK(lookup.propose(tokens, 2) == way.expected);
    }
    // A new text has nothing to go on with.
    Lookup lookup;
    Tokens tokens = given;
    tokens.insert(tokens.end(), {1, 2, 3});
    REQUIRE(lookup.propose(tokens, 2) == Tokens{4, 5});
    lookup.drafts.clear();
    tokens.insert(tokens.end(), {70, 5});
    CHECK(lookup.propose(tokens, 2).empty());
}

TEST_CASE("grams that share an entry of the table are not taken for each other") {
    // 64 entries and some thousand grams: most entries are shared. No token is near, as all that has
    // been proposed is forgotten each time.
    std::vector<uint32_t> table(64);
    Tokens tokens;
    size_t n_proposed = 0;
    for (size_t i = 0; i < 1000; i++) {
        tokens.push_back(TokenId((i * i * 7919 + i / 7) % 20));
        Drafts drafts(table);
        const std::span<const TokenId> found = drafts.propose(tokens, 1);
        if (found.empty()) continue;
        n_proposed++;
        const TokenId* const end = tokens.data() + tokens.size();
        REQUIRE(std::equal(found.data() - Drafts::kShort, found.data(), end - Drafts::kShort));
    }
    REQUIRE(n_proposed > 0);
}

TEST_CASE("without a table nothing is proposed") {
    Drafts drafts;
    const Tokens tokens = {1, 1, 1, 1, 1};
    REQUIRE(drafts.propose(tokens, 4).empty());
}

TEST_CASE("drafts change neither tokens nor text nor any logits the sampler sees") {
    Model model;
    const Tokens prompt = repeating(40);
    for (const bool windows : {false, true}) {
        if (windows) model.layers[1].window = 40;
        for (const float temperature : {0.0f, 0.3f, 1.5f}) {
            Options options = options_with(false, 8, 60);
            options.temperature = temperature;
            options.seed = 3;
            options.top_k = 2;  // of random weights' flat logits hardly anything would come twice
            options.repeat_penalty = temperature > 1 ? 1.2f : 1.0f;
            const Outcome plain = run(model, kScalarKernels, 1, prompt, options, 120);
            REQUIRE(plain.tokens.size() == 60);
            REQUIRE(plain.n_passes == 59);
            size_t n_accepted = 0, n_drafted = 0;
            for (const uint32_t n_draft_max : {1u, 2u, 5u, 8u, 24u}) {
                for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
                    if (!set.usable) continue;
                    options.draft = Draft::lookup;
                    options.n_draft_max = n_draft_max;
                    const size_t n_workers = 1 + n_draft_max % 2;
                    const Outcome drafted =
                        run(model, *set.kernels, n_workers, prompt, options, 120);
                    INFO(set.kernels->name << " temperature " << temperature << " at most "
                                           << n_draft_max << " windows " << windows);
                    REQUIRE(drafted.tokens == plain.tokens);
                    REQUIRE(drafted.text == plain.text);
                    REQUIRE(drafted.hash == plain.hash);
                    REQUIRE(drafted.n_passes + drafted.n_accepted == plain.n_passes);
                    n_accepted += drafted.n_accepted;
                    n_drafted += drafted.n_drafted;
                }
            }
            REQUIRE(n_drafted > 0);
            REQUIRE(n_accepted <= n_drafted);
            if (temperature == 0) REQUIRE(n_accepted > 0);
        }
    }
}

TEST_CASE("nothing is drafted past the last token to generate, or past the context") {
    const Model model;
    const Tokens prompt = repeating(40);
    for (const uint32_t n_predict : {1u, 2u, 3u, 9u}) {
        const Outcome plain =
            run(model, kScalarKernels, 1, prompt, options_with(false, 8, n_predict), 60);
        const Outcome drafted =
            run(model, kScalarKernels, 1, prompt, options_with(true, 24, n_predict), 60);
        INFO(n_predict);
        CHECK(drafted.tokens == plain.tokens);
        CHECK(drafted.hash == plain.hash);
        // The first token comes of the prompt, the last one is not read.
        CHECK(drafted.n_drafted + drafted.n_passes <= 24 * n_predict);
        if (n_predict <= 2) CHECK(drafted.n_drafted == 0);
    }
    // Until the context is full: 60 positions and the token that has no room to be read.
    const Outcome plain = run(model, kScalarKernels, 1, prompt, options_with(false, 8, 1000), 60);
    const Outcome drafted = run(model, kScalarKernels, 1, prompt, options_with(true, 24, 1000), 60);
    CHECK(plain.tokens.size() == 21);
    CHECK(drafted.tokens == plain.tokens);
    CHECK(drafted.hash == plain.hash);
}

TEST_CASE("a session with drafts under way can be resumed with other tokens") {
    const Model model;
    EngineShape shape = shape_of(120, 32, 9);
    shape.n_sequences = 2;
    Engine engine(model.weights, kScalarKernels, shape);
    Talk talk(model, engine, {}, options_with(true, 8, 60));
    const Tokens prompt = repeating(40);
    REQUIRE(talk->resume(prompt).ok());
    REQUIRE(talk->prefill().ok());
    while (talk->n_drafted() == 0) {
        talk->accept(talk->sample(talk->logits()));
        REQUIRE(talk->step().ok());
    }
    REQUIRE(talk->sequence().length() > talk->tokens().size());  // drafts have been read
    const Tokens again = [&] {
        Tokens t(talk->tokens().begin(), talk->tokens().end());
        t.push_back(5);
        t.push_back(6);
        return t;
    }();
    REQUIRE(talk->resume(again).ok());
    CHECK(talk->n_drafted() == 0);
    REQUIRE(talk->prefill().ok());
    Engine fresh(model.weights, kScalarKernels, 1, again.size(), again.size());
    uint64_t expected = 0;
    fresh.run(again, again.size(),
              [&](size_t, std::span<const float> l) { expected = hash_of(l); });
    CHECK(hash_of(talk->logits()) == expected);
}

TEST_CASE("drafts that are right and cost little are all read") {
    DraftGate gate;
    CHECK(gate.choose(8) == 0);  // no pass of one token has been measured
    gate.took(0, 1000);
    CHECK(gate.choose(8) == 4);  // to find out
    CHECK(gate.choose(2) == 2);
    gate.took(4, 1200);
    for (int i = 0; i < 30; i++) gate.judged(true);
    CHECK(gate.choose(8) == 8);
    CHECK(gate.choose(3) == 3);
    CHECK(gate.choose(0) == 0);
}

TEST_CASE("where a pass of n tokens takes n times one, nothing is drafted but for a rare try") {
    DraftGate gate;
    gate.took(0, 1000);
    gate.took(4, 5000);
    for (int i = 0; i < 30; i++) gate.judged(true);
    size_t n_tries = 0, n_last = 0;
    for (size_t i = 0; i < 10 * (DraftGate::kPassedOver + 1); i++) {
        const size_t n = gate.choose(8);
        n_tries += n != 0;
        n_last = n != 0 ? n : n_last;
        gate.took(n, 1000 + 1000 * n);
    }
    CHECK(n_tries == 10);
    CHECK(n_last == 1);
}

TEST_CASE("drafts that are mostly wrong are given up, and taken up again once they are right") {
    DraftGate gate;
    gate.took(0, 1000);
    gate.took(4, 2000);  // a draft has to be right once in four times
    for (int i = 0; i < 40; i++) gate.judged(false);
    CHECK(gate.choose(8) == 0);
    size_t n_proposals = 0;
    while (gate.choose(8) < 2 && n_proposals++ < 1000) gate.judged(true);
    CHECK(n_proposals < 1000);
}

TEST_CASE("the number of drafts is the one that gives the most tokens a tick") {
    DraftGate gate;
    gate.took(0, 1000);
    gate.took(1, 1300);
    // Half of the drafts are right: 1.5 tokens in 1300 ticks, 1.75 in 1600, 1.875 in 1900.
    CHECK(gate.choose(8) == 1);
    DraftGate cheaper;
    cheaper.took(0, 1000);
    cheaper.took(1, 1100);
    // 1.5 in 1100, 1.75 in 1200, 1.875 in 1300, 1.9375 in 1400.
    CHECK(cheaper.choose(8) == 2);
}
