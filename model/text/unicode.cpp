// SPDX-License-Identifier: MIT
// UTF-8 and the character class table.
#include "model/text/unicode.h"

#include <algorithm>
#include <array>
#include <iterator>

namespace axiom {

namespace {

constexpr uint32_t kClassStarts[] = {
#include "model/text/unicode_tables.inc"
};

constexpr CharClass class_in_table(uint32_t code_point) {
    const uint32_t key = code_point << 3 | 7;
    const uint32_t* after = std::upper_bound(std::begin(kClassStarts), std::end(kClassStarts), key);
    return CharClass(after[-1] & 7);
}

constexpr std::array<CharClass, 128> kAsciiClasses = [] {
    std::array<CharClass, 128> classes{};
    for (uint32_t c = 0; c < classes.size(); c++) classes[c] = class_in_table(c);
    return classes;
}();

bool continues(std::string_view text, size_t at, size_t n) {
    if (text.size() - at <= n) return false;
    for (size_t i = 1; i <= n; i++) {
        if ((uint8_t(text[at + i]) & 0xc0) != 0x80) return false;
    }
    return true;
}

}  // namespace

CharClass char_class(uint32_t code_point) {
    if (code_point < kAsciiClasses.size()) return kAsciiClasses[code_point];
    return code_point > 0x10ffff ? CharClass::other : class_in_table(code_point);
}

size_t utf8_lead_bytes(char lead) {
    const uint8_t byte = uint8_t(lead);
    return byte < 0xc0 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
}

CodePoint decode_utf8(std::string_view text, size_t at) {
    const uint8_t lead = uint8_t(text[at]);
    if (lead < 0x80) return {lead, 1};
    if (lead >= 0xc0 && lead < 0xf8) {
        const size_t n_more = utf8_lead_bytes(text[at]) - 1;
        if (continues(text, at, n_more)) {
            uint32_t value = lead & (0x3fu >> n_more);
            for (size_t i = 1; i <= n_more; i++)
                value = value << 6 | (uint8_t(text[at + i]) & 0x3f);
            if (value <= 0x10ffff) return {value, uint32_t(n_more + 1)};
        }
    }
    return {kReplacementChar, 1};
}

size_t encode_utf8(uint32_t code_point, char* out) {
    if (code_point < 0x80) {
        out[0] = char(code_point);
        return 1;
    }
    const size_t n_more = code_point < 0x800 ? 1 : code_point < 0x10000 ? 2 : 3;
    for (size_t i = n_more; i > 0; i--) {
        out[i] = char(0x80 | (code_point & 0x3f));
        code_point >>= 6;
    }
    out[0] = char((0xff00u >> (n_more + 1) & 0xff) | code_point);
    return n_more + 1;
}

bool is_utf8(std::string_view text) {
    constexpr uint32_t kLeast[] = {0, 0x80, 0x800, 0x10000};
    for (size_t at = 0; at < text.size();) {
        const uint8_t lead = uint8_t(text[at]);
        const CodePoint c = decode_utf8(text, at);
        if (lead >= 0x80 && c.n_bytes == 1) return false;
        if (c.value < kLeast[c.n_bytes - 1]) return false;
        if (c.value >= 0xd800 && c.value <= 0xdfff) return false;
        at += c.n_bytes;
    }
    return true;
}

}  // namespace axiom
