// SPDX-License-Identifier: MIT
// Sessions: what is read again and what is not, how text ends, and several in one batch.
#include "model/run/session.h"

#include <string>
#include <vector>

#include "test/unit/talk.h"

using namespace axiom;
using namespace axiom::test;

namespace {

// The hash of the last logits of tokens that one engine reads from the beginning.
uint64_t from_scratch(const Model& model, std::span<const TokenId> tokens) {
    Engine engine(model.weights, kScalarKernels, 1, tokens.size(), tokens.size());
    uint64_t hash = 0;
    engine.run(tokens, tokens.size(), [&](size_t, std::span<const float> l) { hash = hash_of(l); });
    return hash;
}

Tokens some_tokens(size_t n, size_t seed) {
    Tokens tokens(n);
    for (size_t i = 0; i < n; i++) tokens[i] = TokenId((i * 7919 + seed * 104729 + 13) % 256);
    return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

}  // namespace

TEST_CASE("a session goes on from what it has read in common with the new tokens") {
    const Model model;
    const Tokens a = some_tokens(40, 1), b = some_tokens(30, 2), c = some_tokens(9, 3);
    const Tokens start(a.begin(), a.begin() + 7);
    Engine engine(model.weights, kScalarKernels, shape_of(100, 16, 1));
    Talk talk(model, engine);
    struct Step {
        Tokens tokens;
        size_t n_common;
    };
    const std::vector<Step> steps = {{a, 0},         {a + b, 40},  // longer
                                     {a + c, 40},                  // another way after 40
                                     {a, 39},         // shorter: its last token is read for logits
                                     {a, 39},         // the same
                                     {start + c, 7},  // an early branch
                                     {b, 0},          // nothing in common
                                     {{b[0]}, 0}};
    for (const Step& step : steps) {
        REQUIRE(talk->resume(step.tokens).ok());
        CHECK(talk->sequence().length() == step.n_common);
        CHECK(talk->pending().size() == step.tokens.size() - step.n_common);
        REQUIRE(talk->prefill().ok());
        CHECK(talk->sequence().length() == step.tokens.size());
        CHECK(hash_of(talk->logits()) == from_scratch(model, step.tokens));
    }
}

TEST_CASE("a session goes on from what it has generated as if that had been given") {
    const Model model;
    Engine engine(model.weights, kScalarKernels, shape_of(100, 16, 1));
    Options options;
    options.n_predict = 6;
    options.ignore_eos = true;
    Talk talk(model, engine, {}, options);
    const Tokens prompt = some_tokens(20, 1);
    REQUIRE(talk->resume(prompt).ok());
    REQUIRE(talk->prefill().ok());
    while (!talk->done()) {
        talk->accept(talk->sample(talk->logits()));
        if (!talk->done()) REQUIRE(talk->step().ok());
    }
    CHECK(talk->stop_reason() == StopReason::length);
    CHECK(talk->n_generated() == 6);
    CHECK(talk.accepted.size() == 6);
    CHECK(Tokens(talk->tokens().begin(), talk->tokens().end()) == prompt + talk.accepted);
    CHECK(talk->pending().size() == 1);  // the last token has not been read
    const Tokens next = prompt + talk.accepted + some_tokens(5, 2);
    REQUIRE(talk->resume(next).ok());
    CHECK(talk->pending().size() == 6);
    CHECK(talk->n_generated() == 0);
    CHECK_FALSE(talk->done());
    REQUIRE(talk->prefill().ok());
    CHECK(hash_of(talk->logits()) == from_scratch(model, next));
}

TEST_CASE("a session reads all again when a window has left behind what it would return to") {
    Model model;
    model.layers[0].window = model.layers[1].window = 16;
    EngineShape shape = shape_of(200, 16, 1);
    shape.n_return = 20;
    Engine engine(model.weights, kScalarKernels, shape);
    Talk talk(model, engine);
    const Tokens all = some_tokens(120, 1);
    const auto first = [&](size_t n) { return Tokens(all.begin(), all.begin() + ptrdiff_t(n)); };
    for (const auto& [n, n_common] : {std::pair{100, 0}, {90, 90}, {110, 90}, {50, 0}}) {
        const Tokens tokens = first(size_t(n)) + some_tokens(3, 9);
        REQUIRE(talk->resume(tokens).ok());
        CHECK(talk->sequence().length() == size_t(n_common));
        REQUIRE(talk->prefill().ok());
        Engine straight(model.weights, kScalarKernels, 1, 200, 200);
        uint64_t expected = 0;
        straight.run(tokens, 200, [&](size_t, std::span<const float> l) { expected = hash_of(l); });
        CHECK(hash_of(talk->logits()) == expected);
    }
}

TEST_CASE("more tokens than the context are refused, and the session still works") {
    const Model model;
    Engine engine(model.weights, kScalarKernels, shape_of(20, 16, 1));
    Talk talk(model, engine);
    REQUIRE(talk->resume(some_tokens(20, 1)).ok());
    REQUIRE(talk->prefill().ok());
    const Status status = talk->resume(some_tokens(21, 1));
    CHECK(status.code() == Code::no_memory);
    CHECK(status.text() == "context full: 21 tokens, 20 allowed");
    talk->accept(1);
    CHECK(talk->stop_reason() == StopReason::context_full);
    REQUIRE(talk->resume(some_tokens(19, 1)).ok());
    REQUIRE(talk->prefill().ok());
    talk->accept(1);
    CHECK_FALSE(talk->done());  // there is room for one more
    CHECK(talk->step().ok());
}

TEST_CASE("a session ends at an end-of-text token unless it is told to ignore them") {
    const Model model;
    const TokenId end = model.tokenizer.find("<|im_end|>");
    REQUIRE(model.tokenizer.ends_generation(end));
    for (const bool ignore : {false, true}) {
        Engine engine(model.weights, kScalarKernels, shape_of(20, 16, 1));
        Options options;
        options.ignore_eos = ignore;
        options.special = true;
        Talk talk(model, engine, {}, options);
        REQUIRE(talk->resume(some_tokens(3, 1)).ok());
        talk.hear(model, "ab");
        talk->accept(end);
        CHECK(talk->done() != ignore);
        CHECK(talk->stop_reason() == (ignore ? StopReason::none : StopReason::end_of_text));
        CHECK(talk.text == (ignore ? "ab<|im_end|>" : "ab"));
        CHECK(talk->n_generated() == 3);
    }
}

TEST_CASE("a session that may generate nothing is done at once") {
    const Model model;
    Engine engine(model.weights, kScalarKernels, shape_of(20, 16, 1));
    Options options;
    options.n_predict = 0;
    Talk talk(model, engine, {}, options);
    REQUIRE(talk->resume(some_tokens(3, 1)).ok());
    CHECK(talk->stop_reason() == StopReason::length);
}

TEST_CASE("a stop string ends the text before it, wherever tokens begin and end") {
    const Model model;
    const std::string_view stops[] = {"<end>", "ENOUGH", "\xc3\xa9t\xc3\xa9"};
    struct Case {
        std::string heard, written;
        bool stopped;
    };
    const std::vector<Case> cases = {
        {"ab<end>cd", "ab", true},
        {"<end>", "", true},
        {"ab<enx<en", "ab<enx<en", false},
        {"<<end>", "<", true},
        {"<e<end>", "<e", true},
        {"ENENOUGH!", "EN", true},
        {"en \xc3\xa9t\xc3\xa9.", "en ", true},
        {"en \xc3\xa9t\xc3", "en \xc3\xa9t\xef\xbf\xbd", false},
        {"plain", "plain", false},
    };
    for (const Case& c : cases) {
        INFO(c.heard);
        Engine engine(model.weights, kScalarKernels, shape_of(40, 16, 1));
        Talk talk(model, engine, stops);
        REQUIRE(talk->resume(some_tokens(3, 1)).ok());
        talk.hear(model, c.heard);
        CHECK(talk->done() == c.stopped);
        talk->flush();
        CHECK(talk.text == c.written);
        CHECK((talk->stop_reason() == StopReason::stop_string) == c.stopped);
    }
}

TEST_CASE("text that may begin a stop string is held back, other text is not") {
    std::string out;
    const auto write = [&](std::string_view t) { out += t; };
    const std::string_view stops[] = {"abcd", "cdx"};
    StopStrings strings(stops);
    CHECK_FALSE(strings.put("xyab", write));
    CHECK(out == "xy");
    CHECK_FALSE(strings.put("c", write));
    CHECK(out == "xy");
    CHECK_FALSE(strings.put("c", write));
    CHECK(out == "xyabc");
    CHECK(strings.put("dx and more", write));
    CHECK(out == "xyabc");
    CHECK(strings.put("more", write));
    strings.finish(write);
    CHECK(out == "xyabc");
}

TEST_CASE("of stop strings that end at the same byte the longest counts") {
    std::string out;
    const auto write = [&](std::string_view t) { out += t; };
    const std::string_view stops[] = {"d", "bcd", "cd"};
    StopStrings strings(stops);
    CHECK(strings.put("abcd", write));
    CHECK(out == "a");
}

TEST_CASE("stop strings are found in any pieces of any text as a search of the whole finds them") {
    const std::string_view stops[] = {"aab", "bab", "abba"};
    uint32_t random = 1;
    const auto next = [&] { return random = random * 1664525u + 1013904223u, random >> 24; };
    for (int round = 0; round < 3000; round++) {
        std::string text;
        for (uint32_t n = next() % 12; n > 0; n--) text += next() % 2 != 0 ? 'a' : 'b';
        // The first end of any, and the earliest beginning of those.
        std::string expected = text;
        bool stopped = false;
        for (size_t end = 1; end <= text.size() && !stopped; end++) {
            for (const std::string_view stop : stops) {
                if (!std::string_view(text).substr(0, end).ends_with(stop)) continue;
                stopped = true;
                if (end - stop.size() < expected.size())
                    expected = text.substr(0, end - stop.size());
            }
        }
        StopStrings strings(stops);
        std::string out;
        const auto write = [&](std::string_view t) { out += t; };
        bool found = false;
        for (size_t at = 0; at < text.size();) {
            const size_t n = 1 + next() % 4;
            found = strings.put(std::string_view(text).substr(at, n), write);
            at += n;
        }
        strings.finish(write);
        INFO(text);
        REQUIRE(found == stopped);
        REQUIRE(out == expected);
    }
}

TEST_CASE("a cancelled session stops before its next pass and can be resumed") {
    const Model model;
    Engine engine(model.weights, kScalarKernels, shape_of(100, 10, 1));
    Talk talk(model, engine);
    const Tokens tokens = some_tokens(40, 1);
    REQUIRE(talk->resume(tokens).ok());
    // From a task, as a key press would.
    engine.loop().add({.name = "cancel",
                       .poll = [](void* c, uint64_t) { static_cast<Session*>(c)->cancel(); },
                       .context = talk.session.get()});
    CHECK(talk->prefill().code() == Code::interrupted);
    CHECK(talk->sequence().length() == 10);
    engine.loop().remove(talk.session.get());
    CHECK(talk->prefill().code() == Code::interrupted);
    CHECK(talk->sequence().length() == 10);
    Row rows[4];
    CHECK(talk->add_rows(rows) == 0);
    REQUIRE(talk->resume(tokens).ok());
    CHECK(talk->add_rows(rows) == 4);
    CHECK(talk->sequence().length() == 10);
    REQUIRE(talk->prefill().ok());
    CHECK(hash_of(talk->logits()) == from_scratch(model, tokens));
}

TEST_CASE("a mask decides which tokens may come next") {
    const Model model;
    for (const float temperature : {0.0f, 1.0f}) {
        Engine engine(model.weights, kScalarKernels, shape_of(60, 16, 1));
        Options options;
        options.temperature = temperature;
        Tokens history(61);
        std::vector<Sampler::Candidate> candidates(300);
        // Bit id: may come next. After each token the next higher one of 65..74 alone.
        std::vector<uint64_t> bits(5);
        const auto mask = [](void* c, std::span<const TokenId> tokens) {
            std::vector<uint64_t>& b = *static_cast<std::vector<uint64_t>*>(c);
            std::fill(b.begin(), b.end(), 0);
            const TokenId id = tokens.size() < 3 ? 65 : tokens.back() + 1;
            b[id / 64] |= uint64_t{1} << (id % 64);
            return std::span<const uint64_t>(b);
        };
        Session session({.transformer = engine.transformer(),
                         .pool = engine.pool(),
                         .tokenizer = model.tokenizer,
                         .options = options,
                         .tokens = history,
                         .candidates = candidates,
                         .mask = mask,
                         .mask_context = &bits});
        REQUIRE(session.open().ok());
        REQUIRE(session.resume(some_tokens(2, 1)).ok());
        REQUIRE(session.prefill().ok());
        for (TokenId expected = 65; expected < 75; expected++) {
            const TokenId id = session.sample(session.logits());
            CHECK(id == expected);
            session.accept(id);
            REQUIRE(session.step().ok());
        }
    }
}

TEST_CASE("sessions that share batches give the tokens they give alone, and their memory back") {
    const Model model;
    Options options;
    options.n_predict = 12;
    options.ignore_eos = true;
    options.temperature = 0.9f;
    options.top_k = 0;
    const std::vector<Tokens> prompts = {some_tokens(30, 1), some_tokens(3, 2), some_tokens(17, 3)};
    std::vector<Tokens> expected;
    for (const Tokens& prompt : prompts) {
        Engine engine(model.weights, kScalarKernels, shape_of(60, 60, 1));
        Talk talk(model, engine, {}, options);
        REQUIRE(talk->resume(prompt).ok());
        REQUIRE(talk->prefill().ok());
        while (!talk->done()) {
            talk->accept(talk->sample(talk->logits()));
            if (!talk->done()) REQUIRE(talk->step().ok());
        }
        expected.push_back(talk.accepted);
    }
    REQUIRE(expected[0] != expected[1]);

    Engine engine(model.weights, kScalarKernels, shape_of(60, 11, 3));
    {
        Talk talks[] = {{model, engine, {}, options},
                        {model, engine, {}, options},
                        {model, engine, {}, options}};
        for (size_t i = 0; i < 3; i++) REQUIRE(talks[i]->resume(prompts[i]).ok());
        for (bool any = true; any;) {
            any = false;
            Row rows[11];
            size_t n = 0;
            std::vector<Talk*> ready;  // in the order of their rows of logits
            // Those with the fewest pending first: single tokens are not kept waiting by prompts.
            std::vector<Talk*> order = {&talks[0], &talks[1], &talks[2]};
            std::sort(order.begin(), order.end(), [](Talk* a, Talk* b) {
                return (*a)->pending().size() < (*b)->pending().size();
            });
            for (Talk* talk : order) {
                if ((*talk)->done()) continue;
                any = true;
                const size_t added = (*talk)->add_rows(std::span(rows).subspan(n));
                if (added == (*talk)->pending().size()) ready.push_back(talk);
                n += added;
            }
            if (!any) break;
            REQUIRE(engine.transformer().forward({rows, n}).ok());
            for (size_t i = 0; i < ready.size(); i++) {
                Session& session = *ready[i]->session;
                session.accept(session.sample(engine.workspace().logits_row(i)));
            }
        }
        for (size_t i = 0; i < 3; i++) CHECK(talks[i].accepted == expected[i]);
        CHECK(engine.in_use("kv") > 0);
    }
    CHECK(engine.in_use("kv") == 0);
    CHECK(engine.in_use("kv_table") == 1);
}
