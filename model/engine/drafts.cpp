// SPDX-License-Identifier: MIT
#include "model/engine/drafts.h"

#include <algorithm>

namespace axiom {

// Of the gram that ends there.
uint32_t& Drafts::entry(const TokenId* end, size_t n_gram) {
    uint64_t hash = n_gram;
    for (size_t i = n_gram; i != 0; i--) hash = (hash ^ end[-ptrdiff_t(i)]) * 0x9e3779b97f4a7c15;
    return table_[(hash >> 32) & (table_.size() - 1)];
}

void Drafts::clear() {
    std::fill(table_.begin(), table_.end(), 0);
    n_known_ = end_ = 0;
}

std::span<const TokenId> Drafts::propose(std::span<const TokenId> tokens, size_t most) {
    const size_t n = tokens.size();
    if (table_.empty() || n < kShort) return {};
    // The last gram has nothing after it yet.
    for (n_known_ = std::max(n_known_, kShort); n_known_ < n; n_known_++) {
        for (const size_t n_gram : {kShort, kLong})
            if (n_known_ >= n_gram) entry(&tokens[n_known_], n_gram) = uint32_t(n_known_);
    }
    size_t source = find(tokens, kLong);
    if (source == 0) source = find_beside(tokens);
    if (source == 0) source = find(tokens, kShort);
    if (source == 0) return {};
    const std::span<const TokenId> found = tokens.subspan(source, std::min(most, n - source));
    source_ = source;
    at_ = n;
    end_ = n + found.size();
    return found;
}

// What follows the latest earlier occurrence of the last tokens; 0: there is none.
size_t Drafts::find(std::span<const TokenId> tokens, size_t n_gram) {
    if (tokens.size() < n_gram) return 0;
    const TokenId* const end = tokens.data() + tokens.size();
    const size_t next = entry(end, n_gram);
    if (next < n_gram || !std::equal(end - n_gram, end, &tokens[next - n_gram])) return 0;
    return next;
}

// What follows the last token near where the last proposal would be now, the nearest first; 0: none.
size_t Drafts::find_beside(std::span<const TokenId> tokens) const {
    const size_t n = tokens.size();
    if (end_ == 0 || n > end_ + kLost) return 0;
    const size_t now = source_ + (n - at_);
    const auto fits = [&](size_t next) {
        return next != 0 && next < n && tokens[next - 1] == tokens[n - 1];
    };
    for (size_t i = 0; i <= std::max(kMostLeftOut, kMostPutIn); i++) {
        if (i <= kMostLeftOut && fits(now + i)) return now + i;
        if (i <= kMostPutIn && i <= now && fits(now - i)) return now - i;
    }
    return 0;
}

}  // namespace axiom
