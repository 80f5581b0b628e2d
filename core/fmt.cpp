// SPDX-License-Identifier: MIT
#include "core/fmt.h"

#include <bit>
#include <cstring>

namespace axiom {

Writer& Writer::put(std::string_view text) {
    size_t n = text.size();
    if (truncated_) return *this;  // nothing after a cut: a hole in the middle would mislead
    if (n > capacity_ - length_) {
        n = capacity_ - length_;
        // Do not leave half a UTF-8 sequence: step back over continuation bytes to a lead byte.
        while (n > 0 && (uint8_t(text[n]) & 0xC0) == 0x80) n--;
        truncated_ = true;
    }
    if (n != 0) memcpy(buffer_ + length_, text.data(), n);
    length_ += n;
    return *this;
}

Writer& Writer::put_u64(uint64_t v) {
    char digits[20];
    size_t i = sizeof digits;
    do {
        digits[--i] = char('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return put(std::string_view(digits + i, sizeof digits - i));
}

Writer& Writer::put_i64(int64_t v) {
    if (v >= 0) return put_u64(uint64_t(v));
    put('-');
    return put_u64(0 - uint64_t(v));
}

Writer& Writer::put(HexDigits v) {
    char digits[16];
    size_t i = sizeof digits;
    do {
        digits[--i] = "0123456789abcdef"[v.value & 15];
        v.value >>= 4;
    } while (v.value != 0);
    while (sizeof digits - i < size_t(v.min_digits) && i > 0) digits[--i] = '0';
    return put(std::string_view(digits + i, sizeof digits - i));
}

Writer& Writer::put(Hex v) {
    return put("0x").put(HexDigits{v.value, v.min_digits});
}

Writer& Writer::put(Fixed v) {
    const uint64_t bits = std::bit_cast<uint64_t>(v.value);
    if ((bits >> 52 & 0x7ff) == 0x7ff) {
        if (bits << 12) return put("nan");
        return put(bits >> 63 ? "-inf" : "inf");
    }
    if (bits >> 63) put('-');
    double magnitude = v.value < 0 ? -v.value : v.value;
    double scale = 1;
    for (int i = 0; i < v.decimals; i++) scale *= 10;
    // Past 2^63 the fraction is gone anyway; print such numbers as a power of ten times an integer.
    if (magnitude * scale >= 9.2e18) {
        int exponent = 0;
        while (magnitude >= 10) {
            magnitude /= 10;
            exponent++;
        }
        put(Fixed{magnitude, 6});
        return put('e').put(exponent);
    }
    const uint64_t scaled = uint64_t(magnitude * scale + 0.5);
    const uint64_t unit = uint64_t(scale);
    put_u64(scaled / unit);
    if (v.decimals > 0) {
        char digits[20];
        uint64_t fraction = scaled % unit;
        for (int i = v.decimals; i-- > 0; fraction /= 10) digits[i] = char('0' + fraction % 10);
        put('.').put(std::string_view(digits, size_t(v.decimals)));
    }
    return *this;
}

Writer& Writer::put(Bytes v) {
    static constexpr const char* kUnits[] = {" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"};
    if (v.value < 1024) return put_u64(v.value).put(kUnits[0]);
    double value = double(v.value);
    size_t unit = 0;
    while (value >= 1024) {
        value /= 1024;
        unit++;
    }
    return put(Fixed{value, value < 10 ? 2 : value < 100 ? 1 : 0}).put(kUnits[unit]);
}

Writer& Writer::put(PadLeft v) {
    for (size_t i = v.text.size(); i < v.width; i++) put(' ');
    return put(v.text);
}

Writer& Writer::put(PadRight v) {
    put(v.text);
    for (size_t i = v.text.size(); i < v.width; i++) put(' ');
    return *this;
}

namespace {

// Bytes of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none (Unicode 15,
// table 3-7).
size_t utf8_sequence(std::string_view text) {
    const auto at = [&](size_t i) { return i < text.size() ? uint8_t(text[i]) : uint8_t(0); };
    const uint8_t lead = at(0);
    if (lead < 0x80) return 1;
    const size_t n = lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
    const uint8_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const uint8_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (n == 0 || at(1) < low || at(1) > high) return 0;
    for (size_t i = 2; i < n; i++) {
        if ((at(i) & 0xc0) != 0x80) return 0;
    }
    return n;
}

}  // namespace

Writer& Writer::put(Quoted v) {
    constexpr size_t kMaxShown = 64;
    put('"');
    size_t i = 0;
    while (i < v.text.size()) {
        const size_t n = utf8_sequence({v.text.data() + i, v.text.size() - i});
        if (i + (n == 0 ? 1 : n) > kMaxShown) break;
        const uint8_t c = uint8_t(v.text[i]);
        if (n == 0 || c < 0x20 || c == 0x7f) {
            put("\\x").put(HexDigits{c, 2});
        } else {
            put(std::string_view(v.text.data() + i, n));
        }
        i += n == 0 ? 1 : n;
    }
    if (i < v.text.size()) put("...");
    return put('"');
}

bool parse_u64(std::string_view text, uint64_t* out) {
    uint64_t base = 10;
    if (text.size() > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text.remove_prefix(2);
    }
    if (text.empty()) return false;
    uint64_t value = 0;
    for (const char c : text) {
        uint64_t digit;
        if (c >= '0' && c <= '9') {
            digit = uint64_t(c - '0');
        } else if (base == 16 && (c | 32) >= 'a' && (c | 32) <= 'f') {
            digit = uint64_t((c | 32) - 'a') + 10;
        } else {
            return false;
        }
        if (__builtin_mul_overflow(value, base, &value)) return false;
        if (__builtin_add_overflow(value, digit, &value)) return false;
    }
    *out = value;
    return true;
}

bool parse_f64(std::string_view text, double* out) {
    size_t i = 0;
    const bool negative = !text.empty() && text[0] == '-';
    if (negative) i++;
    double value = 0;
    int exponent = 0;
    bool any = false;
    for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; i++, any = true) {
        value = value * 10 + (text[i] - '0');
    }
    if (i < text.size() && text[i] == '.') {
        for (i++; i < text.size() && text[i] >= '0' && text[i] <= '9'; i++, any = true) {
            value = value * 10 + (text[i] - '0');
            exponent--;
        }
    }
    if (!any) return false;
    if (i < text.size() && (text[i] | 32) == 'e') {
        i++;
        const bool negative_exponent = i < text.size() && text[i] == '-';
        if (i < text.size() && (text[i] == '-' || text[i] == '+')) i++;
        if (i == text.size()) return false;
        int e = 0;
        for (; i < text.size() && text[i] >= '0' && text[i] <= '9'; i++) {
            if (e < 10000) e = e * 10 + (text[i] - '0');
        }
        exponent += negative_exponent ? -e : e;
    }
    if (i != text.size()) return false;
    // One division or multiplication by an exact power of ten keeps short decimals correctly
    // rounded.
    while (exponent < 0 && value != 0) {
        double power = 1;
        int n = 0;
        for (; n < 22 && exponent < 0; n++, exponent++) power *= 10;
        value /= power;
    }
    for (; exponent > 0 && value != 0; exponent--) {
        value *= 10;
        if (value > 1.7e308) return false;
    }
    *out = negative ? -value : value;
    return true;
}

}  // namespace axiom
