// SPDX-License-Identifier: MIT
// The hyper-parameters of a llama-family transformer, validated, with the paper's derived sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/quant.h"

namespace axiom {

// What one layer has.
struct LayerConfig {
    static constexpr uint32_t kNoRope = 0xffffffff;

    size_t n_head = 0;
    size_t n_head_kv = 0;  // divides n_head (grouped-query attention)
    size_t head_dim = 0;
    size_t n_ff = 0;
    size_t window = 0;  // positions that a query sees, its own included; 0: all
    uint32_t rope = 0;  // which table of frequencies turns queries and keys; kNoRope: none
    size_t kv_of = 0;   // the layer whose keys and values are read: its own, or an earlier one's

    size_t n_q() const { return n_head * head_dim; }      // rows of attn_q
    size_t n_kv() const { return n_head_kv * head_dim; }  // rows of attn_k and attn_v
    // Cached heads are padded with zeros to the 16 lanes of the attention kernels.
    size_t head_dim_padded() const { return round_up(head_dim, 16); }
};

struct ModelConfig {
    size_t n_vocab = 0;
    size_t n_embd = 0;
    size_t n_layer = 0;
    size_t n_head = 0;
    size_t n_head_kv = 0;  // divides n_head (grouped-query attention)
    size_t head_dim = 0;
    size_t n_ff = 0;
    size_t n_ctx_train = 0;
    size_t rope_dim = 0;
    float rms_eps = 0;
    bool tied_output = false;
    size_t n_rope = 1;                         // tables of frequencies, each of rope_dim / 2
    std::span<const LayerConfig> layers = {};  // [n_layer]; empty: all as the values above say

    LayerConfig layer(size_t i) const {
        if (!layers.empty()) return layers[i];
        return {n_head, n_head_kv, head_dim, n_ff, 0, 0, i};
    }
    size_t n_q() const { return n_head * head_dim; }
    size_t n_kv() const { return n_head_kv * head_dim; }
};

}  // namespace axiom
