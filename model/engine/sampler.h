// SPDX-License-Identifier: MIT
// Logits -> the next token. Order as in llama.cpp: repeat penalty, top-k, top-p, min-p,
// temperature, then one draw; temperature 0 is greedy (the largest logit, lowest id among equals).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/report/options.h"
#include "model/text/tokenizer.h"

namespace axiom {

// SplitMix64 seeded xoshiro256** (Blackman and Vigna): the same draws everywhere.
class Random {
  public:
    explicit Random(uint64_t seed = 0);
    uint64_t next();
    double uniform();  // [0, 1), 53 bits

  private:
    uint64_t s_[4];
};

class Sampler {
  public:
    struct Candidate {
        float logit;
        TokenId id;
    };
    // `candidates`: n_vocab of scratch.
    Sampler(const Options& options, std::span<Candidate> candidates);

    // The random numbers begin anew, from the seed that the options now have.
    void restart() { random_ = Random(options_.seed); }

    // `logits` is [n_vocab] and is not modified; `history`: all tokens so far, prompt included.
    // `allowed`: a bit for each token that may be chosen, at least one; empty: all may.
    TokenId sample(std::span<const float> logits, std::span<const TokenId> history,
                   std::span<const uint64_t> allowed = {});

  private:
    const Options& options_;
    std::span<Candidate> candidates_;
    Random random_;
};

}  // namespace axiom
