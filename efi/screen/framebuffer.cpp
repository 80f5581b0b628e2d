// SPDX-License-Identifier: MIT
#include "efi/screen/framebuffer.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace axiom::efi {
namespace {

constexpr uint32_t kDimmed = 0x98, kBright = 0xd0;  // of 255, each colour
constexpr uint32_t kMaxPixels = 16384;

bool is_one_run(uint32_t mask) {
    if (mask == 0) return false;
    const uint64_t ones = mask >> std::countr_zero(mask);
    return (ones & (ones + 1)) == 0;
}

// The highest bits of `value`, of 255, where the mask has its ones.
uint32_t placed(uint32_t mask, uint32_t value) {
    const int n_bits = std::bit_width(mask >> std::countr_zero(mask));
    const uint32_t scaled =
        uint32_t((uint64_t{value} << 24 | value << 16 | value << 8 | value) >> (32 - n_bits));
    return scaled << std::countr_zero(mask);
}

// A pixel as it is stored, little-endian.
template <size_t N>
struct PixelsOf {
    uint8_t bytes[3][4];  // of each colour
    void put(uint8_t* to, uint32_t colour) const { memcpy(to, bytes[colour], N); }
    static constexpr size_t n_bytes = N;
};

template <class Function>
void with_pixels(uint32_t pixel_bytes, const uint32_t (&colours)[3], Function function) {
    const auto call = [&]<size_t N>(PixelsOf<N> pixels) {
        for (size_t i = 0; i < std::size(colours); i++) memcpy(pixels.bytes[i], &colours[i], 4);
        function(pixels);
    };
    switch (pixel_bytes) {
        case 1:
            return call(PixelsOf<1>());
        case 2:
            return call(PixelsOf<2>());
        case 3:
            return call(PixelsOf<3>());
        default:
            return call(PixelsOf<4>());
    }
}

}  // namespace

Result<Framebuffer> check_mode(const GraphicsMode& mode, std::span<const MemoryRegion> regions) {
    const auto refused = [](const auto&... parts) {
        return error(Code::unsupported, "screen: ", parts...);
    };
    Framebuffer f{.address = mode.address, .width = mode.width, .height = mode.height};
    uint32_t all = 0xffffffff;
    switch (mode.format) {
        case GraphicsMode::Format::rgb:
            f.red = 0xff, f.green = 0xff00, f.blue = 0xff0000;
            break;
        case GraphicsMode::Format::bgr:
            f.red = 0xff0000, f.green = 0xff00, f.blue = 0xff;
            break;
        case GraphicsMode::Format::masks:
            f.red = mode.red, f.green = mode.green, f.blue = mode.blue;
            all = f.red | f.green | f.blue | mode.reserved;
            break;
        default:
            return refused("pixel format ", uint32_t(mode.format),
                           ", allowed 0 to 2, which have a framebuffer");
    }
    const bool overlap = (f.red & f.green) != 0 || (f.red & f.blue) != 0 || (f.green & f.blue) != 0;
    if (!is_one_run(f.red) || !is_one_run(f.green) || !is_one_run(f.blue) || overlap) {
        return refused("colour masks ", Hex{f.red}, ", ", Hex{f.green}, ", ", Hex{f.blue},
                       ", allowed neighbouring bits that do not overlap");
    }
    f.pixel_bytes = uint32_t(std::bit_width(all) + 7) / 8;
    f.pitch_bytes = uint64_t{mode.pixels_a_line} * f.pixel_bytes;
    if (f.width < kFonts[0].width || f.height < kFonts[0].height || f.width > kMaxPixels ||
        f.height > kMaxPixels || mode.pixels_a_line < f.width) {
        return refused(f.width, "x", f.height, " pixels, ", mode.pixels_a_line,
                       " a line, allowed up to ", kMaxPixels,
                       " each way, and lines that hold a row");
    }
    const uint64_t n_bytes = f.pitch_bytes * f.height;
    if (mode.address < kPageBytes || mode.address > kMappableEnd - n_bytes ||
        n_bytes > mode.n_bytes) {
        return refused("framebuffer at ", Hex{mode.address}, " of ", mode.n_bytes,
                       " bytes, needed ", n_bytes, ", allowed above the first page and below 2^47");
    }
    const AddressRange range = f.range();
    for (const MemoryRegion& region : regions) {
        if (!is_memory(region.type) || range.begin >= region.end || range.end <= region.begin)
            continue;
        return refused("framebuffer at ", Hex{mode.address}, ", which is RAM of the memory map");
    }
    return f;
}

