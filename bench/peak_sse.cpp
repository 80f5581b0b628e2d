// SPDX-License-Identifier: MIT
// Baseline x86-64: 16-byte loads. There is no 8-bit dot product before SSSE3.
#include "bench/peak_loops.h"

namespace axiom::peak {
namespace {

#define LOAD_LINE(p)                                              \
    asm volatile(                                                 \
        "movdqa (%0), %%xmm0\n\tmovdqa 16(%0), %%xmm1\n\t"        \
        "movdqa 32(%0), %%xmm2\n\tmovdqa 48(%0), %%xmm3" ::"r"(p) \
        : "xmm0", "xmm1", "xmm2", "xmm3")
#include "bench/peak_read.inc"

}  // namespace

const Loops kSseLoops = {"sse", read, {}};

}  // namespace axiom::peak
