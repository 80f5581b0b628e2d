// SPDX-License-Identifier: MIT
// The pre-tokenizers' regular expressions as one scanner over code points and a table of what
// distinguishes them.
#include "model/text/pretokenizer.h"

#include <iterator>

#include "model/text/unicode.h"

namespace axiom {

namespace {

using format::PreTokenizer;

// The alternatives of a word expression, tried in this order:
//     contraction  lead? letters+ contraction?  numbers  ' '? symbols+ after_symbols*
//     \s*[\r\n]+  \s+(?!\S)  \s+
// where symbols are [^\s\p{L}\p{N}].
struct WordRule {
    // 's 't 're 've 'm 'll 'd: as words of their own, or as the end of a word of letters.
    enum class Contraction : uint8_t { none, own_lower_case, own, ends_letters };
    // \p{L}+, [\p{L}\p{M}]+ (then marks are no symbols), or [^a-z]*[^A-Z]+|[^a-z]+[^A-Z]* of \p{L}.
    enum class Letters : uint8_t { all, with_marks, by_case };

    Contraction contraction;
    bool any_lead;  // letters take [^\r\n\p{L}\p{N}] before them, not only a blank
    Letters letters;
    uint8_t max_numbers;             // \p{N}{1,max_numbers}; 0: ' '?\p{N}+
    std::string_view after_symbols;  // ASCII characters
    bool newlines;                   // whether \s*[\r\n]+ is an alternative
};
using Contraction = WordRule::Contraction;
using Letters = WordRule::Letters;

constexpr WordRule kGpt2 = {.contraction = Contraction::own_lower_case,
                            .any_lead = false,
                            .letters = Letters::all,
                            .max_numbers = 0,
                            .after_symbols = "",
                            .newlines = false};
constexpr WordRule kLlama3 = {.contraction = Contraction::own,
                              .any_lead = true,
                              .letters = Letters::all,
                              .max_numbers = 3,
                              .after_symbols = "\r\n",
                              .newlines = true};
constexpr WordRule kQwen2 = {.contraction = Contraction::own,
                             .any_lead = true,
                             .letters = Letters::all,
                             .max_numbers = 1,
                             .after_symbols = "\r\n",
                             .newlines = true};
constexpr WordRule kQwen35 = {.contraction = Contraction::own,
                              .any_lead = true,
                              .letters = Letters::with_marks,
                              .max_numbers = 1,
                              .after_symbols = "\r\n",
                              .newlines = true};
constexpr WordRule kTekken = {.contraction = Contraction::none,
                              .any_lead = true,
                              .letters = Letters::by_case,
                              .max_numbers = 1,
                              .after_symbols = "\r\n/",
                              .newlines = true};
constexpr WordRule kGpt4o = {.contraction = Contraction::ends_letters,
                             .any_lead = true,
                             .letters = Letters::by_case,
                             .max_numbers = 3,
                             .after_symbols = "\r\n/",
                             .newlines = true};

// What one cut does with a piece.
enum class Cut : uint8_t {
    none,
    words,             // by the kind's rule
    punctuation_runs,  // [\p{P}\$\+<=>\^~\|]+ and what lies between
    number_runs,       // \p{N}+ and what lies between
    single_numbers,    // \p{N} and what lies between
    digit_triples,     // [0-9][0-9][0-9] and what lies between
};

struct Kind {
    std::string_view name;
    WordRule rule;
    Cut cuts[WordScanner::kMaxCuts];
};

// In the order of format::PreTokenizer.
constexpr Kind kKinds[] = {
    {"default", kGpt2, {Cut::punctuation_runs, Cut::words, Cut::number_runs, Cut::digit_triples}},
    {"gpt2", kGpt2, {Cut::words}},
    {"smollm", kGpt2, {Cut::single_numbers, Cut::words}},
    {"llama-bpe", kLlama3, {Cut::words}},
    {"qwen2", kQwen2, {Cut::words}},
    {"qwen35", kQwen35, {Cut::words}},
    {"tekken", kTekken, {Cut::words}},
    {"gpt4o", kGpt4o, {Cut::words}},
};
static_assert(std::size(kKinds) == format::kPreTokenizers);
static_assert(kKinds[size_t(PreTokenizer::gpt4o)].name == "gpt4o");

struct Char {
    uint32_t value = 0;
    CharClass kind = CharClass::none;
    size_t next = 0;  // offset of the character after it
};

// The functions below take a piece of the text; nothing outside it is looked at.
Char char_at(std::string_view piece, size_t at) {
    if (at >= piece.size()) return {0, CharClass::none, piece.size()};
    const CodePoint c = decode_utf8(piece, at);
    return {c.value, char_class(c.value), at + c.n_bytes};
}

bool is_newline(const Char& c) {
    return c.value == '\r' || c.value == '\n';
}

bool is_number(const Char& c) {
    return c.kind == CharClass::number;
}

bool is_lower_ascii(const Char& c) {
    return c.value >= 'a' && c.value <= 'z';
}

bool is_upper_ascii(const Char& c) {
    return c.value >= 'A' && c.value <= 'Z';
}

bool is_letter(const WordRule& rule, const Char& c) {
    return c.kind == CharClass::letter ||
           (c.kind == CharClass::mark && rule.letters == Letters::with_marks);
}

bool is_symbol(const WordRule& rule, const Char& c) {
    switch (c.kind) {
        case CharClass::other:
        case CharClass::punctuation:
            return true;
        case CharClass::mark:
            return rule.letters != Letters::with_marks;
        default:
            return false;
    }
}

// Whether c may stand before the letters of a word.
bool is_lead(const WordRule& rule, const Char& c) {
    if (!rule.any_lead) return c.value == ' ';
    return !is_newline(c) && c.kind != CharClass::letter && c.kind != CharClass::number;
}

template <class Wanted>
size_t run_end(std::string_view piece, size_t at, Wanted wanted) {
    for (Char c = char_at(piece, at); c.kind != CharClass::none && wanted(c);
         c = char_at(piece, at)) {
        at = c.next;
    }
    return at;
}

// End of the longest run of characters that agree with the first about `wanted`.
template <class Wanted>
size_t alternating_end(std::string_view piece, size_t at, Wanted wanted) {
    const bool first = wanted(char_at(piece, at));
    return run_end(piece, at, [&](const Char& c) { return wanted(c) == first; });
}

// Bytes of a contraction at an apostrophe, or 0.
size_t contraction_bytes(std::string_view piece, size_t at, bool any_case) {
    const auto letter = [&](size_t i) -> char {
        if (at + i >= piece.size()) return '\0';
        const char c = piece[at + i];
        return any_case && c >= 'A' && c <= 'Z' ? char(c | 0x20) : c;
    };
    if (letter(0) != '\'') return 0;
    const char a = letter(1), b = letter(2);
    if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
    if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
    return 0;
}

// [^a-z]*[^A-Z]+|[^a-z]+[^A-Z]* of letters, as a regular expression matches it: letters outside
// ASCII belong to both sets, and the first alternative gives characters back to succeed.
size_t by_case_end(std::string_view piece, size_t at) {
    size_t after_caseless = at;  // after the last letter that is in both sets
    for (Char c = char_at(piece, at); c.kind == CharClass::letter; c = char_at(piece, at)) {
        if (is_lower_ascii(c)) {
            return run_end(piece, at, [](const Char& l) {
                return l.kind == CharClass::letter && !is_upper_ascii(l);
            });
        }
        at = c.next;
        if (!is_upper_ascii(c)) after_caseless = at;
    }
    return after_caseless;
}

size_t letters_end(const WordRule& rule, std::string_view piece, size_t at) {
    if (rule.letters != Letters::by_case) {
        return run_end(piece, at, [&](const Char& c) { return is_letter(rule, c); });
    }
    size_t end = by_case_end(piece, at);
    if (end == at) end = run_end(piece, at, is_upper_ascii);
    return rule.contraction == Contraction::ends_letters ? end + contraction_bytes(piece, end, true)
                                                         : end;
}

size_t numbers_end(const WordRule& rule, std::string_view piece, size_t at) {
    size_t n = 0;
    return run_end(piece, at, [&](const Char& c) {
        return is_number(c) && (rule.max_numbers == 0 || n++ < rule.max_numbers);
    });
}

size_t symbols_end(const WordRule& rule, std::string_view piece, size_t at) {
    const size_t end = run_end(piece, at, [&](const Char& c) { return is_symbol(rule, c); });
    return run_end(piece, end, [&](const Char& c) {
        for (const char allowed : rule.after_symbols) {
            if (c.value == uint32_t(allowed)) return true;
        }
        return false;
    });
}

// At white space. A run that something follows leaves its last character to it.
size_t space_end(const WordRule& rule, std::string_view piece, size_t at) {
    size_t last = at, stop = at, after_newline = at;
    for (Char c = char_at(piece, at); c.kind == CharClass::space; c = char_at(piece, stop)) {
        last = stop;
        stop = c.next;
        if (is_newline(c)) after_newline = stop;
    }
    if (rule.newlines && after_newline > at) return after_newline;
    return stop < piece.size() && last > at ? last : stop;
}

size_t word_end(const WordRule& rule, std::string_view piece, size_t at) {
    if (rule.contraction == Contraction::own || rule.contraction == Contraction::own_lower_case) {
        const size_t n = contraction_bytes(piece, at, rule.contraction == Contraction::own);
        if (n > 0) return at + n;
    }
    const Char first = char_at(piece, at);
    const size_t after_lead = is_lead(rule, first) ? first.next : at;
    const size_t letters = is_letter(rule, first) ? at : after_lead;
    if (is_letter(rule, char_at(piece, letters))) return letters_end(rule, piece, letters);

    const size_t after_blank = first.value == ' ' ? first.next : at;
    const size_t numbers = rule.max_numbers == 0 ? after_blank : at;
    if (is_number(char_at(piece, numbers))) return numbers_end(rule, piece, numbers);
    if (is_symbol(rule, char_at(piece, after_blank))) return symbols_end(rule, piece, after_blank);
    return space_end(rule, piece, at);
}

bool is_default_punctuation(const Char& c) {
    constexpr std::string_view kMore = "$+<=>^~|";
    for (const char more : kMore) {
        if (c.value == uint32_t(more)) return true;
    }
    return c.kind == CharClass::punctuation;
}

// The end of three digits at `at`, or else the start of the next three.
size_t digit_triple_end(std::string_view piece, size_t at) {
    size_t n_digits = 0;
    for (size_t i = at; i < piece.size(); i++) {
        n_digits = piece[i] >= '0' && piece[i] <= '9' ? n_digits + 1 : 0;
        if (n_digits == 3) return i - at == 2 ? i + 1 : i - 2;
    }
    return piece.size();
}

size_t cut_end(const Kind& kind, Cut cut, std::string_view piece, size_t at) {
    switch (cut) {
        case Cut::words:
            return word_end(kind.rule, piece, at);
        case Cut::punctuation_runs:
            return alternating_end(piece, at, is_default_punctuation);
        case Cut::number_runs:
            return alternating_end(piece, at, is_number);
        case Cut::single_numbers: {
            const Char first = char_at(piece, at);
            return is_number(first) ? first.next : alternating_end(piece, at, is_number);
        }
        case Cut::digit_triples:
            return digit_triple_end(piece, at);
        case Cut::none:
            break;
    }
    return piece.size();
}

}  // namespace

std::string_view pre_tokenizer_name(PreTokenizer kind) {
    return size_t(kind) < std::size(kKinds) ? kKinds[size_t(kind)].name : "unknown";
}

bool WordScanner::next(std::string_view* word) {
    if (at_ >= text_.size()) return false;
    const Kind& kind = kKinds[size_t(kind_)];
    size_t end = text_.size();
    for (size_t i = 0; i < kMaxCuts; i++) {
        // A cut whose piece goes on is not asked again.
        if (at_ == end_[i]) end_[i] = cut_end(kind, kind.cuts[i], {text_.data(), end}, at_);
        end = end_[i];
    }
    *word = {text_.data() + at_, end - at_};
    at_ = end;
    return true;
}

}  // namespace axiom
