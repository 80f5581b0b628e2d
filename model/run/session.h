// SPDX-License-Identifier: MIT
// A conversation with the model: a list of tokens, how much of it the model has read, what is
// sampled next, and the text that comes of it. Several share one transformer and one pool of keys
// and values, each alone (prefill, step) or in one batch (add_rows, then sample, accept).
// Must not know: prompts, templates, clocks or records.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/utf8.h"
#include "model/engine/draft_gate.h"
#include "model/engine/drafts.h"
#include "model/engine/sampler.h"
#include "model/engine/sequence.h"
#include "model/engine/transformer.h"
#include "model/report/options.h"
#include "model/report/record.h"
#include "model/run/pass_size.h"
#include "model/run/pass_stats.h"
#include "model/run/stop_strings.h"
#include "model/text/tokenizer.h"

namespace axiom {

enum class StopReason : uint8_t { none, length, end_of_text, stop_string, context_full };
std::string_view stop_reason_name(StopReason reason);  // as the record has it; none: ""

class Session {
  public:
    // Everything outlives the session.
    struct Setup {
        Transformer& transformer;
        KvPool& pool;
        const Tokenizer& tokenizer;
        const Options& options;                    // of sampling; n_predict, ignore_eos, special
        std::span<TokenId> tokens;                 // storage: pool.n_ctx() + 1
        std::span<Sampler::Candidate> candidates;  // n_vocab; sessions may share it
        std::span<const std::string_view> stops = {};  // see StopStrings
        // Where drafts are looked up (Drafts::n_entries(pool.n_ctx())), and how many tokens a step reads
        // beyond the accepted one, at most. The workspace has that many rows of logits and one more, and
        // sequences can be returned so far. None: nothing is drafted. Whether drafts pay is measured and
        // decides, unless Options::draft says `lookup`.
        std::span<uint32_t> draft_table = {};
        size_t n_draft_max = 0;
        // How many tokens a pass of prefill() takes, and what is learned from it; nullptr: all that the
        // workspace holds.
        PassSize* pass_size = nullptr;

        // Text as soon as it is certain, in whole characters.
        TextSink write = nullptr;
        void* write_context = nullptr;
        // Each token as it is accepted, with its bytes (none where text ends).
        void (*on_token)(void* context, TokenId id, std::string_view bytes) = nullptr;
        void* on_token_context = nullptr;
        // Which tokens may come next: a bit each, [n_vocab]; an empty span allows all.
        std::span<const uint64_t> (*mask)(void* context, std::span<const TokenId> tokens) = nullptr;
        void* mask_context = nullptr;
    };

    explicit Session(const Setup& setup);
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;
    // Takes a sequence; no_memory when the pool has none left.
    Status open();

    // As a new session with these stop strings, but for what it has read.
    void restart(std::span<const std::string_view> stops);

    // The model is to go on from these tokens, at least one. What they have in common with those it
    // has read is not read again, unless a window has left it behind; the last one always is, for
    // its logits. Counts and stop reason begin anew. no_memory, and nothing changes, if they are
    // more than the context.
    Status resume(std::span<const TokenId> tokens);

    std::span<const TokenId> tokens() const { return setup_.tokens.first(n_tokens_); }
    // Those the model has not read.
    std::span<const TokenId> pending() const {
        return tokens().subspan(std::min(n_tokens_, sequence_.length()));
    }
    const Sequence& sequence() const { return sequence_; }

    // --- what it has read, for others that begin alike
    // How many of these tokens (at least one), all but the last at most, it has read as its own first
    // ones and can return to.
    size_t n_common(std::span<const TokenId> tokens) const;
    // Takes over, as of the same blocks, what `other` has read of the pending tokens, if that is more than
    // this one has.
    void share(const Session& other);
    // Gives back what it has read: all its tokens are pending again.
    void forget() { sequence_.truncate(0); }

    // --- alone. Status: what forward() says, and interrupted after cancel(). Neither harms the
    // session: what is pending can be read again.
    // Reads what is pending, in passes of Setup::pass_size. Then logits() are of what comes next.
    Status prefill(PassStats* stats = nullptr) { return read(stats, false); }
    // Reads the token that was accepted last, and drafts of what may follow. While accepted tokens are
    // those that were drafted they have been read, and a step has nothing to do: logits() are there. What
    // the sampler sees is what it sees without drafts (law 2: a batch has the bits of single tokens).
    Status step(PassStats* stats = nullptr) { return read(stats, true); }
    std::span<const float> logits() const {
        return setup_.transformer.workspace().logits_row(i_logits_);
    }
    // Tokens that steps have read beyond accepted ones, and those of them that were then accepted.
    size_t n_drafted() const { return n_drafted_; }
    size_t n_drafts_accepted() const { return n_drafts_accepted_; }

    // --- in a batch with others
    // Writes the next pending tokens as rows, as many as fit, and says how many; none once it was
    // cancelled. If they are all, the last one wants logits. They have been read once forward()
    // succeeded.
    size_t add_rows(std::span<Row> rows);

    // --- what comes next
    TokenId sample(std::span<const float> logits);
    // Appends a token, sampled or not, and writes its text. done() then says whether that was the
    // last one.
    void accept(TokenId id);
    bool done() const { return stop_reason_ != StopReason::none; }
    StopReason stop_reason() const { return stop_reason_; }
    size_t n_generated() const { return n_generated_; }

    // Writes a text that is no token's, before what follows.
    void echo(std::string_view text) { put_text(text); }
    // Writes what was held back, when no more will be accepted; done() does it by itself.
    void flush();
    // Writes all of the generated text again, as flush() would have ended it.
    void retell(TextSink write, void* context) const;

    // From a task, or between calls: nothing more is read until resume().
    void cancel() { cancelled_ = true; }
    bool cancelled() const { return cancelled_; }

  private:
    void put_text(std::string_view text);
    // What a token adds to the text; nothing where it ends it.
    std::string_view bytes_of(TokenId id, std::span<char> buffer) const;
    bool ends_text(TokenId id) const;
    Status read(PassStats* stats, bool drafts);
    size_t pass_rows(size_t most) const;
    // Appends rows of drafts to the n of a batch; how many.
    size_t add_drafts(std::span<Row> rows, size_t n);

    Setup setup_;
    Sequence sequence_;
    Sampler sampler_;
    StopStrings stops_;
    Utf8Stream utf8_;
    Drafts drafts_;
    DraftGate gate_;
    // tokens[n_tokens_...] up to the sequence's length are drafts that have been read.
    size_t n_tokens_ = 0, n_generated_ = 0;
    size_t i_logits_ = 0;  // row of the workspace's logits that comes next
    size_t n_drafted_ = 0, n_drafts_accepted_ = 0;
    StopReason stop_reason_ = StopReason::none;
    bool cancelled_ = false;
};

}  // namespace axiom
