// SPDX-License-Identifier: MIT
#include "model/engine/drafts.h"

#include <algorithm>

namespace axiom {

uint32_t& Drafts::entry(const TokenId* gram) {
    uint64_t hash = 0;
    for (size_t i = 0; i < kGram; i++) hash = (hash ^ gram[i]) * 0x9e3779b97f4a7c15;
    return table_[(hash >> 32) & (table_.size() - 1)];
}

void Drafts::clear() {
    std::fill(table_.begin(), table_.end(), 0);
    n_known_ = 0;
}

std::span<const TokenId> Drafts::propose(std::span<const TokenId> tokens, size_t most) {
    if (table_.empty() || tokens.size() < kGram) return {};
    // The last gram has nothing after it yet.
    for (n_known_ = std::max(n_known_, kGram); n_known_ < tokens.size(); n_known_++)
        entry(&tokens[n_known_ - kGram]) = uint32_t(n_known_);
    const TokenId* const last = &tokens[tokens.size() - kGram];
    const size_t next = entry(last);
    if (next == 0 || !std::equal(last, last + kGram, &tokens[next - kGram])) return {};
    return tokens.subspan(next, std::min(most, tokens.size() - next));
}

}  // namespace axiom
