// SPDX-License-Identifier: MIT
// The pre-tokenizers' regular expressions as scanners over code points.
#include "model/text/pretokenizer.h"

#include "model/text/unicode.h"

namespace axiom {

namespace {

struct Char {
    uint32_t value = 0;
    CharClass kind = CharClass::none;
    size_t next = 0;  // offset of the character after it
};

Char char_at(std::string_view text, size_t at, size_t end) {
    if (at >= end) return {0, CharClass::none, end};
    const CodePoint c = decode_utf8(text, at);
    return {c.value, char_class(c.value), at + c.n_bytes};
}

// [^\s\p{L}\p{N}], and not the end of the text.
bool is_symbol(CharClass kind) {
    return kind == CharClass::other || kind == CharClass::punctuation;
}

template <class Wanted>
size_t run_end(std::string_view text, size_t at, size_t end, Wanted wanted) {
    for (Char c = char_at(text, at, end); at < end && wanted(c); c = char_at(text, at, end))
        at = c.next;
    return at;
}

size_t class_run_end(std::string_view text, size_t at, size_t end, CharClass kind) {
    return run_end(text, at, end, [kind](const Char& c) { return c.kind == kind; });
}

// Bytes of 's 't 're 've 'm 'll 'd at an apostrophe, or 0.
size_t contraction_bytes(std::string_view text, size_t at, size_t end, bool any_case) {
    const auto letter = [&](size_t i) -> char {
        if (at + i >= end) return '\0';
        const char c = text[at + i];
        return any_case && c >= 'A' && c <= 'Z' ? char(c | 0x20) : c;
    };
    if (letter(0) != '\'') return 0;
    const char a = letter(1), b = letter(2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

// \s+(?!\S)|\s+ at a blank: a run that something follows leaves its last blank to it.
size_t blanks_end(std::string_view text, size_t at, size_t end) {
    size_t last = at, stop = at;
    for (Char c = char_at(text, at, end); c.kind == CharClass::space;
         c = char_at(text, stop, end)) {
        last = stop;
        stop = c.next;
    }
    return stop < end && last > at ? last : stop;
}

// 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
size_t gpt2_end(std::string_view text, size_t at, size_t end) {
    if (const size_t n = contraction_bytes(text, at, end, false)) return at + n;
    const Char first = char_at(text, at, end);
    const size_t start = first.value == ' ' ? first.next : at;
    const Char c = char_at(text, start, end);
    if (c.kind == CharClass::letter || c.kind == CharClass::number) {
        return class_run_end(text, start, end, c.kind);
    }
    if (is_symbol(c.kind)) {
        return run_end(text, start, end, [](const Char& s) { return is_symbol(s.kind); });
    }
    return blanks_end(text, at, end);
}

// (?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*
// |\s*[\r\n]+|\s+(?!\S)|\s+
size_t llama_bpe_end(std::string_view text, size_t at, size_t end) {
    if (const size_t n = contraction_bytes(text, at, end, true)) return at + n;
    const auto is_newline = [](const Char& c) { return c.value == '\r' || c.value == '\n'; };
    const Char first = char_at(text, at, end);
    if (!is_newline(first) && first.kind != CharClass::number) {
        const Char second = char_at(text, first.next, end);
        if (first.kind == CharClass::letter || second.kind == CharClass::letter) {
            return class_run_end(text, first.next, end, CharClass::letter);
        }
    }
    if (first.kind == CharClass::number) {
        size_t stop = first.next;
        for (int n = 1; n < 3; n++) {
            const Char c = char_at(text, stop, end);
            if (c.kind != CharClass::number) break;
            stop = c.next;
        }
        return stop;
    }
    const size_t start = first.value == ' ' ? first.next : at;
    if (is_symbol(char_at(text, start, end).kind)) {
        const size_t stop =
            run_end(text, start, end, [](const Char& s) { return is_symbol(s.kind); });
        return run_end(text, stop, end, is_newline);
    }
    size_t after_newline = at;
    for (size_t i = at; i < end;) {
        const Char c = char_at(text, i, end);
        if (c.kind != CharClass::space) break;
        i = c.next;
        if (is_newline(c)) after_newline = i;
    }
    return after_newline > at ? after_newline : blanks_end(text, at, end);
}

// [\p{P}\$\+<=>\^~\|]
bool is_default_punctuation(const Char& c) {
    switch (c.value) {
        case '$':
        case '+':
        case '<':
        case '=':
        case '>':
        case '^':
        case '~':
        case '|':
            return true;
        default:
            return c.kind == CharClass::punctuation;
    }
}

// End of the maximal run of characters that agree with the first about `wanted`.
template <class Wanted>
size_t alternating_end(std::string_view text, size_t at, size_t end, Wanted wanted) {
    const bool first = wanted(char_at(text, at, end));
    return run_end(text, at, end, [&](const Char& c) { return wanted(c) == first; });
}

bool is_number(const Char& c) {
    return c.kind == CharClass::number;
}

// [0-9][0-9][0-9] isolated: the end of a match at `at`, or the start of the next one.
size_t digit_triple_end(std::string_view text, size_t at, size_t end) {
    size_t n_digits = 0;
    for (size_t i = at; i < end; i++) {
        n_digits = text[i] >= '0' && text[i] <= '9' ? n_digits + 1 : 0;
        if (n_digits == 3) return i - at == 2 ? i + 1 : i - 2;
    }
    return end;
}

}  // namespace

// Four expressions in turn: punctuation runs; GPT-2's; number runs; triples of ASCII digits.
size_t WordScanner::default_end() {
    if (at_ == outer_end_)
        outer_end_ = alternating_end(text_, at_, text_.size(), is_default_punctuation);
    if (at_ == word_end_) word_end_ = gpt2_end(text_, at_, outer_end_);
    if (at_ == run_end_) run_end_ = alternating_end(text_, at_, word_end_, is_number);
    return digit_triple_end(text_, at_, run_end_);
}

bool WordScanner::next(std::string_view* word) {
    if (at_ >= text_.size()) return false;
    size_t end = 0;
    switch (kind_) {
        case format::PreTokenizer::default_:
            end = default_end();
            break;
        case format::PreTokenizer::gpt2:
            end = gpt2_end(text_, at_, text_.size());
            break;
        case format::PreTokenizer::smollm: {  // \p{N} isolated, then GPT-2's
            const Char c = char_at(text_, at_, text_.size());
            if (is_number(c)) {
                end = outer_end_ = c.next;
            } else {
                if (at_ == outer_end_)
                    outer_end_ = alternating_end(text_, at_, text_.size(), is_number);
                end = gpt2_end(text_, at_, outer_end_);
            }
            break;
        }
        case format::PreTokenizer::llama_bpe:
            end = llama_bpe_end(text_, at_, text_.size());
            break;
    }
    *word = {text_.data() + at_, end - at_};
    at_ = end;
    return true;
}

}  // namespace axiom
