// SPDX-License-Identifier: MIT
// AVX2: 32-byte loads; an 8-bit dot product is vpmaddubsw, vpmaddwd by ones, vpaddd.
#include "bench/peak_loops.h"

namespace axiom::peak {
namespace {

#define LOAD_LINE(p) \
    asm volatile("vmovdqa (%0), %%ymm0\n\tvmovdqa 32(%0), %%ymm1" ::"r"(p) : "xmm0", "xmm1")
#include "bench/peak_read.inc"

// Accumulator a, temporary t; ymm13 weights, ymm14 activations, ymm15 ones.
#define DOT(a, t)                             \
    "vpmaddubsw %%ymm14, %%ymm13, %%ymm" #t   \
    "\n\t"                                    \
    "vpmaddwd %%ymm15, %%ymm" #t ", %%ymm" #t \
    "\n\t"                                    \
    "vpaddd %%ymm" #t ", %%ymm" #a ", %%ymm" #a "\n\t"

void dot(uint64_t n_rounds) {
    const uint32_t weights = 0x07050309, activations = 0x05fd0b02, ones = 0x00010001;
    asm volatile(
        "vpbroadcastd %1, %%ymm13\n\tvpbroadcastd %2, %%ymm14\n\tvpbroadcastd %3, %%ymm15\n"
        "1:\n\t" DOT(0, 6) DOT(1, 7) DOT(2, 8) DOT(3, 9) DOT(4, 10) DOT(5, 11) DOT(0, 6) DOT(1, 7)
            DOT(2, 8) DOT(3, 9) DOT(4, 10) DOT(5, 11) "dec %0\n\tjnz 1b\n\tvzeroupper"
        : "+r"(n_rounds)
        : "m"(weights), "m"(activations), "m"(ones)
        : "cc", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
          "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
}

}  // namespace

const Loops kAvx2Loops = {"avx2", read, {{"vpmaddubsw+vpmaddwd+vpaddd ymm", 12 * 32, dot}, {}}};

}  // namespace axiom::peak
