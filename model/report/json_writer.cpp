// SPDX-License-Identifier: MIT
#include "model/report/json_writer.h"

#include "core/fmt.h"

namespace axiom {

void JsonWriter::put(std::string_view text) {
    for (const char c : text) {
        if (n_ == sizeof buffer_) flush();
        buffer_[n_++] = c;
    }
}

void JsonWriter::flush() {
    if (n_ != 0) write_(context_, std::string_view(buffer_, n_));
    n_ = 0;
}

void JsonWriter::put_character(std::string_view c) {
    const uint8_t byte = uint8_t(c[0]);
    if (byte == '"' || byte == '\\') put("\\");
    if (byte < 0x20 || byte == 0x7f) return put(Text<8>("\\u", HexDigits{byte, 4}));
    put(c);
}

void JsonWriter::string_part(std::string_view text) {
    characters_.put(text, [&](std::string_view c) { put_character(c); });
}

void JsonWriter::end_string() {
    characters_.finish([&](std::string_view c) { put_character(c); });
    put("\"");
}

void JsonWriter::number(double value, int decimals) {
    // Subtracting a non-finite number from itself does not give zero.
    if (!(value - value == 0)) return put("null");
    put(Text<48>(Fixed{value, decimals}));
}

void JsonWriter::number(uint64_t value) {
    put(Text<24>(value));
}

void JsonWriter::name(std::string_view text) {
    if (!first_) put(",");
    first_ = false;
    put("\"");
    put(text);
    put("\":");
}

}  // namespace axiom