Painter::Painter(const Framebuffer& to) : to_(to) {
    if (to.width == 0) return;
    choose_size();
    const auto grey = [&](uint32_t value) {
        return placed(to.red, value) | placed(to.green, value) | placed(to.blue, value);
    };
    colours_[1] = grey(kDimmed);
    colours_[2] = grey(kBright);
}

void Painter::choose_size() {
    constexpr uint32_t kGoodColumns = 100, kGoodRows = 30;
    const auto take = [&](const Font& font, uint32_t scale) {
        font_ = &font;
        scale_ = scale;
        n_columns_ = to_.width / cell_width();
        n_rows_ = to_.height / cell_height();
        return n_columns_ >= kGoodColumns && n_rows_ >= kGoodRows;
    };
    const Font& large = kFonts[kNFonts - 1];
    uint32_t scale = to_.width / large.width / kGoodColumns;
    while (scale > 0 && !take(large, scale)) scale--;
    if (scale == 0) take(kFonts[0], 1);
    n_columns_ = std::min(n_columns_, kMaxColumns);
    n_rows_ = std::min(n_rows_, kMaxRows);
    left_ = (to_.width - n_columns_ * cell_width()) / 2;
    top_ = (to_.height - n_rows_ * cell_height()) / 2;
}

void Painter::clear() const {
    for (uint64_t y = 0; y < to_.height; y++) {
        memset(reinterpret_cast<uint8_t*>(to_.address + y * to_.pitch_bytes), 0,
               size_t{to_.width} * to_.pixel_bytes);
    }
}

// Line by line through all cells, as write-combining wants long runs of neighbouring bytes.
template <class Pixels>
void Painter::draw_as(uint8_t* at, std::span<const Cell> cells, Pixels pixels) const {
    const uint32_t row_bytes = font_->width / 8;
    for (uint32_t y = 0; y < font_->height; y++) {
        for (uint32_t again = 0; again < scale_; again++) {
            uint8_t* to = at;
            for (const Cell cell : cells) {
                const uint8_t* const row = font_->glyph(glyph_in(cell)) + y * row_bytes;
                const uint8_t flip = (cell & kInverse) != 0 ? 0xff : 0;
                const uint32_t ink = (cell & kDim) != 0 ? 1 : 2;
                for (uint32_t i = 0; i < row_bytes; i++) {
                    const uint32_t bits = uint8_t(row[i] ^ flip);
                    for (uint32_t x = 0; x < 8; x++) {
                        const uint32_t colour = (bits >> (7 - x) & 1) != 0 ? ink : 0;
                        for (uint32_t s = 0; s < scale_; s++, to += Pixels::n_bytes) {
                            pixels.put(to, colour);
                        }
                    }
                }
            }
            at += to_.pitch_bytes;
        }
    }
}

void Painter::draw(uint32_t row, uint32_t column, std::span<const Cell> cells) const {
    // Not a check: a panic draws, too.
    if (row >= n_rows_ || column >= n_columns_ || cells.size() > n_columns_ - column) return;
    const uint64_t y = top_ + uint64_t{row} * cell_height();
    const uint64_t x = left_ + uint64_t{column} * cell_width();
    auto* const at =
        reinterpret_cast<uint8_t*>(to_.address + y * to_.pitch_bytes + x * to_.pixel_bytes);
    with_pixels(to_.pixel_bytes, colours_, [&](const auto& pixels) { draw_as(at, cells, pixels); });
}

}  // namespace axiom::efi
