// SPDX-License-Identifier: MIT
// The hyper-parameters of a llama-family transformer, validated, with the paper's derived sizes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/round.h"

namespace axiom {

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

    size_t n_q() const { return n_head * head_dim; }      // rows of attn_q
    size_t n_kv() const { return n_head_kv * head_dim; }  // rows of attn_k and attn_v
    // Cached heads are padded with zeros to the 16 lanes of the attention kernels.
    size_t head_dim_padded() const { return round_up(head_dim, 16); }
};

}  // namespace axiom
