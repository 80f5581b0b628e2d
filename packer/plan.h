// SPDX-License-Identifier: MIT
// What a packed file will hold, before any weight is touched: configuration, sections and tensors
// in file order. Made by convert (from a GGUF) or synthetic, written by writer.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/quant.h"
#include "core/status.h"
#include "model/format/format.h"
#include "packer/gguf.h"
#include "packer/requant.h"

namespace axiom::packer {

// What storing added to a tensor's values, over its elements (padding left out).
struct ErrorStats {
    double max = 0;
    double sum_of_squares = 0;
};

struct PlannedTensor {
    std::string name;  // as in the GGUF, for messages
    format::Role role;
    uint32_t layer;  // of a layer's tensors; otherwise 0
    StoredType type;
    uint32_t source_type;  // ggml_type
    uint64_t n_rows, n_cols;
    const gguf::Tensor* source = nullptr;  // where it comes from a GGUF
};

struct Plan {
    // Fills stored bytes of a tensor's row groups [begin, end) at `out`, and groups' errors (in
    // order) at `errors`. Called from several threads on disjoint groups; a plain tensor (f32, f64)
    // is one group. Depends on nothing but its arguments.
    using Fill = std::function<Status(const PlannedTensor&, uint64_t begin, uint64_t end,
                                      uint8_t* out, ErrorStats* errors)>;

    std::string source_name;  // of the input, for messages
    format::Config config{};
    std::vector<uint8_t> tokenizer, chat;  // extent bytes
    std::string chat_note;                 // what a person should know about the chat template
    std::vector<PlannedTensor> tensors;    // in the order of the file
    Fill fill;
};

// Whether a role is stored in a quantized type (the others are vectors).
bool is_matrix(format::Role role);

// Row groups to fill and the bytes of each; a plain tensor is one group.
uint64_t n_groups(const PlannedTensor& tensor);
uint64_t group_bytes(const PlannedTensor& tensor);

// `type`, or what stands in for a K format where n_cols is not a multiple of 256: q5 for q4k and
// q5k, q8 for q6k.
StoredType fitting_type(StoredType type, uint64_t n_cols);

// The extent a tensor stands in: index into the extent table of a model of n_layer layers.
uint32_t extent_of(const PlannedTensor& tensor, uint32_t n_layer);

// The tensors every plan has, in file order, with shapes from the config; source and type are left
// for the maker. Role order is the order of the forward pass (model/format/format.h).
std::vector<PlannedTensor> tensor_list(const format::Config& config);

// Quantizes the rows of one group, floats [up to 16, n_cols], into `out`, with padding.
// unsupported when a weight's magnitude does not fit; names tensor, row and column.
Status store_group(std::string_view source_name, const PlannedTensor& tensor, Search search,
                   uint64_t group, const float* rows, uint8_t* out);

// Adds the differences between a stored group and the floats it stands for.
void measure_group(const PlannedTensor& tensor, const float* rows, uint64_t n_rows,
                   const uint8_t* stored, ErrorStats* stats);

// Rotary frequencies, radians per position of pair i: base^(-2i/rope_dim) / linear_factor /
// factors[i]. `factors` is empty or has rope_dim/2 elements.
std::vector<double> rope_frequencies(double base, uint32_t rope_dim, double linear_factor,
                                     const std::vector<float>& factors);

}  // namespace axiom::packer
