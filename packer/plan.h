// SPDX-License-Identifier: MIT
// What a packed file will hold, before any weight is touched: configuration, sections and tensors
// in file order. Made by convert (from a GGUF) or synthetic, written by writer.
#pragma once

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/quant.h"
#include "core/status.h"
#include "model/format/tensor_table.h"
#include "packer/gguf.h"
#include "packer/requant.h"

namespace axiom::packer {

// What storing added to a tensor's values, over its elements (padding left out).
struct ErrorStats {
    double max = 0;
    double sum_of_squares = 0;
};

// A tensor of the packed file and the part of a GGUF's tensor that it is made of. Where the source
// holds several (fused projections, experts), and where its rotary pairs are split in halves,
// unit i of the packed tensor is unit source_unit(i) of the source; units are the rows of a matrix
// and the elements of a vector.
struct PlannedTensor {
    std::string name;  // of the source, for messages
    format::Role role;
    uint32_t layer, expert;  // 0 where the kind has none
    StoredType type;
    uint32_t source_type;  // ggml_type
    uint64_t n_rows, n_cols;
    const gguf::Tensor* source = nullptr;  // where it comes from a GGUF
    uint64_t first_unit = 0;
    // Heads of head_dim units whose first n_split are pairs (i, i + n_split/2); 0: none are.
    uint32_t head_dim = 0, n_split = 0;

    const format::TensorSpec& spec() const { return format::spec_of(role); }
    bool is_matrix() const { return spec().storage == format::Storage::matrix; }
    uint64_t source_unit(uint64_t i) const;
};

struct Plan {
    // Fills stored bytes of a tensor's row groups [begin, end) at `out`, and groups' errors (in
    // order) at `errors`. Called from several threads on disjoint groups; a plain tensor (f32, f64)
    // is one group. Depends on nothing but its arguments.
    using Fill = std::function<Status(const PlannedTensor&, uint64_t begin, uint64_t end,
                                      uint8_t* out, ErrorStats* errors)>;

    std::string source_name;  // of the input, for messages
    format::Config config{};
    std::vector<LayerConfig> layers;
    std::vector<uint8_t> tokenizer, chat;  // extent bytes
    std::vector<std::string> notes;        // what a person should know
    std::vector<PlannedTensor> tensors;    // in the order of the file
    Fill fill;

    ModelConfig model() const { return model_config(config, layers); }
    std::string_view architecture() const {
        return {config.architecture, strnlen(config.architecture, sizeof config.architecture)};
    }
};

// Row groups to fill and the bytes of each; a plain tensor is one group.
uint64_t n_groups(const PlannedTensor& tensor);
uint64_t group_bytes(const PlannedTensor& tensor);

// `type`, or what stands in for a K format where n_cols is not a multiple of 256: q5 for q4k and
// q5k, q8 for q6k.
StoredType fitting_type(StoredType type, uint64_t n_cols);

// The tensors of a model, in file order, with shapes by the configuration and GGUF's names; source
// and the types of matrices are left for the maker.
std::vector<PlannedTensor> tensor_list(const ModelConfig& config);

// Quantizes the rows of one group, floats [up to 16, n_cols], into `out`, with padding.
// unsupported when a weight's magnitude does not fit; names tensor, row and column.
Status store_group(std::string_view source_name, const PlannedTensor& tensor, Search search,
                   uint64_t group, const float* rows, uint8_t* out);

// Adds the differences between a stored group and the floats it stands for.
void measure_group(const PlannedTensor& tensor, const float* rows, uint64_t n_rows,
                   const uint8_t* stored, ErrorStats* stats);

}  // namespace axiom::packer
