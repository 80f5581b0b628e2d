// SPDX-License-Identifier: MIT
// Segments -> one text -> special tokens and the fragments between them -> ids.
// Must not know: how a fragment is tokenized (tokenizer_bpe.cpp, tokenizer_spm.cpp).
#include <algorithm>
#include <cstring>

#include "model/text/encoder.h"
#include "model/text/tokenizer.h"
#include "model/text/tokenizer_layout.h"

namespace axiom {

using format::TokenType;

size_t Tokenizer::scratch_bytes(size_t n_bytes) {
    return EncodeScratch::bytes_needed(n_bytes);
}

namespace {

// As isspace() of the C locale.
bool is_ascii_space(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

}  // namespace

// The longest special token that begins at `begin`, is free and may stand there. Walks down by_text
// one byte at a time, as down a trie.
SpecialMatch Tokenizer::longest_special(const EncodeScratch& scratch, size_t begin,
                                        size_t max_bytes) const {
    const std::string_view text(&scratch.text[begin], max_bytes);
    const uint8_t* marks = &scratch.marks[begin];
    uint32_t low = 0, high = 0;
    SpecialMatch longest;
    bool parse = true;
    for (size_t n = 0; n < text.size() && n < max_special_bytes_; n++) {
        if (marks[n] & kClaimed) break;
        parse = parse && (marks[n] & kParse);
        const uint8_t byte = uint8_t(text[n]);
        // Of the pieces with the first n bytes of text, those whose next byte is `byte`.
        const auto first_from = [&](uint32_t from, unsigned least) {
            uint32_t a = from, b = high;
            while (a < b) {
                const uint32_t middle = a + (b - a) / 2;
                const std::string_view p = piece(by_text_[middle]);
                if (p.size() <= n || uint8_t(p[n]) < least) {
                    a = middle + 1;
                } else {
                    b = middle;
                }
            }
            return a;
        };
        if (n == 0) {
            low = by_first_byte_[byte], high = by_first_byte_[byte + 1];
        } else {
            low = first_from(low, byte);
            high = first_from(low, byte + 1u);
        }
        if (low == high) break;
        for (uint32_t i = low; i < high && piece(by_text_[i]).size() == n + 1; i++) {
            const TokenType kind = type(by_text_[i]);
            if (kind == TokenType::user_defined || (parse && is_special(kind))) {
                longest = {uint32_t(begin), uint32_t(n + 1), by_text_[i]};
                break;
            }
        }
    }
    return longest;
}

// llama.cpp cuts a text at every occurrence of each special token, the longest token first (of
// equals the lower id, as far as its sort is stable), each from left to right; white space after a
// token that strips goes at once, as far as it is free. The same by taking, again and again, the
// first match in that order that is still free.
void Tokenizer::mark_specials(EncodeScratch& scratch) const {
    const size_t n_bytes = scratch.text.size();
    SpecialMatch* heap = scratch.matches.data();
    size_t n_heap = 0;
    for (size_t i = 0; i < n_bytes; i++) {
        if (!begins_special_[uint8_t(scratch.text[i])]) continue;
        const SpecialMatch match = longest_special(scratch, i, n_bytes - i);
        if (match.n_bytes > 0) heap[n_heap++] = match;
    }
    const auto after = [](const SpecialMatch& a, const SpecialMatch& b) {
        if (a.n_bytes != b.n_bytes) return a.n_bytes < b.n_bytes;
        return a.id != b.id ? a.id > b.id : a.begin > b.begin;
    };
    std::make_heap(heap, heap + n_heap, after);
    while (n_heap > 0) {
        std::pop_heap(heap, heap + n_heap, after);
        const SpecialMatch match = heap[--n_heap];
        // Others may have claimed some of it; then a shorter token may still fit before them.
        const SpecialMatch free = longest_special(scratch, match.begin, match.n_bytes);
        if (free.n_bytes == match.n_bytes) {
            uint8_t* marks = &scratch.marks[match.begin];
            for (size_t i = 0; i < match.n_bytes; i++) marks[i] |= kClaimed;
            marks[0] |= kSpecialBegin;
            if (!strips_right(match.id)) continue;
            for (size_t i = match.begin + match.n_bytes;
                 i < n_bytes && !(scratch.marks[i] & kClaimed) && is_ascii_space(scratch.text[i]);
                 i++) {
                scratch.marks[i] |= kClaimed | kStripped;
            }
        } else if (free.n_bytes > 0) {
            heap[n_heap++] = free;
            std::push_heap(heap, heap + n_heap, after);
        }
    }
}

Result<size_t> Tokenizer::encode(std::span<const Segment> segments, bool add_bos,
                                 std::span<TokenId> out,
                                 std::span<uint8_t> scratch_bytes_given) const {
    if (n_vocab() == 0) return error(Code::unsupported, "the model file has no tokenizer");
    size_t n_bytes = 0;
    for (const Segment& segment : segments) {
        if (segment.text.size() > EncodeScratch::kMaxBytes - n_bytes) {
            return error(Code::unsupported, "text to tokenize is longer than ",
                         Bytes{EncodeScratch::kMaxBytes});
        }
        n_bytes += segment.text.size();
    }
    if (scratch_bytes_given.size() < scratch_bytes(n_bytes)) {
        return error(Code::no_memory, "tokenizing ", n_bytes, " bytes needs ",
                     scratch_bytes(n_bytes), " bytes of scratch, there are ",
                     scratch_bytes_given.size());
    }
    AXIOM_CHECK(reinterpret_cast<uintptr_t>(scratch_bytes_given.data()) % alignof(Symbol) == 0);
    EncodeScratch scratch(scratch_bytes_given, n_bytes);
    size_t at = 0;
    for (const Segment& segment : segments) {
        if (segment.text.empty()) continue;
        std::memcpy(&scratch.text[at], segment.text.data(), segment.text.size());
        std::memset(&scratch.marks[at], segment.specials == Specials::parse ? kParse : 0,
                    segment.text.size());
        at += segment.text.size();
    }
    mark_specials(scratch);

    TokenSink sink{out};
    if (add_bos && header_->add_bos) sink.push(header_->bos);
    bool after_special = true;
    for (size_t begin = 0; begin < n_bytes;) {
        const uint8_t first = scratch.marks[begin];
        if (first & kStripped) {
            begin++;
            continue;
        }
        bool parse = true;
        size_t end = begin;
        do {
            parse = parse && (scratch.marks[end] & kParse);
            end++;
        } while (end < n_bytes && !(scratch.marks[end] & kSpecialBegin) &&
                 (scratch.marks[end] & (kClaimed | kStripped)) == (first & kClaimed));
        const std::string_view text(&scratch.text[begin], end - begin);
        if (first & kClaimed) {
            sink.push(find_special(text, parse));
        } else if (header_->kind == format::Vocab::spm) {
            encode_spm(text, after_special && header_->add_space_prefix, scratch, sink);
        } else {
            encode_bpe(text, scratch, sink);
        }
        after_special = first & kClaimed;
        begin = end;
    }
    if (sink.n > out.size()) {
        return error(Code::no_memory, "the text is ", sink.n, " tokens, there is room for ",
                     out.size());
    }
    return sink.n;
}

}  // namespace axiom
