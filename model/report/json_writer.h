// SPDX-License-Identifier: MIT
// JSON text (RFC 8259) into a sink, piece by piece.
// Must not know: what is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/utf8.h"

namespace axiom {

using TextSink = void (*)(void* context, std::string_view text);

// Collects text and hands it to the sink in larger pieces; the rest when it is destroyed.
class JsonWriter {
  public:
    JsonWriter(TextSink write, void* context) : write_(write), context_(context) {}
    JsonWriter(const JsonWriter&) = delete;
    JsonWriter& operator=(const JsonWriter&) = delete;
    ~JsonWriter() { flush(); }

    void put(std::string_view text);
    // JSON is UTF-8 (section 8.1): what is none becomes U+FFFD.
    void string(std::string_view text) {
        begin_string();
        string_part(text);
        end_string();
    }
    // The same for a text that comes in parts, which may end inside a character.
    void begin_string() { put("\""); }
    void string_part(std::string_view text);
    void end_string();
    // null unless finite.
    void number(double value, int decimals);
    void number(uint64_t value);
    // "name": after a comma where one is needed.
    void name(std::string_view text);
    void open(std::string_view bracket) {
        put(bracket);
        first_ = true;
    }
    void close(std::string_view bracket) {
        put(bracket);
        first_ = false;
    }

  private:
    void flush();
    void put_character(std::string_view c);

    TextSink write_;
    void* context_;
    char buffer_[256];
    size_t n_ = 0;
    bool first_ = true;
    Utf8Stream characters_;
};

}  // namespace axiom
