// SPDX-License-Identifier: MIT
#include "model/format/tensor_table.h"

namespace axiom::format {

const char* extent_kind_name(ExtentKind kind) {
    static constexpr const char* kNames[kNExtentKinds] = {
        "config", "tokenizer", "chat", "tensors", "embedding", "layer", "expert", "output"};
    return uint32_t(kind) < kNExtentKinds ? kNames[uint32_t(kind)] : "unknown";
}

bool is_present(const TensorSpec& spec, const ModelConfig& config, size_t layer) {
    switch (spec.presence) {
        case Presence::always:
            return true;
        case Presence::if_rotated:
            return !config.rope.empty();
        case Presence::if_untied:
            return !config.tied_output;
        case Presence::if_output_biased:
            return config.output_bias;
        case Presence::if_layer_has:
            return (config.layer(layer).tensors & role_bit(spec.role)) != 0;
    }
    return false;
}

namespace {

uint64_t side_of(Side side, const ModelConfig& config, size_t layer) {
    switch (side) {
        case Side::one:
            return 1;
        case Side::n_vocab:
            return config.n_vocab;
        case Side::n_embd:
            return config.n_embd;
        case Side::n_rope_tables:
            return config.rope.size();
        case Side::rope_pairs:
            return config.rope_pairs();
        default:
            break;
    }
    const LayerConfig& l = config.layer(layer);
    switch (side) {
        case Side::n_q:
            return l.n_q();
        case Side::n_kv:
            return l.n_kv();
        case Side::q_norm:
            return l.norm_whole_qk != 0 ? l.n_q() : l.head_dim;
        case Side::k_norm:
            return l.norm_whole_qk != 0 ? l.n_kv() : l.head_dim;
        case Side::n_ff:
            return l.n_ff;
        case Side::n_ff_expert:
            return l.n_ff_expert;
        default:
            return l.n_expert;
    }
}

}  // namespace

TensorShape shape_of(const TensorSpec& spec, const ModelConfig& config, size_t layer) {
    return {side_of(spec.rows, config, layer), side_of(spec.cols, config, layer)};
}

}  // namespace axiom::format
