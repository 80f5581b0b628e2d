// SPDX-License-Identifier: MIT
// Bytes -> whole UTF-8 sequences: a token may end in the middle of a character, the console must
// not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace axiom {

// Length of the sequence a lead byte announces; 0 for a byte that cannot lead (Unicode 15, table
// 3-7).
constexpr size_t utf8_length(uint8_t lead) {
    return lead < 0x80   ? 1
           : lead < 0xc2 ? 0
           : lead < 0xe0 ? 2
           : lead < 0xf0 ? 3
           : lead < 0xf5 ? 4
                         : 0;
}

// Whether `second` may follow `lead`: excludes overlong forms, surrogates and values past U+10FFFF.
constexpr bool utf8_second_ok(uint8_t lead, uint8_t second) {
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return second >= low && second <= high;
}

// Passes whole characters on; holds an unfinished one back; replaces what can never become one by
// U+FFFD, once per maximal wrong piece.
class Utf8Stream {
  public:
    template <class Write>
    void put(std::string_view bytes, Write&& write) {
        for (const char c : bytes) put_byte(uint8_t(c), write);
    }
    // At the end of the text: an unfinished character becomes U+FFFD.
    template <class Write>
    void finish(Write&& write) {
        if (n_ != 0) write(kReplacement);
        n_ = 0;
    }

  private:
    static constexpr std::string_view kReplacement = "\xef\xbf\xbd";

    template <class Write>
    void put_byte(uint8_t byte, Write&& write) {
        if (n_ > 0) {
            const bool fits =
                n_ == 1 ? utf8_second_ok(uint8_t(held_[0]), byte) : (byte & 0xc0) == 0x80;
            if (fits) {
                held_[n_++] = char(byte);
                if (n_ == utf8_length(uint8_t(held_[0]))) {
                    write(std::string_view(held_, n_));
                    n_ = 0;
                }
                return;
            }
            write(kReplacement);
            n_ = 0;  // and the byte starts anew
        }
        switch (utf8_length(byte)) {
            case 0:
                write(kReplacement);
                break;
            case 1:
                held_[0] = char(byte);
                write(std::string_view(held_, 1));
                break;
            default:
                held_[0] = char(byte);
                n_ = 1;
        }
    }

    char held_[4] = {};
    size_t n_ = 0;
};

}  // namespace axiom
