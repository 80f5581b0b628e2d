// SPDX-License-Identifier: MIT
// Reads the hyper-parameters of a GGUF, each under its architecture's prefix, each within limits.
// Remembers what was missing and taken by default, for the person packing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "packer/gguf.h"

namespace axiom::packer {

class Keys {
  public:
    Keys(const gguf::File& file, std::string_view architecture)
        : file_(file), prefix_(std::string(architecture) + ".") {}

    const gguf::File& file() const { return file_; }
    std::string_view prefix() const { return prefix_; }
    std::string name(std::string_view stem) const { return prefix_ + std::string(stem); }
    bool has(std::string_view stem) const { return file_.find(name(stem)) != nullptr; }

    // An integer within [low, high]. Without a fallback a missing key is not_found.
    Status count(std::string_view stem, uint32_t low, uint32_t high,
                 std::optional<uint32_t> fallback, uint32_t* out) const;
    // The same for every layer: one number for all, or an array of n_layer.
    Status counts(std::string_view stem, size_t n_layer, uint32_t low, uint32_t high,
                  std::optional<uint32_t> fallback, std::vector<uint32_t>* out) const;
    // A number within [low, high].
    Status number(std::string_view stem, double low, double high, std::optional<double> fallback,
                  double* out) const;
    Status number(std::string_view stem, double low, double high, std::optional<double> fallback,
                  float* out) const;

    // What is computed may rest on a default: says that `stem` is missing and what is taken.
    void say_default(std::string_view stem, std::string_view taken);
    void say(std::string note) { notes_.push_back(std::move(note)); }
    const std::vector<std::string>& notes() const { return notes_; }

    // bad_format, and unsupported, for what a key says.
    template <class Found, class Allowed>
    Status wrong(std::string_view stem, const Found& found, const Allowed& allowed) const {
        return field_error(file_.name(), Text<128>("key ", Quoted{name(stem)}), offset(stem), found,
                           allowed);
    }
    template <class Found, class Allowed>
    Status refuse(std::string_view stem, const Found& found, const Allowed& allowed) const {
        return error(Code::unsupported, file_.name(), ": key ", Quoted{name(stem)}, " at offset ",
                     Hex{offset(stem)}, ": found ", found, ", allowed ", allowed);
    }

  private:
    uint64_t offset(std::string_view stem) const;

    const gguf::File& file_;
    std::string prefix_;
    std::vector<std::string> notes_;
};

}  // namespace axiom::packer
