// SPDX-License-Identifier: MIT
// A session of a small random model with all that it needs.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/run/session.h"
#include "test/unit/synthetic.h"

namespace axiom::test {

using Tokens = std::vector<TokenId>;

// Vocabulary: the 256 bytes, <|endoftext|>, <|im_start|>, <|im_end|> and numbered tokens.
inline constexpr char kShape[] = "96,3,4,2,200,300";

struct Model : SyntheticModel {
    Tokenizer tokenizer;

    Model() : SyntheticModel(kShape) {
        Result<Tokenizer> t = Tokenizer::open("test.axm", 0, weights.tokenizer);
        INFO(t.status().text());
        REQUIRE(t.ok());
        tokenizer = t.value();
    }
    // The token of one byte.
    TokenId byte(char c) const {
        for (TokenId id = 0; id < 300; id++) {
            char buffer[format::kMaxTokenBytes];
            if (tokenizer.decode(id, buffer) == std::string_view(&c, 1)) return id;
        }
        FAIL("no token of this byte");
        return 0;
    }
};

inline EngineShape shape_of(size_t n_ctx, size_t n_batch, size_t n_sessions) {
    return {.n_ctx = n_ctx,
            .n_batch = n_batch,
            .n_logit_rows = n_sessions,
            .n_workers = 1,
            .n_sequences = n_sessions + 1,  // the engine's own
            .n_return = n_ctx};
}

// A session with what it needs.
struct Talk {
    Tokens history;
    std::vector<uint32_t> draft_table;
    std::vector<Sampler::Candidate> candidates = std::vector<Sampler::Candidate>(300);
    Options options;
    std::string text;
    Tokens accepted;
    std::unique_ptr<Session> session;

    Talk(const Model& model, Engine& engine, std::span<const std::string_view> stops = {},
         const Options& asked = {})
        : history(engine.pool().n_ctx() + 1),
          draft_table(asked.draft == Draft::lookup ? Drafts::n_entries(engine.pool().n_ctx()) : 0),
          options(asked) {
        session = std::unique_ptr<Session>(
            new Session({.transformer = engine.transformer(),
                         .pool = engine.pool(),
                         .tokenizer = model.tokenizer,
                         .options = options,
                         .tokens = history,
                         .candidates = candidates,
                         .stops = stops,
                         .draft_table = draft_table,
                         .n_draft_max = options.n_draft_max,
                         .write = [](void* c, std::string_view t) { of(c).text += t; },
                         .write_context = this,
                         .on_token = [](void* c, TokenId id,
                                        std::string_view) { of(c).accepted.push_back(id); },
                         .on_token_context = this}));
        REQUIRE(session->open().ok());
    }
    static Talk& of(void* context) { return *static_cast<Talk*>(context); }
    Session* operator->() const { return session.get(); }
    // Accepts the bytes of a text, one token each, until the session is done.
    void hear(const Model& model, std::string_view heard) {
        for (const char c : heard) {
            if (!session->done()) session->accept(model.byte(c));
        }
    }
};

inline uint64_t hash_of(std::span<const float> logits) {
    return Xxh64::of(logits.data(), logits.size_bytes());
}

}  // namespace axiom::test
