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

}  // namespace

void Tokenizer::encode_spm(std::string_view text, bool prefix, EncodeScratch& scratch,
                           TokenSink& sink) const {
    constexpr char kBlank[] = {'\xe2', '\x96', '\x81'};  // U+2581 stands for a blank
    size_t n_bytes = 0;
    const auto put_blank = [&] {
        for (const char c : kBlank) scratch.fragment[n_bytes++] = c;
    };
    if (prefix) put_blank();
    for (const char c : text) {
        if (c == ' ') {
            put_blank();
        } else {
            scratch.fragment[n_bytes++] = c;
        }
    }

    // Characters as their lead bytes promise them, whatever follows.
    const char* fragment = scratch.fragment.data();
    Merger merger(scratch.symbols, scratch.heap);
    merger.clear();
    for (size_t at = 0; at < n_bytes;) {
        merger.append(uint32_t(at), format::kNoToken);
        const size_t n = utf8_lead_bytes(fragment[at]);
        at = n < n_bytes - at ? at + n : n_bytes;
    }
    const auto end_of = [&](uint32_t i) {
        return merger[i].next == Merger::kNone ? n_bytes : size_t{merger[i].next};
    };
    merger.run([&](uint32_t left, uint32_t right) -> PairMerge {
        const TokenId id = find({fragment + left, end_of(right) - left});
        if (id == format::kNoToken) return {};
        return {priority_of(score_[id]), id};
    });

    for (uint32_t i = 0; i != Merger::kNone; i = merger[i].next) {
        TokenId id = merger[i].token;
        if (id == format::kNoToken) id = find({fragment + i, end_of(i) - i});
        if (id != format::kNoToken) {
            sink.push(id);
            continue;
        }
        for (size_t at = i; at < end_of(i); at++) {
            id = byte_token_[uint8_t(fragment[at])];
            if (id == format::kNoToken) id = header_->unk;
            if (id != format::kNoToken) sink.push(id);
        }
    }
}

}  // namespace axiom
