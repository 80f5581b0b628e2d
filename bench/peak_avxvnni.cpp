// SPDX-License-Identifier: MIT
// AVX-VNNI: vpdpbusd on ymm without AVX-512.
#include "bench/peak_loops.h"

namespace axiom::peak {
namespace {

#define DOT(a) "%{vex%} vpdpbusd %%ymm14, %%ymm13, %%ymm" #a "\n\t"

void dot(uint64_t n_rounds) {
    const uint32_t weights = 0x07050309, activations = 0x05fd0b02;
    asm volatile(
        "vpbroadcastd %1, %%ymm13\n\tvpbroadcastd %2, %%ymm14\n"
        "1:\n\t" DOT(0) DOT(1) DOT(2) DOT(3) DOT(4) DOT(5) DOT(6) DOT(7) DOT(8) DOT(9) DOT(10)
            DOT(11) "dec %0\n\tjnz 1b\n\tvzeroupper"
        : "+r"(n_rounds)
        : "m"(weights), "m"(activations)
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
          "xmm10", "xmm11", "xmm13", "xmm14");
}

}  // namespace

const Loops kAvxVnniLoops = {"avx-vnni", nullptr, {{"vpdpbusd ymm (VEX)", 12 * 32, dot}, {}}};

}  // namespace axiom::peak
