// SPDX-License-Identifier: MIT
// AVX-512 with VNNI: 64-byte loads, vpdpbusd on zmm and on ymm.
#include "bench/peak_loops.h"

namespace axiom::peak {
namespace {

#define LOAD_LINE(p) asm volatile("vmovdqa64 (%0), %%zmm0" ::"r"(p) : "xmm0")
#include "bench/peak_read.inc"

// 16 independent sums hide the latency of the two widest multipliers known (5 cycles x 2 a cycle).
#define DOT(w, a) "vpdpbusd %%" #w "mm31, %%" #w "mm30, %%" #w "mm" #a "\n\t"
#define DOTS(w)                                                                                   \
    DOT(w, 0)                                                                                     \
    DOT(w, 1)                                                                                     \
    DOT(w, 2)                                                                                     \
    DOT(w, 3)                                                                                     \
    DOT(w, 4)                                                                                     \
    DOT(w, 5) DOT(w, 6) DOT(w, 7) DOT(w, 8) DOT(w, 9) DOT(w, 10) DOT(w, 11) DOT(w, 12) DOT(w, 13) \
        DOT(w, 14) DOT(w, 15)
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
