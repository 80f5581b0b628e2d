// SPDX-License-Identifier: MIT
// The one description of a model's tensors: what each is called, which extent it stands in, what
// shape the configuration gives it, how it is stored, and when it is there. The packer plans by it,
// the reader checks by it, the manifest and the memory plan count by it, and a forward pass finds
// weights by role. To add a tensor: a Role and its row, nothing else.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "model/format/config.h"
#include "model/format/format.h"

namespace axiom::format {

// In the order of the file, which is the order a pass reads them in.
enum class Role : uint32_t {
    token_embd,
    rope_freqs,

    attn_norm,
    attn_q,
    attn_q_bias,
    attn_k,
    attn_k_bias,
    attn_v,
    attn_v_bias,
    attn_q_norm,
    attn_k_norm,
    attn_output,
    attn_output_bias,
    attn_post_norm,
    ffn_norm,
    ffn_gate,
    ffn_gate_bias,
    ffn_up,
    ffn_up_bias,
    ffn_down,
    ffn_down_bias,
    router,
    ffn_post_norm,

    expert_gate,
    expert_up,
    expert_down,

    output_norm,
    output,
    output_bias,
};
inline constexpr uint32_t kNRoles = uint32_t(Role::output_bias) + 1;
static_assert(kNRoles <= 64);  // LayerConfig::tensors

constexpr uint64_t role_bit(Role role) {
    return uint64_t{1} << uint32_t(role);
}

// A side of a tensor's shape, by the configuration.
enum class Side : uint8_t {
    one,
    n_vocab,
    n_embd,
    n_q,     // n_head * head_dim
    n_kv,    // n_head_kv * head_dim
    q_norm,  // head_dim, or n_q where the norm is over all heads at once
    k_norm,  // head_dim, or n_kv
    n_ff,
    n_ff_expert,
    n_expert,
    n_rope_tables,
    rope_pairs,  // of the widest rotary table
};

enum class Storage : uint8_t {
    matrix,  // any quantized type, row-interleaved
    f32,
    f64,
};

enum class Presence : uint8_t {
    always,
    if_rotated,  // any rotary table
    if_untied,   // no tied output
    if_output_biased,
    if_layer_has,  // the layer's bit
};

struct TensorSpec {
    Role role;
    std::string_view name;  // GGUF's, without the "blk.N." of a layer
    ExtentKind kind;
    Side rows, cols;
    Storage storage;
    Presence presence;
};

// clang-format off
inline constexpr TensorSpec kTensorTable[] = {
    {Role::token_embd, "token_embd.weight", ExtentKind::embedding, Side::n_vocab, Side::n_embd, Storage::matrix, Presence::always},
    // f64 radians per position of each rotated pair, scaling included; shorter tables end in zeros.
    {Role::rope_freqs, "rope_freqs.weight", ExtentKind::embedding, Side::n_rope_tables, Side::rope_pairs, Storage::f64, Presence::if_rotated},

    {Role::attn_norm, "attn_norm.weight", ExtentKind::layer, Side::one, Side::n_embd, Storage::f32, Presence::if_layer_has},
    {Role::attn_q, "attn_q.weight", ExtentKind::layer, Side::n_q, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::attn_q_bias, "attn_q.bias", ExtentKind::layer, Side::one, Side::n_q, Storage::f32, Presence::if_layer_has},
    {Role::attn_k, "attn_k.weight", ExtentKind::layer, Side::n_kv, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::attn_k_bias, "attn_k.bias", ExtentKind::layer, Side::one, Side::n_kv, Storage::f32, Presence::if_layer_has},
    {Role::attn_v, "attn_v.weight", ExtentKind::layer, Side::n_kv, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::attn_v_bias, "attn_v.bias", ExtentKind::layer, Side::one, Side::n_kv, Storage::f32, Presence::if_layer_has},
    {Role::attn_q_norm, "attn_q_norm.weight", ExtentKind::layer, Side::one, Side::q_norm, Storage::f32, Presence::if_layer_has},
    {Role::attn_k_norm, "attn_k_norm.weight", ExtentKind::layer, Side::one, Side::k_norm, Storage::f32, Presence::if_layer_has},
    {Role::attn_output, "attn_output.weight", ExtentKind::layer, Side::n_embd, Side::n_q, Storage::matrix, Presence::if_layer_has},
    {Role::attn_output_bias, "attn_output.bias", ExtentKind::layer, Side::one, Side::n_embd, Storage::f32, Presence::if_layer_has},
    {Role::attn_post_norm, "post_attention_norm.weight", ExtentKind::layer, Side::one, Side::n_embd, Storage::f32, Presence::if_layer_has},
    {Role::ffn_norm, "ffn_norm.weight", ExtentKind::layer, Side::one, Side::n_embd, Storage::f32, Presence::if_layer_has},
    {Role::ffn_gate, "ffn_gate.weight", ExtentKind::layer, Side::n_ff, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::ffn_gate_bias, "ffn_gate.bias", ExtentKind::layer, Side::one, Side::n_ff, Storage::f32, Presence::if_layer_has},
    {Role::ffn_up, "ffn_up.weight", ExtentKind::layer, Side::n_ff, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::ffn_up_bias, "ffn_up.bias", ExtentKind::layer, Side::one, Side::n_ff, Storage::f32, Presence::if_layer_has},
    {Role::ffn_down, "ffn_down.weight", ExtentKind::layer, Side::n_embd, Side::n_ff, Storage::matrix, Presence::if_layer_has},
    {Role::ffn_down_bias, "ffn_down.bias", ExtentKind::layer, Side::one, Side::n_embd, Storage::f32, Presence::if_layer_has},
    {Role::router, "ffn_gate_inp.weight", ExtentKind::layer, Side::n_expert, Side::n_embd, Storage::f32, Presence::if_layer_has},
    {Role::ffn_post_norm, "post_ffw_norm.weight", ExtentKind::layer, Side::one, Side::n_embd, Storage::f32, Presence::if_layer_has},

    // One expert's rows of GGUF's three-dimensional tensors.
    {Role::expert_gate, "ffn_gate_exps.weight", ExtentKind::expert, Side::n_ff_expert, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::expert_up, "ffn_up_exps.weight", ExtentKind::expert, Side::n_ff_expert, Side::n_embd, Storage::matrix, Presence::if_layer_has},
    {Role::expert_down, "ffn_down_exps.weight", ExtentKind::expert, Side::n_embd, Side::n_ff_expert, Storage::matrix, Presence::if_layer_has},

    {Role::output_norm, "output_norm.weight", ExtentKind::output, Side::one, Side::n_embd, Storage::f32, Presence::always},
    {Role::output, "output.weight", ExtentKind::output, Side::n_vocab, Side::n_embd, Storage::matrix, Presence::if_untied},
    {Role::output_bias, "output.bias", ExtentKind::output, Side::one, Side::n_vocab, Storage::f32, Presence::if_output_biased},
};
// clang-format on

constexpr bool table_is_in_role_order() {
    for (uint32_t i = 0; i < kNRoles; i++) {
        if (uint32_t(kTensorTable[i].role) != i) return false;
    }
    return sizeof kTensorTable / sizeof kTensorTable[0] == kNRoles;
}
static_assert(table_is_in_role_order());

constexpr const TensorSpec& spec_of(Role role) {
    return kTensorTable[uint32_t(role)];
}
// "attn_q.weight"; "unknown" for numbers that are no role.
constexpr std::string_view role_name(Role role) {
    return uint32_t(role) < kNRoles ? spec_of(role).name : "unknown";
}

// The bits a layer may set, and what a layer of dense feed-forward, of experts, must.
constexpr uint64_t layer_roles() {
    uint64_t bits = 0;
    for (const TensorSpec& spec : kTensorTable) {
        if (spec.presence == Presence::if_layer_has) bits |= role_bit(spec.role);
    }
    return bits;
}
inline constexpr uint64_t kAttentionRoles = role_bit(Role::attn_q) | role_bit(Role::attn_k) |
                                            role_bit(Role::attn_v) | role_bit(Role::attn_output);
inline constexpr uint64_t kDenseRoles =
    role_bit(Role::ffn_gate) | role_bit(Role::ffn_up) | role_bit(Role::ffn_down);
inline constexpr uint64_t kExpertRoles = role_bit(Role::router) | role_bit(Role::expert_gate) |
                                         role_bit(Role::expert_up) | role_bit(Role::expert_down);

// Whether the model has it; for kinds layer and expert: whether layer `layer` has it.
bool is_present(const TensorSpec& spec, const ModelConfig& config, size_t layer);

struct TensorShape {
    uint64_t n_rows, n_cols;
};
TensorShape shape_of(const TensorSpec& spec, const ModelConfig& config, size_t layer);

// Calls f(spec, layer, expert) for every tensor of a model, in the order of the file; layer and
// expert are 0 where the kind has none.
template <class F>
void for_each_tensor(const ModelConfig& config, F f) {
    const auto each_of = [&](ExtentKind kind, size_t layer, size_t expert) {
        for (const TensorSpec& spec : kTensorTable) {
            if (spec.kind == kind && is_present(spec, config, layer)) f(spec, layer, expert);
        }
    };
    each_of(ExtentKind::embedding, 0, 0);
    for (size_t layer = 0; layer < config.n_layer; layer++) {
        each_of(ExtentKind::layer, layer, 0);
        for (size_t expert = 0; expert < config.layer(layer).n_expert; expert++)
            each_of(ExtentKind::expert, layer, expert);
    }
    each_of(ExtentKind::output, 0, 0);
}

}  // namespace axiom::format
