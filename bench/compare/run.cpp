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
