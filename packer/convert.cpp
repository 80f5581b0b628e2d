// SPDX-License-Identifier: MIT
#include "packer/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "model/format/tokenizer_section.h"
#include "packer/dequant.h"
#include "packer/families.h"
#include "packer/keep.h"
#include "packer/requant.h"
#include "packer/sections.h"

namespace axiom::packer {
namespace {

using format::Role;
using gguf::TensorType;

// Tensors that hold nothing beyond what the keys say: rotary tables of old converters.
bool is_rotary_table(std::string_view name) {
    return name.ends_with("rotary_emb.inv_freq") || name.ends_with(".attn_rot_embd.weight") ||
           (name.starts_with("blk.") && name.ends_with(".rope_freqs.weight"));
}

// Where the source of a packed row begins.
const uint8_t* source_row(const PlannedTensor& tensor, uint64_t row) {
    const gguf::BlockShape shape = gguf::block_shape(tensor.source->type);
    const uint64_t row_bytes = tensor.n_cols / shape.n_cols * shape.n_bytes;
    return tensor.source->data.data() + tensor.source_unit(row) * row_bytes;
}

Status check_finite(std::string_view file, const PlannedTensor& tensor, uint64_t row, uint64_t col,
                    float value) {
    if (std::isfinite(value)) return {};
    return error(Code::bad_format, file, ": tensor ", Quoted{tensor.name}, " element ",
                 row * tensor.source->n_cols + col, " (row ", row, ", column ", col, "): found ",
                 Fixed{double(value), 0}, ", allowed finite weights");
}

// Packed rows as floats [n_rows, n_cols]; the first weight that is not finite is an error.
Status rows_as_floats(std::string_view file, const PlannedTensor& tensor, uint64_t first_row,
                      uint64_t n_rows, float* out) {
    const auto type = TensorType(tensor.source->type);
    for (uint64_t row = first_row; row < first_row + n_rows; row++, out += tensor.n_cols) {
        dequantize(type, source_row(tensor, row), tensor.n_cols, out);
        for (uint64_t col = 0; col < tensor.n_cols; col++) {
            if (Status s = check_finite(file, tensor, tensor.source_unit(row), col, out[col]);
                !s.ok()) {
                return s;
            }
        }
    }
    return {};
}

// A vector, its elements picked out of the source's.
Status vector_as_floats(std::string_view file, const PlannedTensor& tensor, float* out) {
    std::vector<float> all(tensor.source->n_cols);
    dequantize(TensorType(tensor.source->type), tensor.source->data.data(), all.size(), all.data());
    for (uint64_t i = 0; i < tensor.n_cols; i++) {
        const uint64_t from = tensor.source_unit(i);
        out[i] = all[from];
        if (Status s = check_finite(file, tensor, 0, from, out[i]); !s.ok()) return s;
    }
    return {};
}

// One row group whose source blocks are kept as they are.
void copy_group(const PlannedTensor& tensor, uint64_t group, uint8_t* out) {
    const auto type = TensorType(tensor.source->type);
    const uint64_t first_row = group * kGroupRows;
    const size_t n_rows = size_t(std::min<uint64_t>(kGroupRows, tensor.n_rows - first_row));
    const uint8_t* rows[kGroupRows] = {};
    for (size_t lane = 0; lane < n_rows; lane++) rows[lane] = source_row(tensor, first_row + lane);
    for (size_t i = 0; i < tensor.n_cols / kBlockCols; i++) {
        BlockSource block{};
        for (size_t lane = 0; lane < kGroupRows; lane++) {
            if (lane < n_rows) {
                copy_32(type, rows[lane], i, &block, lane);
            } else {
                zero_32(tensor.type, &block, lane);
            }
        }
        pack_block(tensor.type, block, out + block_offset(tensor.type, i));
        if (!is_k_quant(tensor.type) || i % kSuperBlocks != 0) continue;
        SuperScales super{};
        for (size_t lane = 0; lane < n_rows; lane++)
            copy_super_scales(type, rows[lane], i, &super, lane);
        pack_super_scales(tensor.type, super, out + super_block_offset(tensor.type, i));
    }
}

Status fill_matrix(std::string_view file, const PlannedTensor& tensor, uint64_t begin, uint64_t end,
                   uint8_t* out, ErrorStats* errors) {
    const size_t step = group_bytes(tensor);
    std::vector<float> rows(kGroupRows * tensor.n_cols);
    for (uint64_t group = begin; group < end; group++, out += step, errors++) {
        const uint64_t n_rows = std::min<uint64_t>(kGroupRows, tensor.n_rows - group * kGroupRows);
        if (Status s = rows_as_floats(file, tensor, group * kGroupRows, n_rows, rows.data());
            !s.ok()) {
            return s;
        }
        if (keeps_source(TensorType(tensor.source_type), tensor.type)) {
            copy_group(tensor, group, out);
        } else if (Status s = store_group(file, tensor, Search::rms, group, rows.data(), out);
                   !s.ok()) {
            return s;
        }
        measure_group(tensor, rows.data(), n_rows, out, errors);
    }
    return {};
}

// The element type a tensor will be stored in, by its role and the options.
StoredType stored_type(const PlannedTensor& tensor, const ConvertOptions& options) {
    const bool vocabulary = tensor.role == Role::token_embd || tensor.role == Role::output;
    const std::optional<StoredType> forced = vocabulary ? options.output_type : options.type;
    return forced ? fitting_type(*forced, tensor.n_cols)
                  : natural_type(TensorType(tensor.source_type));
}

// Where a tensor may be found: under its own name, or as part of one that holds several.
struct SourcePlace {
    std::string name;
    uint64_t first_unit = 0;  // of the source's rows, or of a vector's elements
    uint64_t n_units;         // that the source must have
};

// Gate and up projection, n_rows each, in one tensor: the gate's rows come first.
bool holds_gate(const gguf::File& file, const std::string& prefix, uint64_t n_rows) {
    const gguf::Tensor* const up = file.tensor(prefix + "ffn_up.weight");
    return up != nullptr && up->n_rows == 2 * n_rows &&
           file.tensor(prefix + "ffn_gate.weight") == nullptr;
}

SourcePlace find_source(const gguf::File& file, const ModelConfig& config,
                        const PlannedTensor& tensor) {
    const bool is_vector = tensor.n_rows == 1 && !tensor.is_matrix();
    SourcePlace place{tensor.name, 0, is_vector ? tensor.n_cols : tensor.n_rows};
    const format::ExtentKind kind = tensor.spec().kind;
    const std::string prefix = "blk." + std::to_string(tensor.layer) + ".";
    if (kind == format::ExtentKind::expert) {
        place.first_unit = tensor.expert * tensor.n_rows;
        place.n_units = config.layer(tensor.layer).n_expert * tensor.n_rows;
    }
    // Beside experts the dense block is the shared one.
    if (kind == format::ExtentKind::layer && config.layer(tensor.layer).n_expert != 0) {
        if (tensor.role == Role::ffn_gate) place.name = prefix + "ffn_gate_shexp.weight";
        if (tensor.role == Role::ffn_up) place.name = prefix + "ffn_up_shexp.weight";
        if (tensor.role == Role::ffn_down) place.name = prefix + "ffn_down_shexp.weight";
        if (place.name != tensor.name) return place;
    }
    if (kind != format::ExtentKind::layer || file.tensor(tensor.name) != nullptr) {
        if (tensor.role == Role::ffn_up && holds_gate(file, prefix, tensor.n_rows))
            return {tensor.name, tensor.n_rows, 2 * tensor.n_rows};
        return place;
    }
    const LayerConfig& layer = config.layer(tensor.layer);
    const uint64_t n_q = layer.n_q(), n_kv = layer.n_kv(), n_qkv = n_q + 2 * n_kv;
    switch (tensor.role) {
        case Role::attn_q:
            return {prefix + "attn_qkv.weight", 0, n_qkv};
        case Role::attn_k:
            return {prefix + "attn_qkv.weight", n_q, n_qkv};
        case Role::attn_v:
            return {prefix + "attn_qkv.weight", n_q + n_kv, n_qkv};
        case Role::attn_q_bias:
            return {prefix + "attn_qkv.bias", 0, n_qkv};
        case Role::attn_k_bias:
            return {prefix + "attn_qkv.bias", n_q, n_qkv};
        case Role::attn_v_bias:
            return {prefix + "attn_qkv.bias", n_q + n_kv, n_qkv};
        case Role::ffn_gate:
            if (!holds_gate(file, prefix, tensor.n_rows)) return place;
            return {prefix + "ffn_up.weight", 0, 2 * tensor.n_rows};
        default:
            return place;
    }
}

// Rows and elements that stand for rotated dimensions, heads after heads.
bool is_rotated(Role role) {
    switch (role) {
        case Role::attn_q:
        case Role::attn_k:
        case Role::attn_q_bias:
        case Role::attn_k_bias:
        case Role::attn_q_norm:
        case Role::attn_k_norm:
            return true;
        default:
            return false;
    }
}

Status attach_source(const gguf::File& file, const ModelKeys& keys, PlannedTensor* tensor) {
    const ModelConfig config = keys.model();
    const SourcePlace place = find_source(file, config, *tensor);
    const gguf::Tensor* const source = file.tensor(place.name);
    if (!source) {
        return error(Code::not_found, file.name(), ": tensor ", Quoted{tensor->name},
                     " is missing");
    }
    const bool is_vector = tensor->n_rows == 1 && !tensor->is_matrix();
    const uint64_t n_cols = is_vector ? place.n_units : tensor->n_cols;
    const uint64_t n_rows = is_vector ? 1 : place.n_units;
    if (source->n_cols != n_cols || source->n_rows != n_rows) {
        return field_error(file.name(), Text<128>("tensor ", Quoted{place.name}, " shape"),
                           source->info_offset,
                           Text<64>("[", source->n_cols, ", ", source->n_rows, "]"),
                           Text<96>("[", n_cols, ", ", n_rows, "] by the keys"));
    }
    tensor->name = place.name;
    tensor->source = source;
    tensor->source_type = source->type;
    tensor->first_unit = place.first_unit;
    if (keys.half_split && is_rotated(tensor->role)) {
        const LayerConfig& layer = config.layer(tensor->layer);
        tensor->head_dim = layer.head_dim;
        tensor->n_split = layer.rope == format::kNone ? 0 : config.rope[layer.rope].n_dims;
    }
    return {};
}

// Finds and checks the source of every planned tensor.
Status attach_sources(const gguf::File& file, const ModelKeys& keys, const ConvertOptions& options,
                      Plan* plan) {
    for (PlannedTensor& tensor : plan->tensors) {
        if (tensor.role == Role::rope_freqs) continue;
        if (Status s = attach_source(file, keys, &tensor); !s.ok()) return s;
        if (tensor.is_matrix()) tensor.type = stored_type(tensor, options);
    }
    return {};
}

Status refuse_unused(const gguf::File& file, const ModelKeys& keys, const Plan& plan) {
    std::set<const gguf::Tensor*> used(keys.rope.sources.begin(), keys.rope.sources.end());
    for (const PlannedTensor& tensor : plan.tensors) used.insert(tensor.source);
    for (const gguf::Tensor& tensor : file.tensors()) {
        if (used.contains(&tensor) || is_rotary_table(tensor.name)) continue;
        return error(Code::unsupported, file.name(), ": tensor ", Quoted{tensor.name},
                     " at offset ", Hex{tensor.info_offset}, ": found a tensor that ",
                     plan.architecture(), "'s forward pass does not use (",
                     tensor.name.ends_with(".bias") ? "a bias" : "unknown",
                     "), allowed the tensors llama.cpp has for it");
    }
    return {};
}

// Parameters as llama.cpp counts them: elements of every tensor in the file.
void count_source(const gguf::File& file, format::Config* config) {
    for (const gguf::Tensor& tensor : file.tensors()) {
        config->n_params += tensor.n_rows * tensor.n_cols;
        config->source_bytes += tensor.data.size();
    }
}

Status build_sections(const gguf::File& file, Plan* plan) {
    Result<std::vector<uint8_t>> tokenizer = build_tokenizer_section(file);
    if (!tokenizer.ok()) return tokenizer.status();
    plan->tokenizer = std::move(tokenizer.value());
    std::string note;
    Result<std::vector<uint8_t>> chat = build_chat_section(file, &note);
    if (!chat.ok()) return chat.status();
    if (!note.empty()) plan->notes.push_back(note);
    plan->chat = std::move(chat.value());

    format::TokenizerHeader header{};
    AXIOM_CHECK(plan->tokenizer.size() >= sizeof header);
    memcpy(&header, plan->tokenizer.data(), sizeof header);
    if (header.kind != format::Vocab::none && header.n_vocab != plan->config.n_vocab) {
        return field_error(file.name(), "tensor \"token_embd.weight\" rows",
                           file.tensor("token_embd.weight")->info_offset, plan->config.n_vocab,
                           Text<64>(header.n_vocab, ", the tokenizer's tokens"));
    }
    return {};
}

Plan::Fill make_fill(std::string source_name, std::vector<double> freqs) {
    return [source_name = std::move(source_name), freqs = std::move(freqs)](
               const PlannedTensor& tensor, uint64_t begin, uint64_t end, uint8_t* out,
               ErrorStats* errors) -> Status {
        if (tensor.role == Role::rope_freqs) {
            memcpy(out, freqs.data(), freqs.size() * sizeof(double));
            return {};
        }
        if (is_quantized(tensor.type))
            return fill_matrix(source_name, tensor, begin, end, out, errors);
        std::vector<float> values(tensor.n_rows * tensor.n_cols);
        Status status = tensor.n_rows == 1
                            ? vector_as_floats(source_name, tensor, values.data())
                            : rows_as_floats(source_name, tensor, 0, tensor.n_rows, values.data());
        memcpy(out, values.data(), values.size() * sizeof(float));
        return status;
    };
}

}  // namespace

Result<Plan> plan_from_gguf(const gguf::File& file, const ConvertOptions& options) {
    Plan plan;
    plan.source_name = file.name();
    ModelKeys keys;
    if (Status s = read_model_keys(file, &keys); !s.ok()) return s;
    plan.config = keys.config;
    plan.layers = keys.layers;
    plan.notes = keys.notes;
    count_source(file, &plan.config);
    plan.tensors = tensor_list(plan.model());
    if (Status s = attach_sources(file, keys, options, &plan); !s.ok()) return s;
    if (Status s = refuse_unused(file, keys, plan); !s.ok()) return s;
    if (Status s = build_sections(file, &plan); !s.ok()) return s;
    plan.fill = make_fill(plan.source_name, keys.rope.stored());
    return plan;
}

}  // namespace axiom::packer
