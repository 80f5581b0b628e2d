// SPDX-License-Identifier: MIT
// AVX2 with the dot product instruction of AVX-VNNI: client CPUs that have no AVX-512. The tests
// build the same text with AVX-512VL's encoding as well, to run it on more machines.
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels.h"
#include "core/mathf.h"

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

constexpr size_t kTileTokens = 4;
#include "core/kernels/ymm.inc"

}  // namespace

constinit const Kernels AXIOM_TABLE = {
    .name = "avxvnni",
    .matmul = {nullptr, nullptr, matmul<StoredType::q4>, matmul<StoredType::q4m>,
               matmul<StoredType::q8>, matmul<StoredType::q5>, matmul<StoredType::q4k>,
               matmul<StoredType::q5k>, matmul<StoredType::q6k>},
    .quantize = quantize,
    .rms_norm = rms_norm,
    .silu_mul = silu_mul,
    .add = add_to,
    .rope = rope,
    .attention_scores = attention_scores,
    .softmax = softmax,
    .attention_values = attention_values,
    .to_f16 = to_f16,
};

}  // namespace axiom
