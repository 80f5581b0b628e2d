// SPDX-License-Identifier: MIT
// The one description of a model's tensors, and what the configuration makes of it.
#include <string>
#include <vector>

#include "model/format/config.h"
#include "model/format/tensor_table.h"
#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::format;

namespace {

uint64_t bits(std::initializer_list<Role> roles) {
    uint64_t all = 0;
    for (const Role role : roles) all |= role_bit(role);
    return all;
}

// A model of two layers that together have every tensor there is: the first dense, the second of
// three experts. All sizes differ.
struct EveryTensor {
    Config stored{};
    LayerConfig layers[2]{};

    EveryTensor() {
        stored.n_vocab = 300;
        stored.n_embd = 64;
        stored.n_layer = 2;
        stored.n_ctx_train = 100;
        stored.n_rope_tables = 3;
        stored.rope[0] = {8, 1.0f, 4096, 2};
        stored.rope[1] = {10, 1.0f, 0, kNone};
        stored.rope[2] = {4, 1.5f, 0, kNone};
        stored.n_expert_used = 2;
        for (LayerConfig& l : layers) {
            l.n_head = 6;
            l.n_head_kv = 2;
            l.head_dim = 10;
            l.tensors = layer_roles();
        }
        layers[0].n_ff = 96;
        layers[0].tensors &= ~kExpertRoles;
        layers[1].n_ff_expert = 32;
        layers[1].n_expert = 3;
        layers[1].tensors &= ~(kDenseRoles | role_bit(Role::ffn_gate_bias) |
                               role_bit(Role::ffn_up_bias) | role_bit(Role::ffn_down_bias));
    }
    ModelConfig model() const { return model_config(stored, layers); }
};

// "layer.expert name rows x columns", in the order of the file.
std::vector<std::string> listed(const ModelConfig& config) {
    std::vector<std::string> list;
    for_each_tensor(config, [&](const TensorSpec& spec, size_t layer, size_t expert) {
        const TensorShape shape = shape_of(spec, config, layer);
        list.push_back(std::to_string(layer) + "." + std::to_string(expert) + " " +
                       std::string(spec.name) + " " + std::to_string(shape.n_rows) + " x " +
                       std::to_string(shape.n_cols));
    });
    return list;
}

}  // namespace

TEST_CASE("a model with every optional tensor: names, order and shapes") {
    const EveryTensor every;
    const std::vector<std::string> expected = {
        "0.0 token_embd.weight 300 x 64",   "0.0 rope_freqs.weight 3 x 5",
        "0.0 attn_norm.weight 1 x 64",      "0.0 attn_q.weight 60 x 64",
        "0.0 attn_q.bias 1 x 60",           "0.0 attn_k.weight 20 x 64",
        "0.0 attn_k.bias 1 x 20",           "0.0 attn_v.weight 20 x 64",
        "0.0 attn_v.bias 1 x 20",           "0.0 attn_q_norm.weight 1 x 10",
        "0.0 attn_k_norm.weight 1 x 10",    "0.0 attn_output.weight 64 x 60",
        "0.0 attn_output.bias 1 x 64",      "0.0 post_attention_norm.weight 1 x 64",
        "0.0 ffn_norm.weight 1 x 64",       "0.0 ffn_gate.weight 96 x 64",
        "0.0 ffn_gate.bias 1 x 96",         "0.0 ffn_up.weight 96 x 64",
        "0.0 ffn_up.bias 1 x 96",           "0.0 ffn_down.weight 64 x 96",
        "0.0 ffn_down.bias 1 x 64",         "0.0 post_ffw_norm.weight 1 x 64",
        "1.0 attn_norm.weight 1 x 64",      "1.0 attn_q.weight 60 x 64",
        "1.0 attn_q.bias 1 x 60",           "1.0 attn_k.weight 20 x 64",
        "1.0 attn_k.bias 1 x 20",           "1.0 attn_v.weight 20 x 64",
        "1.0 attn_v.bias 1 x 20",           "1.0 attn_q_norm.weight 1 x 10",
        "1.0 attn_k_norm.weight 1 x 10",    "1.0 attn_output.weight 64 x 60",
        "1.0 attn_output.bias 1 x 64",      "1.0 post_attention_norm.weight 1 x 64",
        "1.0 ffn_norm.weight 1 x 64",       "1.0 ffn_gate_inp.weight 3 x 64",
        "1.0 post_ffw_norm.weight 1 x 64",  "1.0 ffn_gate_exps.weight 32 x 64",
        "1.0 ffn_up_exps.weight 32 x 64",   "1.0 ffn_down_exps.weight 64 x 32",
        "1.1 ffn_gate_exps.weight 32 x 64", "1.1 ffn_up_exps.weight 32 x 64",
        "1.1 ffn_down_exps.weight 64 x 32", "1.2 ffn_gate_exps.weight 32 x 64",
        "1.2 ffn_up_exps.weight 32 x 64",   "1.2 ffn_down_exps.weight 64 x 32",
        "0.0 output_norm.weight 1 x 64",    "0.0 output.weight 300 x 64",
    };
    CHECK(listed(every.model()) == expected);
}

