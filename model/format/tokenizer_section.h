// SPDX-License-Identifier: MIT
// The packed file's extent `tokenizer`: on-disk structs, written by packer/ and read by model/text.
// Little-endian, naturally aligned, without padding holes.
#pragma once

#include <cstdint>

namespace axiom::format {

inline constexpr uint32_t kMaxMerges = 1u << 22;
inline constexpr uint32_t kMaxTokenBytes = 1024;

// Extent `tokenizer`: TokenizerHeader, then the arrays in this order, each 8-byte aligned.
enum class Vocab : uint32_t { bpe = 0, spm = 1, none = 2 };
// How byte-level BPE cuts a text into words (model/text/pretokenizer.cpp has the expressions).
enum class PreTokenizer : uint32_t {
    default_ = 0,
    gpt2 = 1,
    smollm = 2,
    llama_bpe = 3,
    qwen2 = 4,
    qwen35 = 5,
    tekken = 6,
    gpt4o = 7
};
inline constexpr uint32_t kPreTokenizers = 8;
enum class TokenType : uint8_t {  // as in GGUF
    normal = 1,
    unknown = 2,
    control = 3,
    user_defined = 4,
    unused = 5,
    byte = 6
};
// Set beside the type of a special token that swallows the blanks and newlines after it.
inline constexpr uint8_t kStripsRight = 0x80;
inline constexpr uint32_t kNoToken = 0xffffffff;
inline constexpr uint32_t kMaxEog = 32;

struct TokenizerHeader {
    Vocab kind;
    PreTokenizer pre;
    uint32_t n_vocab, n_merges;
    uint32_t bos, eos, eot, unk;  // kNoToken where there is none
    uint32_t n_eog;               // tokens that end generation
    uint32_t eog[kMaxEog];        // kNoToken past n_eog
    uint32_t add_bos, add_eos, add_space_prefix;
    uint32_t ignore_merges;  // bpe: a word that is a token is taken whole
    uint32_t reserved;
    uint64_t string_bytes;
};
static_assert(sizeof(TokenizerHeader) == 192);
// Arrays after the header:
//   uint32 string_offset[n_vocab + 1]  into strings; ascending, last = string_bytes
//   uint32 by_text[n_vocab]            ids sorted by their bytes (memcmp, shorter first), ties by
//   id float  score[n_vocab]              spm only uint8  type[n_vocab]               TokenType,
//   with or without kStripsRight MergeEntry merges[n_merges]        bpe only, sorted by (left,
//   right) char   strings[string_bytes]       piece bytes, not NUL-terminated; the bytes
//   themselves: bpe's
//                                      byte alphabet is already undone, spm's U+2581 is kept
struct MergeEntry {
    uint32_t left, right;  // token ids
    uint32_t rank;         // lower merges first
    uint32_t merged;       // token id
};
static_assert(sizeof(MergeEntry) == 16);

}  // namespace axiom::format
