// SPDX-License-Identifier: MIT
// The characters that can be shown, in cells of two sizes. The tables are made at build time by
// make_font.py, from a font that is not in this repository.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace axiom::efi {

struct Font {
    uint32_t width, height;  // pixels of a cell; the width is a multiple of 8
    // width/8 bytes a row, the leftmost pixel in the highest bit; glyphs in the order of kFontPoints.
    const uint8_t* rows;

    const uint8_t* glyph(size_t number) const { return rows + number * height * (width / 8); }
};
inline constexpr size_t kNFonts = 2;
extern const Font kFonts[kNFonts];                   // the small one first
extern const std::span<const uint16_t> kFontPoints;  // ascending code points
extern const char kFontNotice[];                     // whose it is, and its licence

// The number of the character's glyph, U+FFFD's for one that has none.
uint16_t glyph_of(uint32_t point);

}  // namespace axiom::efi
