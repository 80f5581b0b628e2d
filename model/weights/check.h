// SPDX-License-Identifier: MIT
// A validator that remembers where a struct stands in the file, for messages.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"

namespace axiom {

struct FieldCheck {
    std::string_view file;
    uint64_t base;  // file offset of the struct
    const void* start;

    uint64_t offset(const void* field) const {
        return base + uint64_t(static_cast<const char*>(field) - static_cast<const char*>(start));
    }
    template <class Found, class Allowed>
    Status wrong(std::string_view name, const void* field, const Found& found,
                 const Allowed& allowed) const {
        return field_error(file, name, offset(field), found, allowed);
    }
    Status range(std::string_view name, const uint32_t& value, uint64_t low, uint64_t high) const {
        if (value >= low && value <= high) return {};
        return wrong(name, &value, value, Text<64>(low, "..", high).view());
    }
    // A float in [low, high]; NaN is outside.
    Status range(std::string_view name, const float& value, double low, double high) const {
        if (double(value) >= low && double(value) <= high) return {};
        return wrong(name, &value, Fixed{double(value), 9},
                     Text<64>(Fixed{low, 9}, "..", Fixed{high, 9}).view());
    }
    // Words that a later version may give a meaning.
    Status zeros(std::string_view name, std::span<const uint64_t> words) const {
        for (const uint64_t& word : words) {
            if (word != 0) return wrong(name, &word, Hex{word}, "0");
        }
        return {};
    }
};

}  // namespace axiom
