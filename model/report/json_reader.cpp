// SPDX-License-Identifier: MIT
#include "model/report/json_reader.h"

#include <algorithm>

#include "core/fmt.h"

namespace axiom {
namespace {

constexpr size_t kShown = 16;  // bytes of what was found, in messages

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

// As UTF-8; how many bytes.
size_t put_utf8(uint32_t point, char* out) {
    if (point < 0x80) {
        out[0] = char(point);
        return 1;
    }
    const size_t n = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4;
    constexpr uint8_t kLead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; point >>= 6) out[i] = char(0x80 | (point & 0x3f));
    out[0] = char(kLead[n] | point);
    return n;
}

}  // namespace

void JsonReader::skip_blanks() {
    while (!at_end() && (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n')) {
        at_++;
    }
}

bool JsonReader::take(char c) {
    skip_blanks();
    if (at_end() || peek() != c) return false;
    at_++;
    return true;
}

Status JsonReader::unexpected(std::string_view allowed) {
    last_ = at_;
    if (at_end()) return error(Code::bad_format, "found the end, allowed ", allowed);
    const std::string_view found(text_.data() + at_, std::min(kShown, text_.size() - at_));
    return error(Code::bad_format, "found ", Quoted{found}, ", allowed ", allowed);
}

Status JsonReader::open() {
    if (!take('{')) return unexpected("a { that begins an object");
    last_ = at_ - 1;
    return {};
}

Result<bool> JsonReader::member(std::string_view* name, JsonValue* value_out) {
    if (take('}')) {
        skip_blanks();
        if (!at_end()) return unexpected("nothing after the object");
        return false;
    }
    if (!first_ && !take(',')) return unexpected("a comma or a } that ends the object");
    first_ = false;
    skip_blanks();
    const size_t begin = at_;
    if (peek() != '"') return unexpected("a name in quotes");
    if (Status s = string(name); !s.ok()) return s;
    if (!take(':')) return unexpected("a colon after the name");
    if (Status s = value(true, value_out); !s.ok()) return s;
    last_ = begin;
    return true;
}

Result<bool> JsonReader::item(JsonValue* out) {
    const bool is_first = at_ > 0 && text_[at_ - 1] == '[';
    if (take(']')) return false;
    if (!is_first && !take(',')) return unexpected("a comma or a ] that ends the list");
    if (Status s = value(false, out); !s.ok()) return s;
    return true;
}

Status JsonReader::value(bool may_be_list, JsonValue* out) {
    skip_blanks();
    last_ = at_;
    const char c = peek();
    if (c == '"') {
        out->kind = JsonValue::Kind::string;
        return string(&out->text);
    }
    if (c == '-' || is_digit(c)) return number(out);
    if (c == 't' || c == 'f' || c == 'n') return word(out);
    if (c == '[' && may_be_list) {
        at_++;
        *out = {JsonValue::Kind::list, {}};
        return {};
    }
    return unexpected(may_be_list ? "a string, a number, true, false, null or a list of these"
                                  : "a string, a number, true, false or null");
}

Status JsonReader::word(JsonValue* out) {
    for (const std::string_view word : {"true", "false", "null"}) {
        const std::string_view rest(text_.data() + at_, text_.size() - at_);
        if (!rest.starts_with(word)) continue;
        *out = {word == "null" ? JsonValue::Kind::null : JsonValue::Kind::boolean,
                {text_.data() + at_, word.size()}};
        at_ += word.size();
        return {};
    }
    return unexpected("true, false or null");
}

bool JsonReader::digits() {
    const size_t begin = at_;
    while (is_digit(peek())) at_++;
    return at_ > begin;
}

Status JsonReader::number(JsonValue* out) {
    const size_t begin = at_;
    if (peek() == '-') at_++;
    const bool zero = peek() == '0';
    if (zero) at_++;
    bool good = zero || digits();
    if (good && peek() == '.') {
        at_++;
        good = digits();
    }
    if (good && (peek() == 'e' || peek() == 'E')) {
        at_++;
        if (peek() == '+' || peek() == '-') at_++;
        good = digits();
    }
    if (!good) return unexpected("a digit");
    if (is_digit(peek())) return unexpected("no digit after a leading 0");
    *out = {JsonValue::Kind::number, {text_.data() + begin, at_ - begin}};
    return {};
}

Status JsonReader::string(std::string_view* out) {
    const size_t begin = ++at_;
    // What is written is never longer than what has been read.
    size_t end = begin;
    for (;;) {
        if (at_end()) return unexpected("a quote that ends the string");
        const char c = peek();
        if (uint8_t(c) < 0x20) return unexpected("no control character; \\n is a new line");
        if (c == '\\') {
            if (Status s = escape(&end); !s.ok()) return s;
            continue;
        }
        at_++;
        if (c == '"') break;
        text_[end++] = c;
    }
    *out = {text_.data() + begin, end - begin};
    return {};
}

bool JsonReader::code_unit(uint32_t* out) {
    if (text_.size() - at_ < 4) return false;
    uint32_t value = 0;
    for (size_t i = 0; i < 4; i++) {
        const char c = text_[at_ + i], lower = char(c | 0x20);
        const bool is_letter = lower >= 'a' && lower <= 'f';
        if (!is_digit(c) && !is_letter) return false;
        value = value * 16 + uint32_t(is_digit(c) ? c - '0' : lower - 'a' + 10);
    }
    at_ += 4;
    *out = value;
    return true;
}

Status JsonReader::escape(size_t* end) {
    struct Pair {
        char kind, meaning;
    };
    constexpr Pair kPairs[] = {{'"', '"'},  {'\\', '\\'}, {'/', '/'},  {'b', '\b'},
                               {'f', '\f'}, {'n', '\n'},  {'r', '\r'}, {'t', '\t'}};
    const size_t begin = at_++;
    for (const Pair& pair : kPairs) {
        if (at_end() || peek() != pair.kind) continue;
        at_++;
        text_[(*end)++] = pair.meaning;
        return {};
    }
    uint32_t point = 0, low = 0;
    bool good = peek() == 'u';
    if (good) {
        at_++;
        good = code_unit(&point) && (point & 0xfc00) != 0xdc00;
    }
    if (good && (point & 0xfc00) == 0xd800) {  // the first of a pair of surrogates
        good = text_.size() - at_ >= 2 && text_[at_] == '\\' && text_[at_ + 1] == 'u';
        if (good) {
            at_ += 2;
            good = code_unit(&low) && (low & 0xfc00) == 0xdc00;
        }
        point = 0x10000 + ((point & 0x3ff) << 10) + (low & 0x3ff);
    }
    if (!good) {
        at_ = begin;
        return unexpected(
            "\\\" \\\\ \\/ \\b \\f \\n \\r \\t or \\u with four hexadecimal digits, "
            "surrogates in pairs");
    }
    *end += put_utf8(point, &text_[*end]);
    return {};
}

}  // namespace axiom
