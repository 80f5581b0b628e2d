// SPDX-License-Identifier: MIT
// Where options come from: an argument list, axiom.conf, a UEFI shell command line.
// What the options are stands in option_table.cpp.
#include "model/report/options.h"

#include "model/report/option_table.h"

namespace axiom {
namespace {

bool blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// string_view's own find() and substr() call into the C and C++ libraries, which firmware has not.
std::string_view tail(std::string_view text, size_t n) {
    text.remove_prefix(n);
    return text;
}
size_t position_of(char c, std::string_view text) {
    size_t i = 0;
    while (i < text.size() && text[i] != c) i++;
    return i;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && blank(text.back())) text.remove_suffix(1);
    return text;
}

const char* place_name(uint8_t place) {
    return place == kOnEfi      ? "axiom.efi's command line"
           : place == kInConfig ? "axiom.conf"
                                : "axiom-host's command line";
}

Status misplaced(const OptionSpec& spec, std::string_view shown, uint8_t place) {
    char names[80];
    Writer allowed(names, sizeof names);
    for (const uint8_t p : {kOnEfi, kInConfig, kOnHost}) {
        if (spec.places & p) allowed.put(allowed.size() ? " and " : "").put(place_name(p));
    }
    return error(Code::bad_option, "option ", shown, ": found on ", place_name(place),
                 ", allowed on ", allowed.view(), " only");
}

Status unknown(std::string_view shown, uint8_t place) {
    const std::string_view nearest = nearest_option(shown, place);
    return error(Code::bad_option, "option: found ", Quoted{shown},
                 ", allowed the names that --help lists", nearest.empty() ? "" : "; nearest is ",
                 nearest);
}

// \n \t \r \s (a blank) \\ -> the character, in place. `length` is updated; false at a bad escape,
// with its position in *length.
bool unescape(char* text, size_t* length) {
    size_t n = 0;
    for (size_t i = 0; i < *length; i++) {
        char c = text[i];
        if (c == '\\') {
            const char kind = i + 1 < *length ? text[i + 1] : '\0';
            switch (kind) {
                case 'n':
                    c = '\n';
                    break;
                case 't':
                    c = '\t';
                    break;
                case 'r':
                    c = '\r';
                    break;
                case 's':
                    c = ' ';
                    break;
                case '\\':
                    break;
                default:
                    *length = i;
                    return false;
            }
            i++;
        }
        text[n++] = c;
    }
    *length = n;
    return true;
}

// One line of axiom.conf, already without its line end. On failure *column (0-based) says where. What it
// gives is marked in `given`, which may be nullptr.
Status parse_config_line(std::span<char> line, Options* options, Options* given, size_t* column) {
    const std::string_view whole(line.data(), line.size());
    const auto column_of = [&](std::string_view part) {
        return size_t(part.data() - whole.data());
    };
    const std::string_view content = trimmed(whole);
    *column = column_of(content);
    if (content.empty() || content[0] == '#') return {};

    size_t n_key = 0;
    while (n_key < content.size() && !blank(content[n_key])) n_key++;
    const std::string_view key = content.substr(0, n_key);
    const OptionSpec* spec = find_option_key(key);
    if (!spec) return unknown(key, kInConfig);
    if (!(spec->places & kInConfig)) return misplaced(*spec, key, kInConfig);

    std::string_view value = trimmed(tail(content, n_key));
    *column = value.empty() ? column_of(content) + n_key : column_of(value);
    if (spec->kind == OptionKind::flag && value.empty()) value = "true";
    if (spec->kind == OptionKind::text && !value.empty()) {
        char* text = line.data() + *column;
        size_t length = value.size();
        if (!unescape(text, &length)) {
            *column += length;
            return error(Code::bad_option, "option ", key, ": found ",
                         Quoted{tail(whole, *column).substr(0, 2)},
                         ", allowed \\n, \\t, \\r, \\s for a blank and \\\\");
        }
        value = std::string_view(text, length);
    }
    if (given != nullptr) {
        const auto i = size_t(spec - option_table().data());
        given->fixed[i / 64] |= uint64_t{1} << i % 64;
    }
    return set_option(*spec, key, value, options);
}

// -t and threads= of --bench are one setting. Between sources the later one wins; within one they
// must agree.
void forget_threads(Options* parsed) {
    parsed->n_threads = kThreadsNotGiven;
    parsed->bench.n_threads = {};
}

// "1,2"
Text<16 * BenchList::kMax> text_of(const BenchList& list) {
    char text[16 * BenchList::kMax];
    Writer w(text, sizeof text);
    for (const uint32_t n : list) w.put(w.size() != 0 ? "," : "").put(n);
    return Text<16 * BenchList::kMax>(w.view());
}

Status join_threads(const Options& before, Options* parsed) {
    const uint32_t t = parsed->n_threads;
    BenchList& threads = parsed->bench.n_threads;
    if (t != kThreadsNotGiven && threads.n != 0 && threads != BenchList(t)) {
        return error(Code::bad_option, "option --bench: found threads=", text_of(threads).view(),
                     ", allowed ", t, " as -t says, or only one of the two");
    }
    if (t != kThreadsNotGiven) {
        threads = t;
    } else if (threads.n == 0) {
        parsed->n_threads = before.n_threads;
        threads = before.bench.n_threads;
    } else {
        bool all = false;
        for (const uint32_t n : threads) all = all || n == 0;
        parsed->n_threads = all ? 0 : threads.most();
    }
    const bool differs = parsed->n_threads != before.n_threads || threads != before.bench.n_threads;
    if (before.has_fixed_threads && differs) {
        return error(Code::bad_option, "option -t, or threads= of --bench: found another than ",
                     text_of(before.bench.n_threads).view(),
                     ", allowed only what the image itself says, whose policy fixes it");
    }
    return {};
}

}  // namespace

