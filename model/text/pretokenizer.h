// SPDX-License-Identifier: MIT
// Cuts a text into the words that byte-level BPE merges within. Each kind is the regular expression
// its vocabulary was trained with, as llama.cpp applies it, written out as a scanner.
// Must not know: vocabularies or merges.
#pragma once

#include <cstddef>
#include <string_view>

#include "model/format/tokenizer_section.h"

namespace axiom {

class WordScanner {
  public:
    // `text` is UTF-8 without invalid bytes (surrogates are fine) and outlives the scanner.
    WordScanner(format::PreTokenizer kind, std::string_view text) : kind_(kind), text_(text) {}

    // The next word, never empty; false at the end. The words concatenate to the text.
    bool next(std::string_view* word);

  private:
    size_t default_end();

    format::PreTokenizer kind_;
    std::string_view text_;
    size_t at_ = 0;
    // Where the enclosing pieces end; each expression of a kind splits the pieces of the one
    // before.
    size_t outer_end_ = 0, word_end_ = 0, run_end_ = 0;
};

}  // namespace axiom
