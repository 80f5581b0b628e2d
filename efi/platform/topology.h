// SPDX-License-Identifier: MIT
// Which APIC ids are threads of one core: those that are equal but for their lowest bits (Intel SDM vol. 3A,
// section 9.9; AMD APM vol. 3, CPUID 0x8000001E).
// Must not know: how CPUID is read, or what is done with siblings.
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom::efi {

struct TopologyWords {
    // Leaf 0x1F or 0xB, whose subleafs are levels.
    struct Level {
        uint32_t eax = 0, ebx = 0, ecx = 0;
    };
    static constexpr size_t kMaxLevels = 6;
    Level leaf1f[kMaxLevels] = {}, leafb[kMaxLevels] = {};  // zeros where a leaf does not exist
    uint32_t leaf8000001e_ebx = 0;  // AMD: bits 15:8 threads of a core, less one
};

// How many low bits tell the threads of a core apart; 0 where it has one, or nothing says.
unsigned thread_bits(const TopologyWords& words);

}  // namespace axiom::efi
