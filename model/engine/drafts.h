// SPDX-License-Identifier: MIT
// Drafts of what comes next, looked up in the sequence's own tokens: what followed the last few tokens
// where they stood before. Text that repeats its prompt, or itself, is mostly guessed right.
// Source: A. Saxena, "Prompt Lookup Decoding" (2023).
// Must not know: whether a draft turned out right.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/text/tokenizer.h"

namespace axiom {

class Drafts {
  public:
    // Tokens that have to be the same for what followed them to be a draft.
    static constexpr size_t kGram = 3;

    // Entries of a table for sequences of n_ctx tokens: a power of two.
    static constexpr size_t n_entries(size_t n_ctx) {
        size_t n = 64;
        while (n < 2 * n_ctx) n *= 2;
        return n;
    }

    Drafts() = default;
    // `table`: n_entries(), outlives the drafts. No table: nothing is ever proposed.
    explicit Drafts(std::span<uint32_t> table) : table_(table) { clear(); }

    // What followed the latest earlier occurrence of the last kGram of `tokens`, at most `most` tokens: a
    // view of `tokens`; empty if there was none. `tokens` are those of the last call and more, unless
    // clear() came in between.
    std::span<const TokenId> propose(std::span<const TokenId> tokens, size_t most);
    void clear();

  private:
    uint32_t& entry(const TokenId* gram);

    std::span<uint32_t> table_;  // where the tokens after a gram begin, by its hash; 0: none
    size_t n_known_ = 0;         // grams that end before this token are in the table
};

}  // namespace axiom
