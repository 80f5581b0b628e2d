// SPDX-License-Identifier: MIT
// UTF-8 and the character classes that pre-tokenizer regexes speak of (Unicode 15.1).
// Must not know: what a token is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace axiom {

// Unicode's general categories L, N, P and M; space: White_Space. The classes are disjoint;
// whatever is not one of the named is `other`, unassigned code points and those past U+10FFFF
// included. `none` is the class past a text's end.
enum class CharClass : uint8_t {
    other = 0,
    letter = 1,
    number = 2,
    punctuation = 3,
    space = 4,
    mark = 5,
    none
};

CharClass char_class(uint32_t code_point);

inline constexpr uint32_t kReplacementChar = 0xfffd;

struct CodePoint {
    uint32_t value = 0;
    uint32_t n_bytes = 1;
};

// The code point at text[at], at < text.size(), as lenient as llama.cpp is: overlong forms and
// surrogates are taken as they stand. A byte that starts no complete sequence, or one past
// U+10FFFF (where llama.cpp stops the program), is U+FFFD of one byte.
CodePoint decode_utf8(std::string_view text, size_t at);
// out holds 4 bytes; returns how many were written. code_point <= 0x10ffff.
size_t encode_utf8(uint32_t code_point, char* out);
// Strict: shortest forms only, no surrogates (Unicode 15.1, table 3-7).
bool is_utf8(std::string_view text);
// What a lead byte promises, without looking further: 1 for continuation bytes, 4 at most.
size_t utf8_lead_bytes(char lead);

}  // namespace axiom
