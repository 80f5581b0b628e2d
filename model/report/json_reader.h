// SPDX-License-Identifier: MIT
// Reads one flat JSON object (RFC 8259): its values are strings, numbers, true, false, null, and
// lists of these. Every byte is hostile; nothing is allocated.
// Must not know: which members an object should have.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"

namespace axiom {

struct JsonValue {
    enum class Kind : uint8_t { null, boolean, number, string, list };
    Kind kind = Kind::null;
    // A string's characters; numbers, true, false and null as they stand; of a list nothing.
    std::string_view text;
};

// Names and strings view into the text, where their escapes have been replaced in place. Bytes that
// are not UTF-8 are taken as they are. Errors are bad_format, "found ..., allowed ...", and end the
// reading; column() says where.
class JsonReader {
  public:
    explicit JsonReader(std::span<char> text) : text_(text) {}

    // The brace that an object begins with.
    Status open();
    // The next member; false at the closing brace, after which there were only blanks.
    Result<bool> member(std::string_view* name, JsonValue* value);
    // The next value of the list that member() has just given; false at its end. A list has to be
    // read to its end before the next member.
    Result<bool> item(JsonValue* value);

    // Where the member or item that was read last begins, or what was wrong; counted from 1.
    size_t column() const { return last_ + 1; }

  private:
    bool at_end() const { return at_ == text_.size(); }
    char peek() const { return at_end() ? '\0' : text_[at_]; }
    void skip_blanks();
    // Skips blanks, then `c` if it is there.
    bool take(char c);
    Status unexpected(std::string_view allowed);

    Status value(bool may_be_list, JsonValue* out);
    Status string(std::string_view* out);
    Status number(JsonValue* out);
    Status word(JsonValue* out);
    // What follows a backslash, as UTF-8 at text_[*end].
    Status escape(size_t* end);
    // Four hexadecimal digits.
    bool code_unit(uint32_t* out);
    bool digits();

    std::span<char> text_;
    size_t at_ = 0, last_ = 0;
    bool first_ = true;
};

}  // namespace axiom
