// SPDX-License-Identifier: MIT
// A run of one sequence that generates: its memory and texts, how it reads and writes, and what its
// record says. generate() does so once, a conversation (model/chat/) once for each answer.
// Must not know: where prompts come from.
#pragma once

#include <cstdint>
#include <span>

#include "core/hash.h"
#include "model/run/pass_stats.h"
#include "model/run/prompt.h"
#include "model/run/run.h"
#include "model/run/session.h"

namespace axiom {

class Generation : public RunBase {
  public:
    Generation(const Machine& machine, const Weights& weights, const Options& options,
               Record* record)
        : RunBase(machine, weights, options, record) {}
    Status run();

  protected:
    // Texts, memory and engine.
    Status prepare();
    // Of a session in that memory.
    Session::Setup setup();
    // Reads what is pending, which the record's n_prompt counts already; generates until the session is
    // done. Both add to the record's sums.
    Status prefill(Session& session);
    Status decode(Session& session);
    // What the record says of the whole so far; and, once, of single tokens and layers too.
    void fill_sums();
    void fill_record();

    void print_trace() const { RunBase::print_trace(stats_); }

    const Texts& texts() const { return texts_.value(); }

  private:
    Status go_on(Session& session);
    void hash_logits(std::span<const float> logits);
    std::span<const uint64_t> token_ns();

    Result<Texts> texts_{Status()};
    PassStats stats_;
    uint64_t prefill_ticks_ = 0, sample_ticks_ = 0;
    size_t n_samples_ = 0;  // tokens whose times are kept
    Xxh64 logits_hash_;
};

}  // namespace axiom
