// SPDX-License-Identifier: MIT
#include "core/cpu_features.h"

#include <cpuid.h>

#include <cstring>

namespace axiom {
namespace {

constexpr bool bit(uint32_t word, int i) {
    return word >> i & 1;
}

constexpr uint32_t kOsXsave = 1u << 27;  // CPUID leaf 1 ECX

constexpr uint64_t kXcr0Sse = 0x3;      // x87, SSE
constexpr uint64_t kXcr0Avx = 0x7;      // and the upper halves of YMM
constexpr uint64_t kXcr0Avx512 = 0xe7;  // and opmask, ZMM0-15 upper halves, ZMM16-31

}  // namespace

CpuFeatures decode_features(const CpuWords& w) {
    CpuFeatures f;
    f.ssse3 = bit(w.leaf1_ecx, 9);
    f.sse41 = bit(w.leaf1_ecx, 19);
    f.sha = f.ssse3 && f.sse41 && bit(w.leaf7_ebx, 29);
    const bool xsave_on = (w.leaf1_ecx & kOsXsave) != 0;
    if (!xsave_on || (w.xcr0 & kXcr0Avx) != kXcr0Avx || !bit(w.leaf1_ecx, 28)) return f;
    f.avx2 = bit(w.leaf7_ebx, 5) && bit(w.leaf1_ecx, 29);
    f.avx_vnni = f.avx2 && bit(w.leaf7_1_eax, 4);
    if ((w.xcr0 & kXcr0Avx512) != kXcr0Avx512) return f;
    f.avx512 = f.avx2 && bit(w.leaf7_ebx, 16) && bit(w.leaf7_ebx, 17) && bit(w.leaf7_ebx, 30) &&
               bit(w.leaf7_ebx, 31);
    f.avx512_vnni = f.avx512 && bit(w.leaf7_ecx, 11);
    return f;
}

CpuWords common_words(const CpuWords& a, const CpuWords& b) {
    CpuWords both = a;
    both.max_leaf = a.max_leaf < b.max_leaf ? a.max_leaf : b.max_leaf;
    both.leaf1_ecx &= b.leaf1_ecx;
    both.leaf1_edx &= b.leaf1_edx;
    both.leaf7_ebx &= b.leaf7_ebx;
    both.leaf7_ecx &= b.leaf7_ecx;
    both.leaf7_1_eax &= b.leaf7_1_eax;
    both.xcr0 &= b.xcr0;
    return both;
}

CpuWords read_cpu_words() {
    CpuWords w;
    uint32_t a, b, c, d;
    __cpuid(0, w.max_leaf, b, c, d);
    __cpuid(1, a, b, w.leaf1_ecx, w.leaf1_edx);
    if (w.max_leaf >= 7) {
        uint32_t max_subleaf;
        __cpuid_count(7, 0, max_subleaf, w.leaf7_ebx, w.leaf7_ecx, d);
        if (max_subleaf >= 1) __cpuid_count(7, 1, w.leaf7_1_eax, b, c, d);
    }
    if ((w.leaf1_ecx & kOsXsave) != 0) {
        uint32_t low, high;
        asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
        w.xcr0 = uint64_t{high} << 32 | low;
    }
    __cpuid(0x80000000, a, b, c, d);
    if (a >= 0x80000004) {
        uint32_t words[12];
        for (uint32_t i = 0; i < 3; i++) {
            __cpuid(0x80000002 + i, words[4 * i], words[4 * i + 1], words[4 * i + 2],
                    words[4 * i + 3]);
        }
        char raw[sizeof words];
        memcpy(raw, words, sizeof raw);
        size_t begin = 0, n = 0;
        while (begin < sizeof raw && raw[begin] == ' ') begin++;
        for (; begin < sizeof raw && raw[begin] != '\0'; begin++) w.brand[n++] = raw[begin];
        while (n > 0 && w.brand[n - 1] == ' ') n--;
        w.brand[n] = '\0';
    }
    return w;
}

uint64_t wanted_xcr0() {
    uint32_t a, b, c, d;
    __cpuid(0, a, b, c, d);
    if (a < 0xd) return 0;
    __cpuid(1, a, b, c, d);
    if (!bit(c, 26)) return 0;
    __cpuid_count(0xd, 0, a, b, c, d);
    const uint64_t offered = uint64_t{d} << 32 | a;
    if ((offered & kXcr0Avx512) == kXcr0Avx512) return kXcr0Avx512;
    if ((offered & kXcr0Avx) == kXcr0Avx) return kXcr0Avx;
    return kXcr0Sse;
}

CpuFeatures features_once_enabled() {
    CpuWords words = read_cpu_words();
    words.xcr0 = wanted_xcr0();
    words.leaf1_ecx &= ~kOsXsave;
    if (words.xcr0 != 0) words.leaf1_ecx |= kOsXsave;
    return decode_features(words);
}

}  // namespace axiom
