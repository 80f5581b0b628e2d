// SPDX-License-Identifier: MIT
// AVX2 with the dot product instruction of AVX-VNNI: client CPUs that have no AVX-512. The tests
// build the same text with AVX-512VL's encoding as well, to run it on more machines.
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels/table.h"
#include "core/kernels/tiles.h"
#include "core/kernels/ymm.h"

#ifdef AXIOM_TEST_EVEX
#define AXIOM_DPBUSD _mm256_dpbusd_epi32
#define AXIOM_TABLE kAvxVnniEvexKernels
namespace axiom {
extern const Kernels AXIOM_TABLE;
}
#else
#define AXIOM_DPBUSD _mm256_dpbusd_avx_epi32
#define AXIOM_TABLE kAvxVnniKernels
#endif

namespace axiom {
namespace {

struct DotProduct {
    static constexpr int kQ8Bias = 128;

    [[gnu::always_inline]] static __m256i dot4(__m256i sum, __m256i w, __m256i x) {
        return AXIOM_DPBUSD(sum, w, x);
    }
};

}  // namespace

constinit const Kernels AXIOM_TABLE =
    kernels::table_of<kernels::Ymm<DotProduct>, kernels::Tiles>("avxvnni");

}  // namespace axiom