Status parse_arguments(std::span<const std::string_view> arguments, Source source,
                       Options* options) {
    const uint8_t place = place_of(source);
    Options parsed = *options;  // all or nothing
    forget_threads(&parsed);
    for (size_t i = 0; i < arguments.size(); i++) {
        const std::string_view word = arguments[i];
        if (word.size() < 2 || word[0] != '-') {
            return error(Code::bad_option, "option: found ", Quoted{word},
                         ", allowed names beginning with - (the prompt follows -p)");
        }
        const size_t equals = word.starts_with("--") ? position_of('=', word) : word.size();
        const bool has_value = equals < word.size();
        const std::string_view name = word.substr(0, equals);
        const OptionSpec* spec = find_option(name, place);
        if (!spec) return unknown(name, place);
        if (!(spec->places & place)) return misplaced(*spec, name, place);

        std::string_view value;
        if (has_value) {
            value = tail(word, equals + 1);
        } else if (spec->kind == OptionKind::flag) {
            value = "true";
        } else if (++i < arguments.size()) {
            value = arguments[i];
        } else {
            return error(Code::bad_option, "option ", name, ": found nothing after it, allowed ",
                         spec->value);
        }
        if (Status s = set_option(*spec, name, value, &parsed); !s.ok()) return s;
    }
    if (Status s = join_threads(*options, &parsed); !s.ok()) return s;
    *options = parsed;
    return {};
}

namespace {

// `given` as parse_config_line() takes it.
Status parse_lines(std::string_view file, std::span<char> text, Options* options, Options* given) {
    static constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    Options parsed = *options;
    forget_threads(&parsed);
    size_t begin = std::string_view(text.data(), text.size()).starts_with(kByteOrderMark) ? 3 : 0;
    for (size_t n_line = 1; begin < text.size(); n_line++) {
        size_t end = begin;
        while (end < text.size() && text[end] != '\n' && text[end] != '\0') end++;
        if (end < text.size() && text[end] == '\0') {
            return error(Code::bad_option, file, ": line ", n_line, ", column ", end - begin + 1,
                         ": found a NUL byte, allowed UTF-8 text");
        }
        size_t column = 0;
        const Status s =
            parse_config_line(text.subspan(begin, end - begin), &parsed, given, &column);
        if (!s.ok()) {
            return error(s.code(), file, ": line ", n_line, ", column ", column + 1, ": ",
                         s.text());
        }
        begin = end + 1;
    }
    const bool gives_threads =
        parsed.n_threads != kThreadsNotGiven || parsed.bench.n_threads.n != 0;
    if (Status s = join_threads(*options, &parsed); !s.ok())
        return error(s.code(), file, ": ", s.text());
    if (given != nullptr && gives_threads) parsed.has_fixed_threads = true;
    *options = parsed;
    return {};
}

}  // namespace

Status parse_config(std::string_view file, std::span<char> text, Options* options) {
    return parse_lines(file, text, options, nullptr);
}

Status parse_policy(std::string_view name, std::span<char> text, Options* options) {
    Options given;
    if (Status s = parse_lines(name, text, options, &given); !s.ok()) return s;
    for (size_t i = 0; i < std::size(given.fixed); i++) options->fixed[i] |= given.fixed[i];
    return {};
}

Status set_option_by_name(std::string_view name, std::string_view shown, std::string_view value,
                          Options* options) {
    const OptionSpec* const spec = find_option(name, kEverywhere);
    AXIOM_CHECK(spec != nullptr);
    return set_option(*spec, shown, value, options);
}

Result<size_t> split_command_line(std::span<char> text, std::span<std::string_view> out) {
    size_t n_arguments = 0;
    size_t read = 0;
    while (true) {
        while (read < text.size() && (blank(text[read]) || text[read] == '\n')) read++;
        if (read == text.size()) return n_arguments;
        if (n_arguments == out.size()) {
            return error(Code::bad_option, "command line: found more than ", out.size(),
                         " arguments, allowed at most ", out.size());
        }
        // Quotes and carets go, so that the argument is never longer than what it is written over.
        const size_t begin = read;
        size_t write = begin;
        size_t open_quote = 0;
        bool quoted = false;
        for (; read < text.size(); read++) {
            char c = text[read];
            if (c == '"') {
                quoted = !quoted;
                open_quote = read;
                continue;
            }
            if (c == '^') {
                if (++read == text.size()) {
                    return error(Code::bad_option, "command line: found ^ at column ", read,
                                 ", the last, allowed a character after it");
                }
                c = text[read];
            } else if (!quoted && (blank(c) || c == '\n')) {
                break;
            }
            text[write++] = c;
        }
        if (quoted) {
            return error(Code::bad_option, "command line: found a quote opened at column ",
                         open_quote + 1, " and never closed, allowed pairs of quotes");
        }
        out[n_arguments++] = std::string_view(text.data() + begin, write - begin);
    }
}

}  // namespace axiom
