// SPDX-License-Identifier: MIT
// A framebuffer of any pixel format, and text cells drawn into it. It is written, never read: reading
// takes a microsecond where writing takes a nanosecond.
// Must not know: what the text is, or who asked for it to be drawn.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"
#include "efi/memory/memory_map.h"
#include "efi/screen/font.h"

namespace axiom::efi {

// What the Graphics Output Protocol says of its mode (UEFI 2.10, section 12.9).
struct GraphicsMode {
    enum class Format : uint32_t { rgb = 0, bgr = 1, masks = 2, blt_only = 3 };
    uint64_t address = 0, n_bytes = 0;
    uint32_t width = 0, height = 0, pixels_a_line = 0;
    Format format = Format::blt_only;
    uint32_t red = 0, green = 0, blue = 0, reserved = 0;  // of Format::masks
};

struct Framebuffer {
    uint64_t address = 0;
    uint64_t pitch_bytes = 0;               // from one line to the next
    uint32_t width = 0, height = 0;         // pixels; 0: there is none
    uint32_t pixel_bytes = 0;               // 1 to 4
    uint32_t red = 0, green = 0, blue = 0;  // masks, each of neighbouring bits

    AddressRange range() const { return {address, address + pitch_bytes * height}; }
};
// unsupported, with what was found and what is allowed: no framebuffer at all, sizes or masks that
// cannot be, an address in RAM of the map.
Result<Framebuffer> check_mode(const GraphicsMode& mode, std::span<const MemoryRegion> regions);

// A character of the screen: the number of its glyph, drawn bright on dark, dim on dark, or either the
// other way around.
using Cell = uint16_t;
inline constexpr Cell kInverse = 0x8000, kDim = 0x4000;
constexpr uint16_t glyph_in(Cell cell) {
    return uint16_t(cell & ~(kInverse | kDim));
}

class Painter {
  public:
    // The largest characters of which a framebuffer holds at least 100 columns and 30 rows; small
    // ones where it doesn't. Columns and rows are at least 1 where the framebuffer has that many pixels.
    explicit Painter(const Framebuffer& to);

    uint32_t n_columns() const { return n_columns_; }
    uint32_t n_rows() const { return n_rows_; }
    uint32_t cell_width() const { return font_->width * scale_; }
    uint32_t cell_height() const { return font_->height * scale_; }
    size_t cell_bytes() const { return size_t{cell_width()} * cell_height() * to_.pixel_bytes; }

    // All of it dark.
    void clear() const;
    // Neighbouring cells of one row, which lie on the screen.
    void draw(uint32_t row, uint32_t column, std::span<const Cell> cells) const;

    static constexpr uint32_t kMaxColumns = 512, kMaxRows = 256;

  private:
    void choose_size();
    template <class Pixels>
    void draw_as(uint8_t* at, std::span<const Cell> cells, Pixels pixels) const;

    Framebuffer to_;
    const Font* font_ = &kFonts[0];
    uint32_t scale_ = 1;  // screen pixels, each way, for a pixel of the font
    uint32_t n_columns_ = 0, n_rows_ = 0;
    uint32_t left_ = 0, top_ = 0;  // pixels beside the cells
    uint32_t colours_[3] = {};     // dark, dim, bright
};

}  // namespace axiom::efi
