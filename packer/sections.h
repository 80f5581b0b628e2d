// SPDX-License-Identifier: MIT
// The metadata extents of the packed file, built from a GGUF's keys (model/format/format.h has the
// layouts).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "packer/gguf.h"

namespace axiom::packer {

// Extent `tokenizer` from tokenizer.ggml.*. An unknown model or pre-tokenizer is refused by name;
// "no_vocab" and a missing tokenizer give Vocab::none. n_vocab comes from the token list.
Result<std::vector<uint8_t>> build_tokenizer_section(const gguf::File& file);

// Extent `chat` from tokenizer.chat_template, whose text is kept in any case. What it does becomes
// data where it is understood, otherwise ChatKind::none; *note says which, for the person packing.
Result<std::vector<uint8_t>> build_chat_section(const gguf::File& file, std::string* note);

}  // namespace axiom::packer
