// SPDX-License-Identifier: MIT
#include "model/format/config.h"

#include "core/round.h"

namespace axiom {

size_t ModelConfig::rope_pairs() const {
    size_t n = 0;
    for (const format::RopeTable& table : rope) n = n < table.n_dims / 2 ? table.n_dims / 2 : n;
    return n;
}

size_t ModelConfig::rope_table(size_t table, size_t n_ctx) const {
    const format::RopeTable& t = rope[table];
    return t.max_ctx != 0 && round_up(n_ctx, 256) > t.max_ctx ? t.longer : table;
}

ModelConfig model_config(const format::Config& c, std::span<const LayerConfig> layers) {
    ModelConfig config;
    config.n_vocab = c.n_vocab;
    config.n_embd = c.n_embd;
    config.n_layer = c.n_layer;
    config.n_ctx_train = c.n_ctx_train;
    config.n_expert_used = c.n_expert_used;
    config.rms_eps = c.rms_eps;
    config.embedding_scale = c.embedding_scale;
    config.residual_scale = c.residual_scale;
    config.logit_scale = c.logit_scale;
    config.final_softcap = c.final_softcap;
    config.expert_scale = c.expert_scale;
    config.expert_gating = c.expert_gating;
    config.expert_normalize = c.expert_normalize != 0;
    config.tied_output = c.tied_output != 0;
    config.output_bias = c.output_bias != 0;
    config.rope = {c.rope, c.n_rope_tables};
    config.layers = layers;
    return config;
}

}  // namespace axiom
