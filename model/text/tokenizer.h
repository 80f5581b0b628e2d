// SPDX-License-Identifier: MIT
// Text -> token ids -> text, over the tokenizer extent of the packed file (no copies, no allocation
// beyond a caller's scratch). Two families: byte-level BPE (GPT-2 lineage; merges by rank) and
// SentencePiece-style (merges by score, byte fallback). Results equal llama.cpp's, except that text
// it cannot take (bytes that are not UTF-8, bytes missing from a vocabulary) never stops us.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/format/format.h"
#include "model/format/tokenizer_section.h"

namespace axiom {

using TokenId = uint32_t;
struct EncodeScratch;  // model/text/encoder.h
struct SpecialMatch;
struct TokenSink;

class Tokenizer {
  public:
    // Validates counts, offsets, sortedness, ids and special ids; `file` and `extent_offset` are
    // for messages. The bytes must be 8-byte aligned and outlive the tokenizer. Pieces are not
    // empty. Those of bpe need not be UTF-8 (single bytes are pieces); those of spm and special
    // tokens must be. For Vocab::none there are none. In a bpe vocabulary TokenType::byte means a
    // piece outside the byte alphabet: it stands for its own bytes and encode() never yields it.
    static Result<Tokenizer> open(std::string_view file, uint64_t extent_offset,
                                  std::span<const uint8_t> bytes);

    // Where in a text special tokens (control, unknown) are recognised by their literal text. As in
    // llama.cpp user-defined tokens are recognised everywhere, longer ones first. A token with
    // format::kStripsRight drops the ASCII white space after it, whatever segment that lies in.
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
    // where a special token may be recognised differs; a control token must lie in `parse` text
    // whole. TokenizerHeader::add_eos is the caller's matter. no_memory if out or scratch is too
    // small, saying both sizes (4 * n_bytes + 5 ids always suffice; for UTF-8 and a vocabulary with
    // all bytes 2 * n_bytes + 2 do). unsupported past 1 GiB of text, or without a vocabulary.
    Result<size_t> encode(std::span<const Segment> segments, bool add_bos, std::span<TokenId> out,
                          std::span<uint8_t> scratch) const;

    // The bytes a token stands for; control tokens give an empty text unless `show_control`.
    // spm's U+2581 becomes a blank; byte tokens give their byte. `buffer` needs kMaxTokenBytes.
    std::string_view decode(TokenId id, std::span<char> buffer, bool show_control = false) const;

    std::string_view piece(TokenId id) const;    // as stored
    TokenId find(std::string_view piece) const;  // kNoToken if absent; the lowest id if several
    bool ends_generation(TokenId id) const;
    size_t n_vocab() const { return header_ ? header_->n_vocab : 0; }
    const format::TokenizerHeader& header() const { return *header_; }
    format::TokenType type(TokenId id) const {
        return format::TokenType(types_[id] & uint8_t(~format::kStripsRight));
    }
    bool strips_right(TokenId id) const { return types_[id] & format::kStripsRight; }

  private:
    const format::TokenizerHeader* header_ = nullptr;
    const uint32_t* string_offset_ = nullptr;
    const uint32_t* by_text_ = nullptr;
    const float* score_ = nullptr;
    const uint8_t* types_ = nullptr;
    const format::MergeEntry* merges_ = nullptr;
    const char* strings_ = nullptr;
    // Derived by open(), so that most look-ups and most positions of a text are settled at once.
    uint32_t by_first_byte_[257] = {};  // by_text entries whose piece begins with byte b: [b, b+1)
    uint32_t byte_token_[256] = {};     // bpe: the piece of one byte; spm: <0xNN>
    bool begins_special_[256] = {};
    size_t max_special_bytes_ = 0;
    bool words_stand_alone_ = false;  // spm: in no piece a blank (U+2581) follows anything else

    struct TextRange {
        uint32_t begin, end;
    };  // of by_text
    TextRange find_all(std::string_view piece) const;
    TokenId find_word(std::string_view bytes) const;
    TokenId find_special(std::string_view text, bool parse) const;
    bool found_in_words(TokenId id) const;
    void index();
    Status check_header(std::string_view file, uint64_t at, size_t n_bytes) const;
    Status check_strings(std::string_view file, uint64_t at) const;
    Status check_arrays(std::string_view file, uint64_t at) const;

    SpecialMatch longest_special(const EncodeScratch& scratch, size_t begin,
                                 size_t max_bytes) const;
    void mark_specials(EncodeScratch& scratch) const;
    void encode_bpe(std::string_view text, EncodeScratch& scratch, TokenSink& sink) const;
    void encode_spm(std::string_view text, bool prefix, EncodeScratch& scratch,
                    TokenSink& sink) const;
    void merge_spm(std::string_view text, EncodeScratch& scratch, TokenSink& sink) const;
};

}  // namespace axiom
