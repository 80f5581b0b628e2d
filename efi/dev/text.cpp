// SPDX-License-Identifier: MIT
#include "efi/dev/text.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kReplacement = 0xfffd;

constexpr bool is_high_surrogate(uint32_t u) {
    return u >= 0xd800 && u < 0xdc00;
}
constexpr bool is_low_surrogate(uint32_t u) {
    return u >= 0xdc00 && u < 0xe000;
}

}  // namespace

size_t encode_utf8(uint32_t point, char out[4]) {
    if (point < 0x80) {
        out[0] = char(point);
        return 1;
    }
    const size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    constexpr uint8_t kLead[5] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = char(0x80 | (point & 0x3f));
        point >>= 6;
    }
    out[0] = char(kLead[n] | point);
    return n;
}

Result<size_t> utf16_to_utf8(std::string_view what, std::span<const uint16_t> units,
                             std::span<char> out) {
    size_t n_out = 0;
    for (size_t i = 0; i < units.size() && units[i] != 0; i++) {
        const size_t at = i;
        uint32_t point = units[i];
        if (is_high_surrogate(point) && i + 1 < units.size() && is_low_surrogate(units[i + 1])) {
            point = 0x10000 + ((point - 0xd800) << 10) + (units[++i] - 0xdc00u);
        } else if (point >= 0xd800 && point < 0xe000) {
            return error(Code::bad_option, what, ": character ", at, ": found ", Hex{point},
                         ", allowed UTF-16 with paired surrogates");
        }
        if (point < 0x20 && point != '\t') {
            return error(Code::bad_option, what, ": character ", at, ": found ", Hex{point},
                         ", allowed text without control characters");
        }
        char bytes[4];
        const size_t n = encode_utf8(point, bytes);
        if (n_out + n > out.size()) {
            return error(Code::no_memory, what, ": longer than the ", out.size(), " bytes allowed");
        }
        for (size_t k = 0; k < n; k++) out[n_out++] = bytes[k];
    }
    return n_out;
}

Result<size_t> utf8_to_utf16(std::string_view what, std::string_view text,
                             std::span<uint16_t> out) {
    Utf8Stream stream;
    size_t n_out = 0;
    uint32_t points[2];
    // One NUL more than the text: it shows a sequence that the end cut short.
    for (size_t i = 0; i <= text.size(); i++) {
        const size_t n = stream.feed(i < text.size() ? uint8_t(text[i]) : 0, points);
        for (size_t k = 0; k < n; k++) {
            const uint32_t point = points[k];
            if (point == kReplacement || (point == 0 && i < text.size())) {
                return error(Code::bad_option, what, ": byte ", i, " of ", Quoted{text},
                             ": found malformed UTF-8, allowed UTF-8 text");
            }
            const size_t n_units = point < 0x10000 ? 1 : 2;
            if (n_out + n_units > out.size()) {
                return error(Code::no_memory, what, ": found ", text.size(), " bytes, allowed ",
                             out.size() - 1, " characters");
            }
            if (n_units == 1) {
                out[n_out++] = uint16_t(point);
            } else {
                out[n_out++] = uint16_t(0xd800 + ((point - 0x10000) >> 10));
                out[n_out++] = uint16_t(0xdc00 + ((point - 0x10000) & 0x3ff));
            }
        }
    }
    return n_out - 1;
}

size_t Utf8Stream::feed(uint8_t byte, uint32_t out[2]) {
    size_t n = 0;
    if (n_missing_ > 0) {
        if ((byte & 0xc0) == 0x80) {
            point_ = point_ << 6 | (byte & 0x3f);
            if (--n_missing_ > 0) return 0;
            const bool valid =
                point_ >= least_ && point_ <= 0x10ffff && !(point_ >= 0xd800 && point_ < 0xe000);
            out[n++] = valid ? point_ : kReplacement;
            return n;
        }
        n_missing_ = 0;
        out[n++] = kReplacement;
    }
    if (byte < 0x80) {
        out[n++] = byte;
    } else if (byte >= 0xc2 && byte < 0xe0) {
        point_ = byte & 0x1f, least_ = 0x80, n_missing_ = 1;
    } else if (byte >= 0xe0 && byte < 0xf0) {
        point_ = byte & 0x0f, least_ = 0x800, n_missing_ = 2;
    } else if (byte >= 0xf0 && byte < 0xf5) {
        point_ = byte & 0x07, least_ = 0x10000, n_missing_ = 3;
    } else {
        out[n++] = kReplacement;
    }
    return n;
}

}  // namespace axiom::efi
