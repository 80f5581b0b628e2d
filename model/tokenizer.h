// SPDX-License-Identifier: MIT
// Text -> token ids -> text, over the tokenizer extent of the packed file (no copies, no allocation
// beyond a caller's scratch). Two families: byte-level BPE (GPT-2 lineage; merges by rank) and
// SentencePiece-style (merges by score, byte fallback). Results equal llama.cpp's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/format.h"

namespace axiom {

using TokenId = uint32_t;

class Tokenizer {
  public:
    // Validates counts, offsets, sortedness, ids and special ids; `file` and `extent_offset` are for
    // messages. The bytes must be 8-byte aligned and outlive the tokenizer.
    // Pieces need not be UTF-8 (byte tokens are not); empty pieces are refused unless unused/control.
    static Result<Tokenizer> open(std::string_view file, uint64_t extent_offset,
                                  std::span<const uint8_t> bytes);

    // Where in a text special tokens (control, user-defined) are recognised by their literal text.
    enum class Specials { parse, literal };
    struct Segment {
        std::string_view text;
        Specials specials;
    };

    // Scratch that encode() needs for texts of n_bytes in total, 64-byte aligned.
    static size_t scratch_bytes(size_t n_bytes);

    // Ids of the concatenated segments, written to out; returns how many. add_bos: prepend the
    // beginning-of-sequence token if the model wants one (TokenizerHeader::add_bos).
    // Adjacent segments are tokenized as one text, so a boundary never changes the pieces; only
    // where a special token may be recognised differs. no_memory if out is too small.
    Result<size_t> encode(std::span<const Segment> segments, bool add_bos, std::span<TokenId> out,
                          std::span<uint8_t> scratch) const;

    // The bytes a token stands for; control tokens give an empty text unless `show_control`.
    // spm's U+2581 becomes a blank; byte tokens give their byte. `buffer` needs kMaxTokenBytes.
    std::string_view decode(TokenId id, std::span<char> buffer, bool show_control = false) const;

    std::string_view piece(TokenId id) const;          // as stored
    TokenId find(std::string_view piece) const;        // kNoToken if absent
    bool ends_generation(TokenId id) const;
    size_t n_vocab() const { return header_ ? header_->n_vocab : 0; }
    const format::TokenizerHeader& header() const { return *header_; }
    format::TokenType type(TokenId id) const { return format::TokenType(types_[id]); }

  private:
    const format::TokenizerHeader* header_ = nullptr;
    const uint32_t* string_offset_ = nullptr;
    const uint32_t* by_text_ = nullptr;
    const float* score_ = nullptr;
    const uint8_t* types_ = nullptr;
    const format::MergeEntry* merges_ = nullptr;
    const char* strings_ = nullptr;
    // tokenizer.cpp may add what it needs (for example an index of special tokens by first byte).
};

}  // namespace axiom
