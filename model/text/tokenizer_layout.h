// SPDX-License-Identifier: MIT
// Where the arrays of a tokenizer extent lie (model/format/tokenizer_section.h lists them), and
// limits beyond those of format.h. Shared by Tokenizer::open, which checks, and the packer, which
// writes.
#pragma once

#include <cstdint>

#include "model/format/tokenizer_section.h"

namespace axiom {

// Special tokens are looked for at many places of a text; this bounds the work at each.
inline constexpr uint32_t kMaxSpecialBytes = 256;

// Byte offsets within the extent. Counts are within the limits of format.h, so nothing overflows.
struct TokenizerLayout {
    uint64_t string_offset, by_text, score, type, merges, strings, end;

    explicit TokenizerLayout(const format::TokenizerHeader& header) {
        const auto aligned = [](uint64_t n) { return (n + 7) / 8 * 8; };
        const uint64_t n = header.n_vocab;
        string_offset = sizeof(format::TokenizerHeader);
        by_text = aligned(string_offset + 4 * (n + 1));
        score = aligned(by_text + 4 * n);
        type = aligned(score + (header.kind == format::Vocab::spm ? 4 * n : 0));
        merges = aligned(type + n);
        strings = merges + sizeof(format::MergeEntry) * header.n_merges;
        end = strings + header.string_bytes;
    }
};

// Tokens that are recognised by their text before any word is cut.
constexpr bool is_special(format::TokenType type) {
    return type == format::TokenType::control || type == format::TokenType::user_defined ||
           type == format::TokenType::unknown;
}

}  // namespace axiom
