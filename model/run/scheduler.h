// SPDX-License-Identifier: MIT
// Many sequences at once: who reads how much in the next pass, who shares whose keys and values, and
// who gives its own back when there are too few.
//
// Requests are numbered as they come, and the order of their numbers is the order of their rights:
// - each sequence that generates has its one row in every pass; prompts share what is left of
//   n_batch rows, at least one, the oldest first;
// - a sequence begins to read only when all older ones have begun and there are blocks for what it
//   has to read;
// - when blocks run out, what ended sequences left behind is dropped first, then the youngest one that
//   has begun is, and is read again later: the same bits (law 2).
// So the ones that have begun are always the oldest, and the oldest always goes on: none starves.
// Must not know: texts, or what becomes of logits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/hash.h"
#include "model/engine/kv_pool.h"
#include "model/engine/pass.h"
#include "model/report/options.h"
#include "model/report/prompts.h"
#include "model/run/session.h"

namespace axiom {

// A request, and what becomes of it.
struct Slot {
    // What its session needs; `tokens` is pool.n_ctx() + 1 for this slot alone.
    Slot(Transformer& transformer, KvPool& pool, const Tokenizer& tokenizer,
         std::span<TokenId> tokens, std::span<Sampler::Candidate> candidates)
        : session({.transformer = transformer,
                   .pool = pool,
                   .tokenizer = tokenizer,
                   .options = request.options,
                   .tokens = tokens,
                   .candidates = candidates}) {}

    Request request;
    Session session;
    Xxh64 logits_hash;    // of what its sampler saw
    size_t n_prompt = 0;  // tokens
    size_t n_shared = 0;  // of these, that it did not have to read
    // The scheduler's:
    bool begun = false;        // it has the right to blocks
    bool told_shared = false;  // n_shared is known
    size_t n_rows = 0;         // of the pass that was composed last
    uint64_t left_at = 0;      // when it became free, in passes
};

class Scheduler {
  public:
    // `slots`: at most kMaxParallel, opened, all free. Passes are of at most max(n_batch, slots) rows.
    Scheduler(std::span<Slot> slots, KvPool& pool, size_t n_batch);
    void set_batch(size_t n_batch) { n_batch_ = n_batch; }

    bool has_free_slot() const { return n_live_ < slots_.size(); }
    // The free slot that has most in common with these tokens.
    Slot& best_slot(std::span<const TokenId> tokens);
    // The slot's session has resumed its tokens: it is the youngest now.
    void enter(Slot& slot);
    // It is free; what it has read may serve those that begin alike.
    void leave(Slot& slot);
    // Those that are taken, the oldest first.
    std::span<Slot* const> live() const { return {order_, n_live_}; }

    // The rows of the next pass, at least one unless none is live, and Slot::n_rows of those that are
    // live. What they need is reserved. Each sequence's last row wants logits if it is the last one
    // pending: rows of logits are in the order of live().
    std::span<const Row> compose(std::span<Row> rows);

    size_t n_preempted() const { return n_preempted_; }

  private:
    bool begin(size_t place);
    bool waits_for_older(size_t place) const;
    const Slot* best_source(const Slot& slot, size_t* n_common) const;
    bool make_room(size_t place, Sequence& sequence, size_t n);
    bool drop_kept(const Slot* spared);

    std::span<Slot> slots_;
    KvPool& pool_;
    size_t n_batch_;
    Slot* order_[kMaxParallel] = {};
    size_t n_live_ = 0;
    size_t n_preempted_ = 0;
    uint64_t n_passes_ = 0;
};

}  // namespace axiom
