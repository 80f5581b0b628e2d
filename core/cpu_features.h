// SPDX-License-Identifier: MIT
// Decodes CPUID and XCR0 words that somebody else read (Intel SDM vol. 1 ch. 13-15, vol. 2A CPUID).
// Must not know: how they were read, or whether CR4.OSXSAVE was ours to set.
#pragma once

#include <cstdint>

namespace axiom {

struct CpuWords {
    uint32_t max_leaf = 0;
    uint32_t leaf1_ecx = 0, leaf1_edx = 0;
    uint32_t leaf7_ebx = 0, leaf7_ecx = 0;
    uint32_t leaf7_1_eax = 0;
    uint64_t xcr0 = 0;    // 0 where OSXSAVE is off
    char brand[49] = {};  // leaves 0x80000002..4, NUL-terminated, leading blanks removed
};

// What code may be executed: the CPU has it and the enabled state covers its registers.
struct CpuFeatures {
    bool ssse3 = false;
    bool sse41 = false;
    bool avx2 = false;  // with F16C
    bool avx_vnni = false;
    bool avx512 = false;  // F, BW, VL, DQ
    bool avx512_vnni = false;
    bool sha = false;  // SHA extensions, with SSE4.1
};

CpuFeatures decode_features(const CpuWords& words);
// What two cores both have; the brand is the first one's.
CpuWords common_words(const CpuWords& a, const CpuWords& b);
// Reads CPUID and, where OSXSAVE is on, XCR0. Unprivileged: the same on Linux and in the EFI image.
CpuWords read_cpu_words();
// The XCR0 value worth setting on this CPU: x87|SSE, plus AVX, plus AVX-512, as CPUID leaf 0xD
// offers. 0 when the CPU has no XSAVE.
uint64_t wanted_xcr0();
// What decode_features() will say once OSXSAVE is on and XCR0 is wanted_xcr0(), whatever they are
// now.
CpuFeatures features_once_enabled();

}  // namespace axiom
