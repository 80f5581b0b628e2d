// SPDX-License-Identifier: MIT
// AVX2 with F16C.
// Exports one table; everything else is local (law 6).
#include <immintrin.h>

#include "core/kernels.h"
#include "core/mathf.h"

namespace axiom {
namespace {

constexpr size_t kTileTokens = 4;
#include "core/kernels/ymm.inc"

}  // namespace

constinit const Kernels kAvx2Kernels = {
    .name = "avx2",
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
