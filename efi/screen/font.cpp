// SPDX-License-Identifier: MIT
#include "efi/screen/font.h"

#include <algorithm>

namespace axiom::efi {
namespace {

constexpr uint16_t kReplacement = 0xfffd;

}  // namespace

uint16_t glyph_of(uint32_t point) {
    const auto find = [](uint32_t p) {
        return std::lower_bound(kFontPoints.begin(), kFontPoints.end(), p);
    };
    auto at = find(point);
    if (at == kFontPoints.end() || *at != point) at = find(kReplacement);
    return uint16_t(at - kFontPoints.begin());
}

}  // namespace axiom::efi