TEST_CASE("a model with nothing optional: tied, without rotary positions, norms or biases") {
    EveryTensor every;
    every.stored.tied_output = 1;
    every.stored.n_rope_tables = 0;
    every.stored.n_layer = 1;
    every.layers[0].tensors = kAttentionRoles | kDenseRoles;
    const ModelConfig config = model_config(every.stored, std::span(every.layers).first(1));
    const std::vector<std::string> expected = {
        "0.0 token_embd.weight 300 x 64", "0.0 attn_q.weight 60 x 64",
        "0.0 attn_k.weight 20 x 64",      "0.0 attn_v.weight 20 x 64",
        "0.0 attn_output.weight 64 x 60", "0.0 ffn_gate.weight 96 x 64",
        "0.0 ffn_up.weight 96 x 64",      "0.0 ffn_down.weight 64 x 96",
        "0.0 output_norm.weight 1 x 64"};
    CHECK(listed(config) == expected);
}

TEST_CASE("a norm of queries and keys is over a head, or over all heads at once") {
    EveryTensor every;
    every.layers[1].norm_whole_qk = 1;
    const ModelConfig config = every.model();
    const auto n_cols = [&](Role role, size_t layer) {
        return shape_of(spec_of(role), config, layer).n_cols;
    };
    CHECK(n_cols(Role::attn_q_norm, 0) == 10);
    CHECK(n_cols(Role::attn_k_norm, 0) == 10);
    CHECK(n_cols(Role::attn_q_norm, 1) == 60);
    CHECK(n_cols(Role::attn_k_norm, 1) == 20);
}

TEST_CASE("every layer has its own shapes") {
    EveryTensor every;
    every.layers[1].n_head = 4;
    every.layers[1].n_head_kv = 1;
    every.layers[1].head_dim = 12;
    const ModelConfig config = every.model();
    const auto shape = [&](Role role, size_t layer) {
        return shape_of(spec_of(role), config, layer);
    };
    CHECK(shape(Role::attn_q, 0).n_rows == 60);
    CHECK(shape(Role::attn_q, 1).n_rows == 48);
    CHECK(shape(Role::attn_k, 1).n_rows == 12);
    CHECK(shape(Role::attn_v_bias, 1).n_cols == 12);
    CHECK(shape(Role::attn_output, 1).n_cols == 48);
    CHECK(shape(Role::ffn_gate, 1).n_rows == 0);
    CHECK(shape(Role::router, 0).n_rows == 0);
}

TEST_CASE("each tensor is where it belongs and stored as its use needs") {
    for (uint32_t i = 0; i < kNRoles; i++) {
        const TensorSpec& spec = spec_of(Role(i));
        CAPTURE(std::string(spec.name));
        CHECK(uint32_t(spec.role) == i);
        const std::string name(spec.name);
        const bool is_bias = name.ends_with(".bias"), is_norm = name.find("norm") < name.size();
        const bool plain = is_bias || is_norm || spec.role == Role::router;
        const Storage storage = spec.role == Role::rope_freqs ? Storage::f64
                                : plain                       ? Storage::f32
                                                              : Storage::matrix;
        CHECK(spec.storage == storage);
        const bool of_model = spec.role < Role::attn_norm || spec.role >= Role::output_norm;
        CHECK((spec.presence == Presence::if_layer_has) == !of_model);
        CHECK((layer_roles() & role_bit(spec.role)) == (of_model ? 0 : role_bit(spec.role)));
        const bool of_expert = spec.role >= Role::expert_gate && spec.role <= Role::expert_down;
        const ExtentKind kind = spec.role < Role::attn_norm      ? ExtentKind::embedding
                                : of_expert                      ? ExtentKind::expert
                                : spec.role >= Role::output_norm ? ExtentKind::output
                                                                 : ExtentKind::layer;
        CHECK(spec.kind == kind);
        CHECK(role_name(spec.role) == spec.name);
        for (uint32_t j = 0; j < i; j++) CHECK(spec_of(Role(j)).name != spec.name);
    }
    CHECK(role_name(Role(kNRoles)) == "unknown");
    CHECK(role_name(Role(~0u)) == "unknown");
    CHECK(kAttentionRoles == bits({Role::attn_q, Role::attn_k, Role::attn_v, Role::attn_output}));
    CHECK(kDenseRoles == bits({Role::ffn_gate, Role::ffn_up, Role::ffn_down}));
    CHECK(kExpertRoles ==
          bits({Role::router, Role::expert_gate, Role::expert_up, Role::expert_down}));
    CHECK(role_bit(Role::token_embd) == 1);
    CHECK(role_bit(Role::attn_q) == 8);
}

