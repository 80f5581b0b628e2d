// SPDX-License-Identifier: MIT
// Cuts a text into the words that byte-level BPE merges within. A kind is a short list of cuts,
// each applied to the pieces of the one before: the regular expressions that llama.cpp applies, as
// data. Must not know: vocabularies or merges.
#pragma once

#include <cstddef>
#include <string_view>

#include "model/format/tokenizer_section.h"

namespace axiom {

// "llama-bpe", for people; "unknown" for a number that is no kind.
std::string_view pre_tokenizer_name(format::PreTokenizer kind);

class WordScanner {
  public:
    static constexpr size_t kMaxCuts = 4;

    // `text` is UTF-8 without invalid bytes (surrogates are fine) and outlives the scanner. `kind`
    // is below kPreTokenizers.
    WordScanner(format::PreTokenizer kind, std::string_view text) : kind_(kind), text_(text) {}

    // The next word, never empty; false at the end. The words concatenate to the text.
    bool next(std::string_view* word);

  private:
    format::PreTokenizer kind_;
    std::string_view text_;
    size_t at_ = 0;
    size_t end_[kMaxCuts] = {};  // where the current piece of each cut ends
};

}  // namespace axiom
