// SPDX-License-Identifier: MIT
#include "efi/platform/topology.h"

#include <bit>
#include <span>

namespace axiom::efi {
namespace {

// Whether the leaf tells; *bits only then.
bool bits_of(std::span<const TopologyWords::Level> leaf, unsigned* bits) {
    constexpr uint32_t kThreads = 1;  // level type
    for (const TopologyWords::Level& level : leaf) {
        const uint32_t type = level.ecx >> 8 & 0xff;
        if (level.ebx == 0 || type == 0) return false;
        if (type != kThreads) continue;
        *bits = level.eax & 0x1f;
        return true;
    }
    return false;
}

}  // namespace

unsigned thread_bits(const TopologyWords& words) {
    unsigned bits = 0;
    if (bits_of(words.leaf1f, &bits) || bits_of(words.leafb, &bits)) return bits;
    return unsigned(std::bit_width(words.leaf8000001e_ebx >> 8 & 0xff));
}

}  // namespace axiom::efi
