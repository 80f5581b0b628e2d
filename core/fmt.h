// SPDX-License-Identifier: MIT
// Numbers and text into a caller's buffer. No allocation, no locale, no libc.
// Output that does not fit is dropped at a UTF-8 boundary and truncated() says so.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace axiom {

struct Hex {
    uint64_t value;
    int min_digits = 1;
};  // 0x...
struct HexDigits {
    uint64_t value;
    int min_digits = 1;
};  // no prefix
struct Fixed {
    double value;
    int decimals;
};  // 12.345; "nan", "inf" by name
struct Bytes {
    uint64_t value;
};  // 512 B, 93.8 MiB: three significant digits
struct PadLeft {
    std::string_view text;
    size_t width;
};  // right-aligned
struct PadRight {
    std::string_view text;
    size_t width;
};  // left-aligned
struct Quoted {
    std::string_view text;
};  // "..." with \xNN for control and wrong UTF-8 bytes, cut after 64 bytes; backslashes stay,
    // as they separate the parts of UEFI paths

class Writer {
  public:
    Writer(char* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) {}

    Writer& put(std::string_view text);
    Writer& put(const char* text) { return put(std::string_view(text)); }
    Writer& put(char c) { return put(std::string_view(&c, 1)); }
    Writer& put(bool b) { return put(b ? std::string_view("true") : std::string_view("false")); }
    template <std::unsigned_integral T>
    Writer& put(T v) {
        return put_u64(v);
    }
    template <std::signed_integral T>
    Writer& put(T v) {
        return put_i64(v);
    }
    Writer& put(double v) { return put(Fixed{v, 3}); }
    Writer& put(Hex v);
    Writer& put(HexDigits v);
    Writer& put(Fixed v);
    Writer& put(Bytes v);
    Writer& put(PadLeft v);
    Writer& put(PadRight v);
    Writer& put(Quoted v);

    std::string_view view() const { return {buffer_, length_}; }
    size_t size() const { return length_; }
    bool truncated() const { return truncated_; }
    void clear() {
        length_ = 0;
        truncated_ = false;
    }

  private:
    Writer& put_u64(uint64_t v);
    Writer& put_i64(int64_t v);

    char* buffer_;
    size_t capacity_;
    size_t length_ = 0;
    bool truncated_ = false;
};

// A small formatted text as a value: Text<32> t(Fixed{x, 2}, " GB/s"); t.view().
template <size_t N>
class Text {
  public:
    template <class... Parts>
    explicit Text(const Parts&... parts) {
        Writer w(buffer_, N);
        (w.put(parts), ...);
        length_ = w.size();
    }
    std::string_view view() const { return {buffer_, length_}; }
    operator std::string_view() const { return view(); }

  private:
    char buffer_[N];
    size_t length_ = 0;
};

// Decimal, or hexadecimal after 0x. Whole text must be consumed; false on overflow or junk.
[[nodiscard]] bool parse_u64(std::string_view text, uint64_t* out);
// [-]digits[.digits][e[-]digits]; false on junk or overflow. Up to 15 digits with a decimal
// exponent within +-22 are correctly rounded; longer ones are within a few ulp.
[[nodiscard]] bool parse_f64(std::string_view text, double* out);

}  // namespace axiom
