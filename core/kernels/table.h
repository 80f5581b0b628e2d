// SPDX-License-Identifier: MIT
// The table of a kernel set, made by the compiler: what a set has not got does not compile.
#pragma once

#include <array>

#include "core/kernels/attention_q8.h"

namespace axiom::kernels {

// Matmul::matmul<type> for every quantized type.
template <class Matmul>
consteval std::array<MatmulFn, kNStoredTypes> matmuls() {
    return []<size_t... i>(std::index_sequence<i...>) {
        std::array<MatmulFn, kNStoredTypes> fns{};
        ((fns[size_t(kQuantizedTypes[i])] = Matmul::template matmul<kQuantizedTypes[i]>), ...);
        return fns;
    }
    (std::make_index_sequence<std::size(kQuantizedTypes)>());
}

// Of vectors V, with Tiles or Panels for Matmul.
template <PairLanes V, template <class> class Matmul>
requires Quantizer<V>
consteval Kernels table_of(const char* name) {
    return {
        .name = name,
        .reads_few_alike = Matmul<V>::kReadsFewAlike,
        .matmul = matmuls<Matmul<V>>(),
        .quantize = V::quantize,
        .rms_norm = rms_norm<V>,
        .silu_mul = silu_mul<V>,
        .gelu_mul = gelu_mul<V>,
        .softcap = softcap<V>,
        .scale = scale_by<V>,
        .add = add_to<V>,
        .add_scaled = add_scaled<V>,
        .matvec_f32 = matvec_f32<V>,
        .rope = rope<V>,
        .attention_scores = attention_scores<V>,
        .softmax = softmax<V>,
        .attention_values = attention_values<V>,
        .attention_values_q8 = attention_values_q8<V>,
        .to_f16 = to_f16<V>,
    };
}

}  // namespace axiom::kernels
