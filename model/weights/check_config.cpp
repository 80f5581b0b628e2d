// SPDX-License-Identifier: MIT
// What a stored configuration may say.
#include "model/weights/check.h"
#include "model/weights/weights.h"

namespace axiom {

using format::Config;
using format::RopeTable;

namespace {

constexpr double kLargestScale = 1e9;

Status check_model(const FieldCheck& check, const Config& c) {
    struct Limit {
        std::string_view name;
        const uint32_t* value;
        uint64_t low, high;
    };
    const Limit limits[] = {
        {"config.n_vocab", &c.n_vocab, 1, format::kMaxVocab},
        {"config.n_embd", &c.n_embd, 1, format::kMaxEmbd},
        {"config.n_layer", &c.n_layer, 1, format::kMaxLayers},
        {"config.n_ctx_train", &c.n_ctx_train, 1, format::kMaxCtx},
        {"config.n_rope_tables", &c.n_rope_tables, 0, format::kMaxRopeTables},
        {"config.tied_output", &c.tied_output, 0, 1},
        {"config.n_expert_used", &c.n_expert_used, 0, format::kMaxExpertsUsed},
        {"config.expert_gating", reinterpret_cast<const uint32_t*>(&c.expert_gating), 0, 1},
        {"config.expert_normalize", &c.expert_normalize, 0, 1},
        {"config.output_bias", &c.output_bias, 0, 1},
        {"config.reserved_word", &c.reserved_word, 0, 0},
    };
    for (const Limit& limit : limits) {
        if (Status s = check.range(limit.name, *limit.value, limit.low, limit.high); !s.ok())
            return s;
    }
    if (c.n_embd % 16 != 0)
        return check.wrong("config.n_embd", &c.n_embd, c.n_embd, "a multiple of 16");
    if (!(c.rms_eps > 0.0f && c.rms_eps < 1.0f)) {
        return check.wrong("config.rms_eps", &c.rms_eps, Fixed{double(c.rms_eps), 9},
                           "above 0, below 1");
    }
    const struct {
        std::string_view name;
        const float* value;
        double low;
    } scales[] = {
        {"config.embedding_scale", &c.embedding_scale, -kLargestScale},
        {"config.residual_scale", &c.residual_scale, -kLargestScale},
        {"config.logit_scale", &c.logit_scale, -kLargestScale},
        {"config.final_softcap", &c.final_softcap, 0},
        {"config.expert_scale", &c.expert_scale, -kLargestScale},
    };
    for (const auto& scale : scales) {
        if (Status s = check.range(scale.name, *scale.value, scale.low, kLargestScale); !s.ok())
            return s;
    }
    for (uint32_t i = 0; i < c.n_rope_tables; i++) {
        const RopeTable& t = c.rope[i];
        const auto name = [&](std::string_view field) {
            return Text<48>("config.rope[", i, "].", field);
        };
        if (Status s = check.range(name("n_dims").view(), t.n_dims, 2, format::kMaxHeadDim);
            !s.ok()) {
            return s;
        }
        if (t.n_dims % 2 != 0)
            return check.wrong(name("n_dims").view(), &t.n_dims, t.n_dims, "an even number");
        if (Status s = check.range(name("magnitude").view(), t.magnitude, 0, 1024); !s.ok())
            return s;
        if (t.max_ctx == 0) {
            if (t.longer == format::kNone) continue;
            return check.wrong(name("longer").view(), &t.longer, t.longer,
                               Text<48>(format::kNone, " (max_ctx is 0)").view());
        }
        if (t.longer < c.n_rope_tables && c.rope[t.longer].max_ctx == 0) continue;
        return check.wrong(name("longer").view(), &t.longer, t.longer,
                           Text<64>("a table below ", c.n_rope_tables, " for all contexts").view());
    }
    return check.zeros("config.reserved", c.reserved);
}

Status check_layer(const FieldCheck& check, const Config& c, std::span<const LayerConfig> layers,
                   size_t i) {
    const LayerConfig& l = layers[i];
    const auto name = [&](std::string_view field) {
        return Text<64>("config.layer[", uint64_t(i), "].", field);
    };
    const auto wrong = [&](std::string_view field, const void* at, auto found, auto allowed) {
        return check.wrong(name(field).view(), at, found, allowed);
    };
    struct Limit {
        std::string_view name;
        const uint32_t* value;
        uint64_t low, high;
    };
    const Limit limits[] = {
        {"kind", reinterpret_cast<const uint32_t*>(&l.kind), 0, 0},
        {"n_head", &l.n_head, 1, format::kMaxHeads},
        {"n_head_kv", &l.n_head_kv, 1, l.n_head},
        {"head_dim", &l.head_dim, 2, format::kMaxHeadDim},
        {"n_ff", &l.n_ff, 0, format::kMaxFf},
        {"n_ff_expert", &l.n_ff_expert, 0, format::kMaxFf},
        {"n_expert", &l.n_expert, 0, format::kMaxExperts},
        {"activation", reinterpret_cast<const uint32_t*>(&l.activation), 0, 1},
        {"window", &l.window, 0, format::kMaxCtx},
        {"norm_whole_qk", &l.norm_whole_qk, 0, 1},
    };
    for (const Limit& limit : limits) {
        if (Status s = check.range(name(limit.name).view(), *limit.value, limit.low, limit.high);
            !s.ok()) {
            return s;
        }
    }
    if (l.n_head % l.n_head_kv != 0) {
        return wrong("n_head_kv", &l.n_head_kv, l.n_head_kv,
                     Text<64>("a divisor of n_head = ", l.n_head).view());
    }
    if (l.head_dim % 2 != 0) return wrong("head_dim", &l.head_dim, l.head_dim, "an even number");
    if (l.rope != format::kNone) {
        if (l.rope >= c.n_rope_tables) {
            return wrong("rope", &l.rope, l.rope,
                         Text<48>("below ", c.n_rope_tables, ", or ", format::kNone).view());
        }
        for (uint32_t t = l.rope, n = 0; t != format::kNone && n < c.n_rope_tables;
             t = c.rope[t].longer, n++) {
            if (c.rope[t].n_dims <= l.head_dim) continue;
            return wrong("rope", &l.rope, Text<64>("a table of ", c.rope[t].n_dims, " dimensions"),
                         Text<64>("at most head_dim = ", l.head_dim));
        }
    }
    // Keys are read from a cache of this layer's own shape.
    if (l.kv_layer != i) {
        return wrong("kv_layer", &l.kv_layer, l.kv_layer, Text<32>(uint64_t(i)).view());
    }
    if (Status s = check.range(name("attn_scale").view(), l.attn_scale, 0, kLargestScale); !s.ok())
        return s;
    if (Status s = check.range(name("attn_softcap").view(), l.attn_softcap, 0, kLargestScale);
        !s.ok()) {
        return s;
    }
    const bool dense = l.n_ff != 0, experts = l.n_expert != 0;
    if (!dense && !experts)
        return wrong("n_expert", &l.n_expert, l.n_expert, "1 or more where n_ff is 0");
    if (experts && (c.n_expert_used < 1 || c.n_expert_used > l.n_expert)) {
        return check.wrong("config.n_expert_used", &c.n_expert_used, c.n_expert_used,
                           Text<64>("1..", l.n_expert, " (the experts of a layer)").view());
    }
    if (experts != (l.n_ff_expert != 0))
        return wrong("n_ff_expert", &l.n_ff_expert, l.n_ff_expert, "0 without experts, else not");
    const uint64_t required = format::kAttentionRoles | (dense ? format::kDenseRoles : 0) |
                              (experts ? format::kExpertRoles : 0);
    const uint64_t allowed = format::layer_roles() & ~(dense ? 0 : format::kDenseRoles) &
                             ~(experts ? 0 : format::kExpertRoles);
    if ((l.tensors & required) != required || (l.tensors & ~allowed) != 0) {
        return wrong("tensors", &l.tensors, Hex{l.tensors},
                     Text<80>("all of ", Hex{required}, ", none but ", Hex{allowed}).view());
    }
    return check.zeros(name("reserved").view(), l.reserved);
}

}  // namespace

Status check_config(std::string_view file, uint64_t offset, const Config& config,
                    std::span<const LayerConfig> layers) {
    if (Status s = check_model({file, offset, &config}, config); !s.ok()) return s;
    const FieldCheck check{file, offset + sizeof config, layers.data()};
    for (size_t i = 0; i < layers.size(); i++) {
        if (Status s = check_layer(check, config, layers, i); !s.ok()) return s;
    }
    return {};
}

}  // namespace axiom
