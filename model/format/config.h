// SPDX-License-Identifier: MIT
// The hyper-parameters of a transformer, validated: what holds for the whole model, and what each
// layer has. Views into the packed file's configuration.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "model/format/format.h"

namespace axiom {

using format::LayerConfig;

struct ModelConfig {
    size_t n_vocab = 0;
    size_t n_embd = 0;
    size_t n_layer = 0;
    size_t n_ctx_train = 0;
    size_t n_expert_used = 0;
    float rms_eps = 0;
    float embedding_scale = 1, residual_scale = 1, logit_scale = 1;
    float final_softcap = 0;
    float expert_scale = 1;
    format::ExpertGating expert_gating = format::ExpertGating::softmax;
    bool expert_normalize = false;
    bool tied_output = false;
    bool output_bias = false;
    std::span<const format::RopeTable> rope;  // [n_rope_tables]
    std::span<const LayerConfig> layers;      // [n_layer]

    const LayerConfig& layer(size_t i) const { return layers[i]; }
    // Pairs of the widest rotary table: columns of rope_freqs.
    size_t rope_pairs() const;
    // The table that stands in for `table` where a context of n_ctx positions was asked for, which
    // llama.cpp rounds up to a multiple of 256.
    size_t rope_table(size_t table, size_t n_ctx) const;

    // The largest over the layers, for what is allocated once for all of them.
    template <class F>
    size_t most(F of_layer) const {
        size_t n = 0;
        for (const LayerConfig& layer : layers)
            n = n < size_t(of_layer(layer)) ? size_t(of_layer(layer)) : n;
        return n;
    }
};

// `config` as stored; `layers` outlive the result, and so does `config` (its rotary tables are
// viewed). No checks.
ModelConfig model_config(const format::Config& config, std::span<const LayerConfig> layers);

}  // namespace axiom
