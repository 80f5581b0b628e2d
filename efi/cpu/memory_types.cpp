// SPDX-License-Identifier: MIT
#include "efi/cpu/memory_types.h"

#include <cpuid.h>

#include <algorithm>

#include "efi/cpu/cpu.h"
#include "efi/cpu/msr.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kPatMsr = 0x277, kCapabilityMsr = 0xfe, kDefaultMsr = 0x2ff,
                   kVariableMsr = 0x200;
constexpr uint32_t kFixedMsrs[MemoryTypes::kNFixed] = {0x250, 0x258, 0x259, 0x268, 0x269, 0x26a,
                                                       0x26b, 0x26c, 0x26d, 0x26e, 0x26f};
constexpr uint64_t kMtrrsOn = 1 << 11, kFixedOn = 1 << 10;
constexpr uint64_t kHasFixed = 1 << 8;

void write_ranges(const MemoryTypes& types) {
    for (uint32_t i = 0; i < 2 * types.n_variable; i++) {
        write_msr(kVariableMsr + i, types.variable[i]);
    }
    if ((types.default_type & kFixedOn) == 0) return;
    for (size_t i = 0; i < MemoryTypes::kNFixed; i++) write_msr(kFixedMsrs[i], types.fixed[i]);
}

}  // namespace

void set_page_types() {
    constexpr uint64_t kPat = 0x0007040600070106;  // 06 WB, 01 WC, 07 UC-, 00 UC, 04 WT
    MemoryTypes types = read_memory_types();
    if (types.pat == 0) return;  // entry 1 is then WT, which is right, only slow
    types.pat = kPat;
    adopt_memory_types(types);
}

MemoryTypes read_memory_types() {
    uint32_t a, b, c, d;
    __cpuid(1, a, b, c, d);
    MemoryTypes types;
    if ((d >> 16 & 1) != 0) types.pat = read_msr(kPatMsr);
    if ((d >> 12 & 1) == 0) return types;
    const uint64_t capability = read_msr(kCapabilityMsr);
    types.default_type = read_msr(kDefaultMsr);
    types.n_variable = std::min(uint32_t(capability & 0xff), uint32_t{MemoryTypes::kMaxVariable});
    for (uint32_t i = 0; i < 2 * types.n_variable; i++) {
        types.variable[i] = read_msr(kVariableMsr + i);
    }
    // What is turned off need not be the same.
    if ((capability & kHasFixed) == 0 || (types.default_type & kFixedOn) == 0) return types;
    for (size_t i = 0; i < MemoryTypes::kNFixed; i++) types.fixed[i] = read_msr(kFixedMsrs[i]);
    return types;
}

uint64_t forced_write_back_end() {
    constexpr uint32_t kHygonGenuine = 0x6f677948;
    constexpr uint32_t kSystemConfig = 0xc0010010, kTopOfMemory2 = 0xc001001d;
    constexpr uint64_t kTop2On = 1 << 21, kForced = 1 << 22, kAddressMask = 0x000fffffff800000;
    uint32_t a, b, c, d;
    __cpuid(0, a, b, c, d);
    if (b != signature_AMD_ebx && b != kHygonGenuine) return 0;
    __cpuid(1, a, b, c, d);
    if ((c >> 31 & 1) != 0) return ~uint64_t{0};
    const uint64_t config = read_msr(kSystemConfig);
    if ((config & kTop2On) == 0 || (config & kForced) == 0) return 0;
    return read_msr(kTopOfMemory2) & kAddressMask;
}

bool adopt_memory_types(const MemoryTypes& wanted) {
    const MemoryTypes now = read_memory_types();
    if (now == wanted) return true;
    if (now.n_variable != wanted.n_variable || (now.pat == 0) != (wanted.pat == 0)) return false;
    const CachesOff off;
    if (wanted.pat != 0) write_msr(kPatMsr, wanted.pat);
    if (now.default_type != 0 || wanted.default_type != 0) {
        write_msr(kDefaultMsr, wanted.default_type & ~kMtrrsOn);
        write_ranges(wanted);
        write_msr(kDefaultMsr, wanted.default_type);
    }
    return true;
}

}  // namespace axiom::efi
