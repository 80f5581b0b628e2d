// SPDX-License-Identifier: MIT
// Drafts of what comes next, looked up in the sequence's own tokens: what followed the last few tokens
// where they stood before. Text that repeats its prompt, or itself, is mostly guessed right. Text that is
// rewritten departs from what it follows and comes back soon, so one token is enough to go on there.
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
    // Tokens that have to be the same for what followed them to be a draft: as many as kLong anywhere;
    // one near the place where drafts came from last, had they gone on beside the text; then kShort
    // anywhere.
    static constexpr size_t kLong = 3, kShort = 2;
    // How near: what was left out, or put in, since then.
    static constexpr size_t kMostLeftOut = 6, kMostPutIn = 3;
    // Tokens without a draft after which that place is forgotten.
    static constexpr size_t kLost = 8;

    // Entries of a table for sequences of n_ctx tokens: a power of two.
    static constexpr size_t n_entries(size_t n_ctx) {
        size_t n = 64;
        while (n < 4 * n_ctx) n *= 2;
        return n;
    }

    Drafts() = default;
    // `table`: n_entries(), outlives the drafts. No table: nothing is ever proposed.
    explicit Drafts(std::span<uint32_t> table) : table_(table) { clear(); }

    // At most `most` tokens that may come next, a view of `tokens`; empty if nothing is found. Of several
    // places the latest counts. `tokens` are those of the last call and more, unless clear() came in
    // between.
    std::span<const TokenId> propose(std::span<const TokenId> tokens, size_t most);
    void clear();

  private:
    uint32_t& entry(const TokenId* end, size_t n_gram);
    size_t find(std::span<const TokenId> tokens, size_t n_gram);
    size_t find_beside(std::span<const TokenId> tokens) const;

    // Where the tokens after a gram begin, by its hash; 0: none.
    std::span<uint32_t> table_;
    size_t n_known_ = 0;  // grams that end before this token are in the table
    // The last proposal was tokens [source_, ...) in place of [at_, end_), end_ 0: none.
    size_t source_ = 0, at_ = 0, end_ = 0;
};

}  // namespace axiom
