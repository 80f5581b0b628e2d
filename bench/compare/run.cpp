// SPDX-License-Identifier: MIT
#include "bench/compare/run.h"

#include <algorithm>
#include <cctype>

namespace axiom::compare {
namespace {

// "Q4_K - Medium" is "Q4_K_M".
std::string short_format(std::string_view format) {
    std::string out;
    for (size_t i = 0; i < format.size(); i++) {
        if (format.substr(i, 3) == " - " && i + 3 < format.size()) {
            out += '_';
            out += char(std::toupper(static_cast<unsigned char>(format[i + 3])));
            break;
        }
        out += char(std::toupper(static_cast<unsigned char>(format[i])));
    }
    return out;
}

}  // namespace

std::string Test::name() const {
    const auto text = [](uint64_t n) { return std::to_string(n); };
    switch (kind) {
        case Kind::prompt:
            return "pp" + text(n_prompt) + (n_depth != 0 ? " @ d" + text(n_depth) : "");
        case Kind::generation:
            return "tg" + text(n_gen) + (n_sequences != 1 ? " x" + text(n_sequences) : "") +
                   (n_depth != 0 ? " @ d" + text(n_depth) : "");
        case Kind::both:
            return "pp" + text(n_prompt) + "+tg" + text(n_gen) +
                   (n_depth != 0 ? " @ d" + text(n_depth) : "");
        case Kind::answer:
            return "answer " + text(n_prompt) + "+" + text(n_gen);
        case Kind::many:
            return text(n_prompt) + " prompts, " + text(n_gen) + " tokens";
    }
    return {};
}

bool parse_test(const std::string& name, Test* test) {
    std::string letters;  // without blanks
    std::vector<uint64_t> numbers;
    for (size_t i = 0; i < name.size();) {
        if (std::isdigit(static_cast<unsigned char>(name[i]))) {
            uint64_t n = 0;
            for (; i < name.size() && std::isdigit(static_cast<unsigned char>(name[i])); i++)
                n = std::min<uint64_t>(n * 10 + uint64_t(name[i] - '0'), uint64_t{1} << 32);
            numbers.push_back(n);
            letters += '#';
        } else {
            if (name[i] != ' ') letters += name[i];
            i++;
        }
    }
    *test = {};
    test->kind = letters[0] == 't' ? Test::Kind::generation : Test::Kind::prompt;
    (test->kind == Test::Kind::prompt ? test->n_prompt : test->n_gen) =
        numbers.empty() ? 0 : numbers[0];
    if (letters == "pp#" || letters == "tg#") return true;
    if (letters == "tg#x#") test->n_sequences = numbers[1];
    if (letters == "tg#@d#" || letters == "pp#@d#" || letters == "tg#@pp#")
        test->n_depth = numbers[1];
    if (letters == "tg#x#@d#") test->n_sequences = numbers[1], test->n_depth = numbers[2];
    if (letters == "pp#+tg#") test->kind = Test::Kind::both, test->n_gen = numbers[1];
    return test->n_depth != 0 || test->n_sequences > 1 || test->n_gen != 0;
}

std::string Model::name() const {
    const std::string stored = short_format(format);
    return file.find(stored) != std::string::npos || stored.empty() ? file : file + " " + stored;
}

bool Model::same_as(const Model& other) const {
    if (!checksum.empty() && !other.checksum.empty()) return checksum == other.checksum;
    if (short_format(format) != short_format(other.format)) return false;
    return file == other.file || (n_params != 0 && n_params == other.n_params);
}

}  // namespace axiom::compare
