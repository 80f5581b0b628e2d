// SPDX-License-Identifier: MIT
// SentencePiece-style BPE (Kudo and Richardson 2018): over a whole fragment, the pair whose joint
// piece scores highest merges first, the leftmost of equals; the rest falls back to bytes.
#include <bit>

#include "model/text/encoder.h"
#include "model/text/tokenizer.h"
#include "model/text/unicode.h"

namespace axiom {

namespace {

// Higher scores have lower priorities; -0 and +0 are the same.
uint32_t priority_of(float score) {
    if (score == 0) return 0x7fffffffu;
    const uint32_t bits = std::bit_cast<uint32_t>(score);
    return bits & 0x80000000u ? bits : 0x7fffffffu - bits;
}

// Characters as their lead bytes promise them, whatever follows.
size_t character_end(std::string_view text, size_t at) {
    const size_t n = utf8_lead_bytes(text[at]);
    return n < text.size() - at ? at + n : text.size();
}

}  // namespace

void Tokenizer::encode_spm(std::string_view text, bool prefix, EncodeScratch& scratch,
                           TokenSink& sink) const {
    size_t n_bytes = 0;
    const auto put_blank = [&] {
        for (const char c : kSpmBlank) scratch.fragment[n_bytes++] = c;
    };
    if (prefix) put_blank();
    for (const char c : text) {
        if (c == ' ') {
            put_blank();
        } else {
            scratch.fragment[n_bytes++] = c;
        }
    }

    // Where no piece goes on past the end of a word, words can be merged one by one, which keeps
    // rows and heaps short.
    const std::string_view fragment(scratch.fragment.data(), n_bytes);
    size_t begin = 0;
    bool after_blank = true;
    for (size_t at = 0; words_stand_alone_ && at < n_bytes;) {
        const bool blank = is_spm_blank(fragment, at);
        if (blank && !after_blank) {
            merge_spm({fragment.data() + begin, at - begin}, scratch, sink);
            begin = at;
        }
        after_blank = blank;
        at = character_end(fragment, at);
    }
    merge_spm({fragment.data() + begin, n_bytes - begin}, scratch, sink);
}

void Tokenizer::merge_spm(std::string_view text, EncodeScratch& scratch, TokenSink& sink) const {
    Merger merger(scratch.symbols, scratch.heap);
    merger.clear();
    for (size_t at = 0; at < text.size();) {
        merger.append(uint32_t(at), format::kNoToken);
        at = character_end(text, at);
    }
    const auto end_of = [&](uint32_t i) {
        return merger[i].next == Merger::kNone ? text.size() : size_t{merger[i].next};
    };
    const auto find_between = [&](size_t from, size_t to) {
        return find({text.data() + from, to - from});
    };
    merger.run([&](uint32_t left, uint32_t right) -> PairMerge {
        const TokenId id = find_between(left, end_of(right));
        if (id == format::kNoToken) return {};
        return {priority_of(score_[id]), id};
    });

    for (uint32_t i = 0; i != Merger::kNone; i = merger[i].next) {
        TokenId id = merger[i].token;
        if (id == format::kNoToken) id = find_between(i, end_of(i));
        if (id != format::kNoToken) {
            sink.push(id);
            continue;
        }
        for (size_t at = i; at < end_of(i); at++) {
            id = byte_token_[uint8_t(text[at])];
            if (id == format::kNoToken) id = header_->unk;
            if (id != format::kNoToken) sink.push(id);
        }
    }
}

}  // namespace axiom
