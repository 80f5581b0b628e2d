// SPDX-License-Identifier: MIT
#include "packer/families.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/format/tensor_table.h"
#include "packer/file_type.h"
#include "packer/keys.h"

namespace axiom::packer {
namespace {

using format::Activation;
using format::Role;
using format::role_bit;

// What read_model_keys() has read when a family's own part begins.
struct Reading {
    Keys& keys;
    ModelKeys& model;
    RopeScaling scaling;
    double rope_base = 0;
    uint32_t n_rope_dims = 0;

    uint32_t n_layer() const { return model.config.n_layer; }
    // The rotary tables of the whole model, and every layer on them.
    Status rotate_all(bool any_factors = false) {
        uint32_t table = 0;
        if (Status s = add_rope_tables(keys, rope_base, n_rope_dims, scaling, any_factors,
                                       &model.rope, &table);
            !s.ok()) {
            return s;
        }
        for (LayerConfig& layer : model.layers) layer.rope = table;
        return {};
    }
};

struct Family {
    std::string_view architecture;
    uint64_t norms;     // layer roles required beside attention and feed-forward
    uint64_t optional;  // those a file may have
    bool half_split;
    bool partial_rotation;
    bool experts, shared_expert;  // may have them
    Activation activation;
    Status (*read)(Reading& r);
};

// ---- what is peculiar to a family -----------------------------------------------------------

Status read_plain(Reading& r) {
    return r.rotate_all();
}

// Every fourth layer has no rotary positions; the file does not say so (llama.cpp's smollm3.cpp).
Status read_smollm3(Reading& r) {
    constexpr size_t kStep = 4;
    if (Status s = r.rotate_all(); !s.ok()) return s;
    for (size_t i = kStep - 1; i < r.n_layer(); i += kStep) r.model.layers[i].rope = format::kNone;
    return {};
}

// Which layers have a sliding window: an array of flags, or a period whose last layer has none.
Status read_window_pattern(Reading& r, uint32_t period, std::vector<bool>* windowed) {
    constexpr std::string_view kKey = "attention.sliding_window_pattern";
    windowed->assign(r.n_layer(), false);
    const gguf::Value* const value = r.keys.file().find(r.keys.name(kKey));
    if (value != nullptr && value->type == gguf::ValueType::array) {
        const bool flags = value->element_type == gguf::ValueType::boolean;
        std::vector<uint32_t> numbers;
        if (!flags) {
            if (Status s = r.keys.counts(kKey, r.n_layer(), 0, 1, {}, &numbers); !s.ok()) return s;
        } else if (value->n != r.n_layer()) {
            return r.keys.wrong(kKey, Text<48>("an array of ", value->n),
                                Text<64>("a flag for each of ", r.n_layer(), " layers"));
        }
        for (size_t i = 0; i < r.n_layer(); i++)
            (*windowed)[i] = flags ? value->raw[i] != 0 : numbers[i] != 0;
        return {};
    }
    if (value == nullptr)
        r.keys.say_default(kKey,
                           Text<48>("a period of ", period, ", its last layer without a window"));
    if (Status s = r.keys.count(kKey, 0, format::kMaxLayers, period, &period); !s.ok()) return s;
    for (size_t i = 0; i < r.n_layer(); i++)
        (*windowed)[i] = period == 0 || i % period + 1 < period;
    return {};
}

// A sliding window of `n` positions on the layers of a pattern, and their own rotary table.
Status add_windows(Reading& r, uint32_t n, uint32_t period, double base,
                   const RopeScaling& scaling) {
    std::vector<bool> windowed;
    if (Status s = read_window_pattern(r, period, &windowed); !s.ok()) return s;
    const uint32_t table =
        r.model.rope.add({r.n_rope_dims, float(rope_magnitude(scaling)), 0, format::kNone},
                         rope_frequencies(base, r.n_rope_dims, scaling, {}));
    for (size_t i = 0; i < r.n_layer(); i++) {
        if (!windowed[i]) continue;
        r.model.layers[i].window = n;
        r.model.layers[i].rope = table;
    }
    return {};
}

// Gemma's embedding scale, and the queries' scale of its largest sizes.
void scale_gemma(Reading& r, uint32_t n_layer_of_27b) {
    r.model.config.embedding_scale = std::sqrt(float(r.model.config.n_embd));
    for (LayerConfig& layer : r.model.layers) {
        const uint32_t width = r.n_layer() == n_layer_of_27b
                                   ? r.model.config.n_embd / r.model.layers[0].n_head
                                   : layer.head_dim;
        layer.attn_scale = 1.0f / std::sqrt(float(width));
    }
}

Status read_softcap(Reading& r, std::string_view key, double by_default, float* cap) {
    if (!r.keys.has(key)) r.keys.say_default(key, Text<24>(Fixed{by_default, 1}));
    return r.keys.number(key, 1e-3, 1e6, by_default, cap);
}

Status read_gemma2(Reading& r) {
    constexpr std::string_view kWindow = "attention.sliding_window";
    if (Status s = r.rotate_all(); !s.ok()) return s;
    uint32_t window = 0;
    if (!r.keys.has(kWindow)) r.keys.say_default(kWindow, "4096");
    if (Status s = r.keys.count(kWindow, 1, format::kMaxCtx, 4096, &window); !s.ok()) return s;
    double base = 0;
    if (Status s = r.keys.number("rope.freq_base_swa", 1, 1e12, r.rope_base, &base); !s.ok())
        return s;
    if (Status s = add_windows(r, window, 2, base, r.scaling); !s.ok()) return s;
    float cap = 0;
    if (Status s = read_softcap(r, "attn_logit_softcapping", 50, &cap); !s.ok()) return s;
    for (LayerConfig& layer : r.model.layers) layer.attn_softcap = cap;
    scale_gemma(r, 46);
    return read_softcap(r, "final_logit_softcapping", 30, &r.model.config.final_softcap);
}

// Linear scaling holds for the layers without a window only.
Status read_gemma3(Reading& r) {
    if (Status s = r.rotate_all(); !s.ok()) return s;
    uint32_t window = 0;
    if (Status s = r.keys.count("attention.sliding_window", 0, format::kMaxCtx, 0, &window);
        !s.ok()) {
        return s;
    }
    if (window != 0) {
        double base = 0;
        if (!r.keys.has("rope.freq_base_swa")) r.keys.say_default("rope.freq_base_swa", "10000");
        if (Status s = r.keys.number("rope.freq_base_swa", 1, 1e12, 10000, &base); !s.ok())
            return s;
        if (Status s = add_windows(r, window, 6, base, {}); !s.ok()) return s;
    }
    scale_gemma(r, 62);
    return r.keys.number("final_logit_softcapping", 0, 1e6, 0, &r.model.config.final_softcap);
}

Status read_phi3(Reading& r) {
    return r.rotate_all(true);
}

// 0 stands for "none" in a file.
Status read_scale(Reading& r, std::string_view key, bool required, float none, float* out,
                  double low = -1e6) {
    const std::optional<double> fallback = required ? std::nullopt : std::optional<double>(0);
    if (Status s = r.keys.number(key, low, 1e6, fallback, out); !s.ok()) return s;
    if (*out == 0) *out = none;
    return {};
}

Status read_granite_moe(Reading& r) {
    format::Config& c = r.model.config;
    float logit_scale = 1, attention_scale = 0;
    if (Status s = read_scale(r, "logit_scale", true, 1, &logit_scale); !s.ok()) return s;
    if (Status s = read_scale(r, "residual_scale", false, 1, &c.residual_scale); !s.ok()) return s;
    if (Status s = read_scale(r, "embedding_scale", false, 1, &c.embedding_scale); !s.ok())
        return s;
    if (Status s = read_scale(r, "attention.scale", false, 0, &attention_scale, 0); !s.ok())
        return s;
    if (std::fabs(logit_scale) < 1e-6f) {
        return r.keys.wrong("logit_scale", Fixed{double(logit_scale), 9},
                            "0, or a divisor of at least 1/1000000");
    }
    c.logit_scale = 1.0f / logit_scale;  // the file has the divisor
    if (attention_scale != 0) {
        for (LayerConfig& layer : r.model.layers) layer.attn_scale = attention_scale;
    }
    return r.rotate_all();
}

// The dense one has a switch for rotary positions.
Status read_granite(Reading& r) {
    if (Status s = read_granite_moe(r); !s.ok()) return s;
    const Result<bool> rotated = r.keys.file().boolean(r.keys.name("rope.scaling.finetuned"), true);
    if (!rotated.ok()) return rotated.status();
    if (rotated.value()) return {};
    r.model.rope = {};
    for (LayerConfig& layer : r.model.layers) layer.rope = format::kNone;
    return {};
}

// Norms of queries and keys are over all heads at once; OLMo 3 has windows, on whose layers nothing
// of rope.scaling counts.
Status read_olmo2(Reading& r) {
    constexpr std::string_view kWindow = "attention.sliding_window";
    for (LayerConfig& layer : r.model.layers) layer.norm_whole_qk = 1;
    if (Status s = r.rotate_all(); !s.ok()) return s;
    uint32_t window = 0;
    if (Status s = r.keys.count(kWindow, 0, format::kMaxCtx, 0, &window); !s.ok()) return s;
    return window == 0 ? Status() : add_windows(r, window, 4, r.rope_base, {});
}

// ---- the table ------------------------------------------------------------------------------

constexpr uint64_t kPreNorms = role_bit(Role::attn_norm) | role_bit(Role::ffn_norm);
constexpr uint64_t kPostNorms = role_bit(Role::attn_post_norm) | role_bit(Role::ffn_post_norm);
constexpr uint64_t kQkNorms = role_bit(Role::attn_q_norm) | role_bit(Role::attn_k_norm);
constexpr uint64_t kQkvBias =
    role_bit(Role::attn_q_bias) | role_bit(Role::attn_k_bias) | role_bit(Role::attn_v_bias);
constexpr uint64_t kOtherBias = role_bit(Role::attn_output_bias) | role_bit(Role::ffn_gate_bias) |
                                role_bit(Role::ffn_up_bias) | role_bit(Role::ffn_down_bias);

// clang-format off
constexpr Family kFamilies[] = {
    // architecture, norms, optional tensors, half-split rotation, part of a head may be rotated, experts, a shared one
    {"llama",      kPreNorms,                         kQkvBias | kOtherBias, false, false, true,  false, Activation::silu,      read_plain},
    {"smollm3",    kPreNorms,                         kQkvBias,              false, false, false, false, Activation::silu,      read_smollm3},
    {"qwen2",      kPreNorms,                         kQkvBias,              true,  false, false, false, Activation::silu,      read_plain},
    {"qwen3",      kPreNorms | kQkNorms,              kQkvBias,              true,  false, false, false, Activation::silu,      read_plain},
    {"qwen3moe",   kPreNorms | kQkNorms,              kQkvBias,              true,  false, true,  false, Activation::silu,      read_plain},
    {"gemma2",     kPreNorms | kPostNorms,            kQkvBias,              true,  true,  false, false, Activation::gelu_tanh, read_gemma2},
    {"gemma3",     kPreNorms | kPostNorms | kQkNorms, kQkvBias,              true,  true,  false, false, Activation::gelu_tanh, read_gemma3},
    {"phi3",       kPreNorms,                         kQkvBias,              true,  true,  false, false, Activation::silu,      read_phi3},
    {"granite",    kPreNorms,                         kQkvBias | kOtherBias, false, false, true,  true,  Activation::silu,      read_granite},
    {"olmo2",      kPostNorms | kQkNorms,             kQkvBias,              true,  false, false, false, Activation::silu,      read_olmo2},
    {"granitemoe", kPreNorms,                         kQkvBias | kOtherBias, false, false, true,  true,  Activation::silu,      read_granite_moe},
};
// clang-format on

const Family* find_family(std::string_view architecture) {
    for (const Family& family : kFamilies) {
        if (family.architecture == architecture) return &family;
    }
    return nullptr;
}

// ---- what all families have -----------------------------------------------------------------

Status read_experts(Reading& r, const Family& family, std::vector<uint32_t>& n_ff) {
    uint32_t n_expert = 0;
    if (Status s = r.keys.count("expert_count", 0, format::kMaxExperts, 0, &n_expert); !s.ok())
        return s;
    if (family.architecture == "qwen3moe" && n_expert == 0)
        return r.keys.refuse("expert_count", 0, "1 or more for this architecture");
    if (n_expert == 0) return {};
    if (!family.experts) {
        return r.keys.refuse("expert_count", Text<48>(n_expert, " (mixture of experts)"),
                             "0 (a dense model) for this architecture");
    }
    uint32_t shared = 0;
    if (family.shared_expert) {
        if (Status s =
                r.keys.count("expert_shared_feed_forward_length", 0, format::kMaxFf, 0, &shared);
            !s.ok()) {
            return s;
        }
    }
    const uint32_t most = std::min(n_expert, format::kMaxExpertsUsed);
    format::Config& c = r.model.config;
    if (Status s = r.keys.count("expert_used_count", 1, most, {}, &c.n_expert_used); !s.ok())
        return s;
    c.expert_gating = format::ExpertGating::softmax;
    c.expert_normalize = 1;
    if (family.architecture == "qwen3moe") {
        const bool said = r.keys.has("expert_feed_forward_length");
        if (!said) {
            for (uint32_t& n : n_ff) n /= c.n_expert_used;
        } else if (Status s = r.keys.counts("expert_feed_forward_length", r.n_layer(), 1,
                                            format::kMaxFf, {}, &n_ff);
                   !s.ok()) {
            return s;
        }
    }
    for (size_t i = 0; i < r.n_layer(); i++) {
        LayerConfig& layer = r.model.layers[i];
        layer.n_expert = n_expert;
        layer.n_ff_expert = n_ff[i];
        layer.n_ff = shared;
    }
    return {};
}

Status read_head_dim(const Keys& keys, uint32_t n_embd, uint32_t n_head, uint32_t* head_dim) {
    constexpr std::string_view kKey = "attention.key_length", kValue = "attention.value_length";
    if (n_head > n_embd || (!keys.has(kKey) && n_embd % n_head != 0)) {
        return keys.wrong(
            "attention.head_count", n_head,
            Text<96>(keys.has(kKey) ? "at most" : "a divisor of", " embedding_length ", n_embd));
    }
    const uint32_t by_default = n_embd / n_head;
    uint32_t value_length = 0;
    if (Status s = keys.count(kKey, 1, format::kMaxHeadDim, by_default, head_dim); !s.ok())
        return s;
    if (Status s = keys.count(kValue, 1, format::kMaxHeadDim, by_default, &value_length); !s.ok())
        return s;
    if (*head_dim < 1 || *head_dim > format::kMaxHeadDim) {
        return keys.wrong("embedding_length", n_embd,
                          Text<96>("1..", format::kMaxHeadDim, " times head_count ", n_head));
    }
    if (*head_dim % 2 != 0)
        return keys.refuse(kKey, *head_dim, "an even number (rotary positions turn pairs)");
    if (value_length != *head_dim)
        return keys.refuse(kValue, value_length, Text<64>("key_length, ", *head_dim));
    return {};
}

Status read_layers(Reading& r, const Family& family) {
    const Keys& keys = r.keys;
    const format::Config& c = r.model.config;
    std::vector<uint32_t> n_head, n_head_kv, n_ff;
    if (Status s =
            keys.counts("attention.head_count", c.n_layer, 1, format::kMaxHeads, {}, &n_head);
        !s.ok()) {
        return s;
    }
    if (Status s = keys.counts("attention.head_count_kv", c.n_layer, 1, format::kMaxHeads,
                               n_head[0], &n_head_kv);
        !s.ok()) {
        return s;
    }
    if (!keys.has("attention.head_count_kv")) n_head_kv = n_head;
    const std::optional<uint32_t> no_ff =
        keys.has("expert_feed_forward_length") ? std::optional<uint32_t>(0) : std::nullopt;
    if (Status s = keys.counts("feed_forward_length", c.n_layer, no_ff ? 0 : 1, format::kMaxFf,
                               no_ff, &n_ff);
        !s.ok()) {
        return s;
    }
    uint32_t head_dim = 0;
    if (Status s = read_head_dim(keys, c.n_embd, n_head[0], &head_dim); !s.ok()) return s;
    r.model.layers.assign(c.n_layer, {});
    for (size_t i = 0; i < c.n_layer; i++) {
        LayerConfig& layer = r.model.layers[i];
        if (n_head[i] % n_head_kv[i] != 0) {
            return keys.wrong("attention.head_count_kv", n_head_kv[i],
                              Text<64>("a divisor of head_count ", n_head[i]));
        }
        layer.n_head = n_head[i];
        layer.n_head_kv = n_head_kv[i];
        layer.head_dim = head_dim;
        layer.n_ff = n_ff[i];
        layer.activation = family.activation;
        layer.rope = format::kNone;
        layer.kv_layer = uint32_t(i);
        layer.attn_scale = 1.0f / std::sqrt(float(head_dim));
    }
    return read_experts(r, family, n_ff);
}

Status read_rope_keys(Reading& r, const Family& family) {
    const uint32_t head_dim = r.model.layers[0].head_dim;
    constexpr std::string_view kDims = "rope.dimension_count", kBase = "rope.freq_base";
    if (Status s = r.keys.count(kDims, 1, format::kMaxHeadDim, head_dim, &r.n_rope_dims); !s.ok())
        return s;
    const bool part = family.partial_rotation;
    if (r.n_rope_dims % 2 != 0 || (part ? r.n_rope_dims > head_dim : r.n_rope_dims != head_dim)) {
        return r.keys.wrong(kDims, r.n_rope_dims,
                            part ? Text<64>("an even number up to the head's ", head_dim)
                                 : Text<64>("the head's ", head_dim));
    }
    if (!r.keys.has(kBase)) r.keys.say_default(kBase, "10000");
    if (Status s = r.keys.number(kBase, 1, 1e12, 10000, &r.rope_base); !s.ok()) return s;
    return read_rope_scaling(r.keys, r.model.config.n_ctx_train, &r.scaling);
}

// Keys that switch llama.cpp to a graph we do not have.
Status refuse_other_graphs(const Keys& keys) {
    const Result<bool> causal = keys.file().boolean(keys.name("attention.causal"), true);
    if (!causal.ok()) return causal.status();
    if (!causal.value()) return keys.refuse("attention.causal", "false", "true");
    for (const std::string_view key : {"nextn_predict_layers", "expert_group_count"}) {
        uint32_t n = 0;
        if (Status s = keys.count(key, 0, UINT32_MAX, 0, &n); !s.ok()) return s;
        const uint32_t most = key == "expert_group_count" ? 1 : 0;
        if (n > most) return keys.refuse(key, n, Text<16>("0..", most));
    }
    return {};
}

Status read_shape(const Keys& keys, format::Config* c) {
    using namespace format;
    if (Status s = keys.count("block_count", 1, kMaxLayers, {}, &c->n_layer); !s.ok()) return s;
    if (Status s = keys.count("context_length", 1, kMaxCtx, {}, &c->n_ctx_train); !s.ok()) return s;
    if (Status s = keys.count("embedding_length", 1, kMaxEmbd, {}, &c->n_embd); !s.ok()) return s;
    if (c->n_embd % 16 != 0) return keys.refuse("embedding_length", c->n_embd, "a multiple of 16");
    constexpr std::string_view kEps = "attention.layer_norm_rms_epsilon";
    if (Status s = keys.number(kEps, 1e-30, 0.5, {}, &c->rms_eps); !s.ok()) return s;

    if (Status s = refuse_other_graphs(keys); !s.ok()) return s;
    const gguf::File& file = keys.file();
    const gguf::Tensor* embedding = file.tensor("token_embd.weight");
    if (!embedding) {
        return error(Code::not_found, file.name(), ": tensor \"token_embd.weight\" is missing");
    }
    if (embedding->n_rows > kMaxVocab) {
        return field_error(file.name(), "tensor \"token_embd.weight\" rows", embedding->info_offset,
                           embedding->n_rows, Text<32>("1..", kMaxVocab));
    }
    c->n_vocab = uint32_t(embedding->n_rows);
    c->tied_output = file.tensor("output.weight") == nullptr;
    c->output_bias = keys.prefix() == "qwen2." && file.tensor("output.bias") != nullptr;
    c->embedding_scale = c->residual_scale = c->logit_scale = c->expert_scale = 1;
    return {};
}

void say_ignored_window(Reading& r) {
    constexpr std::string_view kKey = "attention.sliding_window";
    const Result<uint64_t> window = r.keys.file().u64(r.keys.name(kKey), 0);
    const bool used = std::any_of(r.model.layers.begin(), r.model.layers.end(),
                                  [](const LayerConfig& layer) { return layer.window != 0; });
    if (used || !window.ok() || window.value() == 0) return;
    r.keys.say("key " + r.keys.name(kKey) + " is ignored, as llama.cpp does for this architecture");
}

// Which of its optional tensors each layer has; a missing one that is needed is found when sources
// are attached.
void find_tensors(const gguf::File& file, const Family& family, ModelKeys* model) {
    for (size_t i = 0; i < model->layers.size(); i++) {
        LayerConfig& layer = model->layers[i];
        layer.tensors = format::kAttentionRoles | family.norms |
                        (layer.n_expert != 0 ? format::kExpertRoles : 0) |
                        (layer.n_ff != 0 ? format::kDenseRoles : 0);
        const std::string prefix = "blk." + std::to_string(i) + ".";
        for (const format::TensorSpec& spec : format::kTensorTable) {
            if ((family.optional & role_bit(spec.role)) == 0) continue;
            const bool fused = (kQkvBias & role_bit(spec.role)) != 0 &&
                               file.tensor(prefix + "attn_qkv.bias") != nullptr;
            if (fused || file.tensor(prefix + std::string(spec.name)) != nullptr)
                layer.tensors |= role_bit(spec.role);
        }
    }
}

// As much of a text as fits, cut at a UTF-8 boundary and NUL-terminated.
template <size_t N>
void copy_text(std::string_view text, char (&out)[N]) {
    size_t n = std::min(text.size(), N - 1);
    if (n < text.size()) {
        while (n > 0 && (uint8_t(text[n]) & 0xC0) == 0x80) n--;
    }
    memcpy(out, text.data(), n);
}

Status read_names(const gguf::File& file, std::string_view architecture, format::Config* c) {
    const Result<std::string_view> name = file.string("general.name", "");
    if (!name.ok()) return name.status();
    const Result<uint64_t> file_type = file.u64("general.file_type", 0);
    if (!file_type.ok()) return file_type.status();
    copy_text(name.value(), c->name);
    copy_text(architecture, c->architecture);
    c->file_type = uint32_t(std::min<uint64_t>(file_type.value(), UINT32_MAX));
    const bool known = file.find("general.file_type") != nullptr;
    copy_text(known ? file_type_name(file_type.value()) : "unknown", c->quantization);
    return {};
}

}  // namespace

Status read_model_keys(const gguf::File& file, ModelKeys* out) {
    const Result<std::string_view> architecture = file.string("general.architecture");
    if (!architecture.ok()) return architecture.status();
    const Family* const family = find_family(architecture.value());
    if (family == nullptr) {
        const gguf::Value* const value = file.find("general.architecture");
        return error(Code::unsupported, file.name(), ": key \"general.architecture\" at offset ",
                     Hex{value->offset}, ": found ", Quoted{architecture.value()}, ", allowed ",
                     std::string_view(supported_architectures()));
    }
    Keys keys(file, architecture.value());
    out->half_split = family->half_split;
    if (Status s = read_shape(keys, &out->config); !s.ok()) return s;
    Reading reading{keys, *out, {}, 0, 0};
    if (Status s = read_layers(reading, *family); !s.ok()) return s;
    if (Status s = read_rope_keys(reading, *family); !s.ok()) return s;
    if (Status s = family->read(reading); !s.ok()) return s;
    say_ignored_window(reading);
    find_tensors(file, *family, out);
    out->config.n_rope_tables = uint32_t(out->rope.tables.size());
    std::copy(out->rope.tables.begin(), out->rope.tables.end(), out->config.rope);
    out->notes = keys.notes();
    return read_names(file, architecture.value(), &out->config);
}

std::string supported_architectures() {
    std::string names;
    for (const Family& family : kFamilies)
        names += (names.empty() ? "" : ", ") + std::string(family.architecture);
    return names;
}

}  // namespace axiom::packer