TEST_CASE("a model's configuration is what is stored, nothing swapped and nothing lost") {
    EveryTensor every;
    Config& c = every.stored;
    c.rms_eps = 0.5f;
    c.embedding_scale = 2;
    c.residual_scale = 3;
    c.logit_scale = 4;
    c.final_softcap = 5;
    c.expert_scale = 6;
    c.expert_gating = ExpertGating::sigmoid;
    const ModelConfig m = every.model();
    CHECK(m.n_vocab == 300);
    CHECK(m.n_embd == 64);
    CHECK(m.n_layer == 2);
    CHECK(m.n_ctx_train == 100);
    CHECK(m.n_expert_used == 2);
    CHECK(m.rms_eps == 0.5f);
    CHECK(m.embedding_scale == 2);
    CHECK(m.residual_scale == 3);
    CHECK(m.logit_scale == 4);
    CHECK(m.final_softcap == 5);
    CHECK(m.expert_scale == 6);
    CHECK(m.expert_gating == ExpertGating::sigmoid);
    CHECK_FALSE(m.expert_normalize);
    CHECK_FALSE(m.tied_output);
    CHECK(m.rope.size() == 3);
    CHECK(m.rope.data() == c.rope);
    CHECK(m.layers.data() == every.layers);
    CHECK(m.layers.size() == 2);
    CHECK(&m.layer(1) == &every.layers[1]);
    c.expert_normalize = 1;
    CHECK(every.model().expert_normalize);
    CHECK_FALSE(every.model().tied_output);
    c.expert_normalize = 0;
    c.tied_output = 1;
    CHECK(every.model().tied_output);
    CHECK_FALSE(every.model().expert_normalize);
}

TEST_CASE("the widest rotary table and the largest layer are found wherever they stand") {
    EveryTensor every;
    CHECK(every.model().rope_pairs() == 5);
    std::swap(every.stored.rope[0].n_dims, every.stored.rope[1].n_dims);
    CHECK(every.model().rope_pairs() == 5);
    every.stored.n_rope_tables = 0;
    CHECK(every.model().rope_pairs() == 0);
    const ModelConfig m = every.model();
    CHECK(m.most([](const LayerConfig& l) { return l.n_ff; }) == 96);
    CHECK(m.most([](const LayerConfig& l) { return l.n_expert; }) == 3);
    CHECK(m.most([](const LayerConfig& l) { return l.window; }) == 0);
    CHECK(m.layer(0).n_q() == 60);
    CHECK(m.layer(0).n_kv() == 20);
    CHECK(m.layer(0).head_dim_padded() == 16);
    every.layers[0].head_dim = 16;
    CHECK(m.layer(0).head_dim_padded() == 16);
    every.layers[0].head_dim = 18;
    CHECK(m.layer(0).head_dim_padded() == 32);
}

TEST_CASE("a context longer than a rotary table's own takes the longer table") {
    const EveryTensor every;
    const ModelConfig m = every.model();
    CHECK(m.rope_table(0, 1) == 0);
    CHECK(m.rope_table(0, 4096) == 0);
    CHECK(m.rope_table(0, 4097) == 2);
    CHECK(m.rope_table(0, kMaxCtx) == 2);
    CHECK(m.rope_table(1, kMaxCtx) == 1);
    CHECK(m.rope_table(2, 1) == 2);
}
