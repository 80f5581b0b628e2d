// SPDX-License-Identifier: MIT
// The keys and tensors of rotary positions -> the rotary tables of the packed file: bases, linear
// scaling, Llama 3's factors, YaRN (Peng et al. 2023), longrope (Ding et al. 2024), by llama.cpp's
// definitions.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "model/format/format.h"
#include "packer/keys.h"

namespace axiom::packer {

struct RopeSet {
    std::vector<format::RopeTable> tables;
    std::vector<std::vector<double>> freqs;    // of each table: [n_dims / 2] radians per position
    std::vector<const gguf::Tensor*> sources;  // tensors that were read for them

    uint32_t add(const format::RopeTable& table, std::vector<double> radians);
    // The stored tensor, [tables, pairs of the widest], short rows ending in zeros.
    std::vector<double> stored() const;
};

// What llama.cpp calls rope scaling, as far as a file can say it.
struct RopeScaling {
    double factor = 1;  // positions are divided by it
    bool yarn = false;  // only the slow rotations are, and cosine and sine grow
    bool longrope = false;
    double attn_factor = 1;
    uint32_t n_ctx_original = 0;
};
Status read_rope_scaling(Keys& keys, uint32_t n_ctx_train, RopeScaling* out);

// Frequencies of pair i: base^(-2i/n_dims) / factors[i], scaled; `factors` is empty or has n_dims/2
// elements.
std::vector<double> rope_frequencies(double base, uint32_t n_dims, const RopeScaling& scaling,
                                     const std::vector<float>& factors);
double rope_magnitude(const RopeScaling& scaling);

// The tables for a base: one, or two where the file has factors for short and long contexts.
// `any_factors`: longrope's tensors count whatever rope.scaling.type says (phi3).
Status add_rope_tables(const Keys& keys, double base, uint32_t n_dims, const RopeScaling& scaling,
                       bool any_factors, RopeSet* out, uint32_t* first_table);

}  // namespace axiom::packer
