// SPDX-License-Identifier: MIT
// How many cells of a terminal a character takes, by Unicode's East Asian Width and general category
// (UAX #11, UAX #44), in ranges of whole blocks where a block is alike.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/utf8.h"

namespace axiom {

// 0: drawn over the character before it, or not at all; 2: wide.
constexpr size_t columns_of(uint32_t point) {
    struct Range {
        uint32_t first, last;
    };
    constexpr Range kNone[] = {
        {0x300, 0x36f},   {0x483, 0x489},   {0x591, 0x5bd},   {0x610, 0x61a},   {0x64b, 0x65f},
        {0x1ab0, 0x1aff}, {0x1dc0, 0x1dff}, {0x200b, 0x200f}, {0x202a, 0x202e}, {0x2060, 0x2064},
        {0x20d0, 0x20ff}, {0xfe00, 0xfe0f}, {0xfe20, 0xfe2f}, {0xfeff, 0xfeff}, {0xe0000, 0xe01ef}};
    constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0x303e},   {0x3041, 0x4dbf},
                               {0x4e00, 0xa4cf},   {0xa960, 0xa97f},   {0xac00, 0xd7a3},
                               {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                               {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff},
                               {0x1f900, 0x1f9ff}, {0x1fa70, 0x1faff}, {0x20000, 0x3fffd}};
    if (point < 0x300) return 1;
    for (const Range& r : kNone) {
        if (point >= r.first && point <= r.last) return 0;
    }
    for (const Range& r : kWide) {
        if (point >= r.first && point <= r.last) return 2;
    }
    return 1;
}

// The code point of one whole, valid sequence, as Utf8Stream passes them on.
constexpr uint32_t utf8_point(std::string_view sequence) {
    constexpr uint8_t kLeadBits[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t point = uint8_t(sequence[0]) & kLeadBits[sequence.size()];
    for (const char c : sequence.substr(1)) point = point << 6 | (uint8_t(c) & 0x3f);
    return point;
}

}  // namespace axiom
