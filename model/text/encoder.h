// SPDX-License-Identifier: MIT
// What the parts of Tokenizer::encode() share: where ids go and how the caller's scratch is cut up.
// Private to model/text/tokenizer*.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "model/text/merger.h"
#include "model/text/tokenizer.h"

namespace axiom {

// U+2581, which spm's pieces hold in place of a blank.
inline constexpr std::string_view kSpmBlank = "\xe2\x96\x81";

inline bool is_spm_blank(std::string_view text, size_t at) {
    return text.size() - at >= kSpmBlank.size() && text[at] == kSpmBlank[0] &&
           text[at + 1] == kSpmBlank[1] && text[at + 2] == kSpmBlank[2];
}

// Counts what did not fit too, so that the error can say how much is needed.
struct TokenSink {
    std::span<TokenId> out;
    size_t n = 0;

    void push(TokenId id) {
        if (n < out.size()) out[n] = id;
        n++;
    }
};

// A special token and where it begins; n_bytes 0: none.
struct SpecialMatch {
    uint32_t begin = 0, n_bytes = 0;
    TokenId id = format::kNoToken;
};

// Normalising or escaping makes a fragment at most three times as long (a blank becomes U+2581, an
// invalid byte U+FFFD), and spm may put one blank before it.
struct EncodeScratch {
    static constexpr size_t kMaxBytes = size_t{1} << 30;

    std::span<char> text;      // [n_bytes] the segments as one text
    std::span<uint8_t> marks;  // [n_bytes] Mark bits
    // Special tokens are found before the first fragment is encoded, so the two share memory.
    std::span<SpecialMatch> matches;  // [n_bytes]
    std::span<char> fragment;         // [3 * (n_bytes + 1)]
    std::span<Symbol> symbols;        // [3 * (n_bytes + 1)]
    std::span<uint32_t> heap;         // [3 * (n_bytes + 1)]

    static size_t bytes_needed(size_t n_bytes) {
        return 128 + 2 * n_bytes + 3 * (n_bytes + 1) * (1 + sizeof(Symbol) + sizeof(uint32_t));
    }

    // `scratch` holds bytes_needed(n_bytes), 64-byte aligned.
    EncodeScratch(std::span<uint8_t> scratch, size_t n_bytes) {
        uint8_t* at = scratch.data();
        const size_t n_long = 3 * (n_bytes + 1);
        symbols = {reinterpret_cast<Symbol*>(at), n_long};
        matches = {reinterpret_cast<SpecialMatch*>(at), n_bytes};
        at += symbols.size_bytes();
        heap = {reinterpret_cast<uint32_t*>(at), n_long};
        at += heap.size_bytes();
        fragment = {reinterpret_cast<char*>(at), n_long};
        at += n_long;
        text = {reinterpret_cast<char*>(at), n_bytes};
        at += n_bytes;
        marks = {at, n_bytes};
    }
};

enum Mark : uint8_t {
    kParse = 1,         // control tokens are recognised here
    kClaimed = 2,       // inside a special token, or stripped by it
    kSpecialBegin = 4,  // its first byte
    kStripped = 8,
};

}  // namespace axiom
