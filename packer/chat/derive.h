// SPDX-License-Identifier: MIT
// A chat template (a Jinja program) -> what the engine needs to expand conversations, as data.
//
// How, and why so. A table of known templates would miss every edited one, and most GGUFs in
// circulation carry edited ones; markers ("it has <|im_start|>") would guess, and a prompt in a
// format that is nearly right makes a model worse without a word. So the model's own template is
// run (packer/chat/jinja.h; no distribution packages a C++ Jinja library). Conversations of marked
// messages show what it writes between them, messages with blanks and reasoning show what it takes
// out of them. Then the engine's expansion of that data is compared with what the template renders
// for conversations it has not seen. Only if all are equal is the data kept. A template that uses
// what the interpreter does not know, or that does what the data cannot say, is an unknown one, and
// why is said.
//
// The rendering meant is llama.cpp's: variables as it sets them, and a system message that the
// template refuses or ignores goes before the first user's, with a newline between.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "model/text/chat.h"

namespace axiom::packer {

// What templates see of the vocabulary.
struct SpecialTexts {
    std::string bos, eos;   // empty if there is none
    bool adds_bos = false;  // the tokenizer does it: the template's own is left out
};

struct DerivedChat {
    std::vector<uint8_t> section;  // extent `chat`; ChatKind::none if `problem` is not empty
    std::string problem;           // why the template is not understood
    std::string default_system;    // the system message it brings, where it can be left out
    size_t n_compared = 0;         // conversations that came out equal
};

// `source` is UTF-8; it is in the section in any case.
DerivedChat derive_chat(std::string_view source, const SpecialTexts& special);

// What people call a template's format, by what it writes where the assistant begins: ChatML,
// Llama 3, ...; "other" if that has no such name, "none" without a template. Nothing depends on it.
std::string_view chat_format_name(const ChatTemplate& chat);

}  // namespace axiom::packer
