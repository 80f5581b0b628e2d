// SPDX-License-Identifier: MIT
// Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019): within each word of the
// pre-tokenizer, the pair of the lowest rank merges first, the leftmost of equals.
#include "model/text/encoder.h"
#include "model/text/pretokenizer.h"
#include "model/text/tokenizer.h"
#include "model/text/unicode.h"

namespace axiom {

namespace {

using format::MergeEntry;

PairMerge find_merge(const MergeEntry* merges, uint32_t n_merges, TokenId left, TokenId right) {
    if (left == format::kNoToken || right == format::kNoToken) return {};
    const uint64_t wanted = uint64_t{left} << 32 | right;
    uint32_t low = 0, high = n_merges;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const MergeEntry& m = merges[middle];
        if ((uint64_t{m.left} << 32 | m.right) < wanted) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == n_merges || merges[low].left != left || merges[low].right != right) return {};
    return {merges[low].rank, merges[low].merged};
}

}  // namespace

void Tokenizer::encode_bpe(std::string_view text, EncodeScratch& scratch, TokenSink& sink) const {
    // Words are cut from code points; spelling these anew makes overlong forms short.
    size_t n_bytes = 0;
    for (size_t at = 0; at < text.size();) {
        const CodePoint c = decode_utf8(text, at);
        n_bytes += encode_utf8(c.value, &scratch.fragment[n_bytes]);
        at += c.n_bytes;
    }
    WordScanner words(header_->pre, {scratch.fragment.data(), n_bytes});
    Merger merger(scratch.symbols, scratch.heap);
    for (std::string_view word; words.next(&word);) {
        if (header_->ignore_merges) {
            const TokenId id = find_word(word);
            if (id != format::kNoToken) {
                sink.push(id);
                continue;
            }
        }
        merger.clear();
        for (size_t i = 0; i < word.size(); i++) {
            merger.append(uint32_t(i), byte_token_[uint8_t(word[i])]);
        }
        merger.run([&](uint32_t left, uint32_t right) {
            return find_merge(merges_, header_->n_merges, merger[left].token, merger[right].token);
        });
        // Bytes that the vocabulary does not have are dropped, as in llama.cpp.
        for (uint32_t i = 0; i != Merger::kNone; i = merger[i].next) {
            if (merger[i].token != format::kNoToken) sink.push(merger[i].token);
        }
    }
}

}  // namespace axiom
