// SPDX-License-Identifier: MIT
// AVX-512 with VNNI: 64-byte loads, vpdpbusd on zmm and on ymm.
#include "bench/peak_loops.h"

namespace axiom::peak {
namespace {

#define LOAD_LINE(p) asm volatile("vmovdqa64 (%0), %%zmm0" ::"r"(p) : "xmm0")
#include "bench/peak_read.inc"

// 16 independent sums hide the latency of the two widest multipliers known (5 cycles x 2 a cycle).
#define DOT(w, a) "vpdpbusd %%" #w "mm31, %%" #w "mm30, %%" #w "mm" #a "\n\t"
#define FOUR_DOTS(w, a, b, c, d) DOT(w, a) DOT(w, b) DOT(w, c) DOT(w, d)
#define DOTS(w)                \
    FOUR_DOTS(w, 0, 1, 2, 3)   \
    FOUR_DOTS(w, 4, 5, 6, 7)   \
    FOUR_DOTS(w, 8, 9, 10, 11) \
    FOUR_DOTS(w, 12, 13, 14, 15)
#define RUN_DOTS(w)                                                                              \
    const uint32_t weights = 0x07050309, activations = 0x05fd0b02;                               \
    asm volatile("vpbroadcastd %1, %%" #w "mm30\n\tvpbroadcastd %2, %%" #w                       \
                 "mm31\n"                                                                        \
                 "1:\n\t" DOTS(w) "dec %0\n\tjnz 1b\n\tvzeroupper"                               \
                 : "+r"(n_rounds)                                                                \
                 : "m"(weights), "m"(activations)                                                \
                 : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", \
                   "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "xmm30", "xmm31")

void dot_zmm(uint64_t n_rounds) {
    RUN_DOTS(z);
}
void dot_ymm(uint64_t n_rounds) {
    RUN_DOTS(y);
}

}  // namespace

const Loops kAvx512Loops = {
    "avx512", read, {{"vpdpbusd zmm", 16 * 64, dot_zmm}, {"vpdpbusd ymm", 16 * 32, dot_ymm}}};

}  // namespace axiom::peak
