// SPDX-License-Identifier: MIT
#include "packer/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <set>

#include "model/format/tokenizer_section.h"
#include "packer/dequant.h"
#include "packer/keep.h"
#include "packer/llama_keys.h"
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

// Weights of element order [row, col] as floats; the first that is not finite is an error.
Status rows_as_floats(std::string_view file, const PlannedTensor& tensor, uint64_t first_row,
                      uint64_t n_rows, float* out) {
    const auto type = TensorType(tensor.source->type);
    const gguf::BlockShape shape = gguf::block_shape(tensor.source->type);
    const uint64_t row_bytes = tensor.n_cols / shape.n_cols * shape.n_bytes;
    for (uint64_t row = first_row; row < first_row + n_rows; row++, out += tensor.n_cols) {
        dequantize(type, tensor.source->data.data() + row * row_bytes, tensor.n_cols, out);
        for (uint64_t col = 0; col < tensor.n_cols; col++) {
            if (std::isfinite(out[col])) continue;
            return error(Code::bad_format, file, ": tensor ", Quoted{tensor.name}, " element ",
                         row * tensor.n_cols + col, " (row ", row, ", column ", col, "): found ",
                         Fixed{double(out[col]), 0}, ", allowed finite weights");
        }
    }
    return {};
}

// One row group whose source blocks are kept as they are.
void copy_group(const PlannedTensor& tensor, uint64_t group, uint8_t* out) {
    const auto type = TensorType(tensor.source->type);
    const gguf::BlockShape shape = gguf::block_shape(tensor.source->type);
    const uint64_t row_bytes = tensor.n_cols / shape.n_cols * shape.n_bytes;
    const uint64_t first_row = group * kGroupRows;
    const uint8_t* const rows = tensor.source->data.data() + first_row * row_bytes;
    const size_t n_rows = size_t(std::min<uint64_t>(kGroupRows, tensor.n_rows - first_row));
    for (size_t i = 0; i < tensor.n_cols / kBlockCols; i++) {
        BlockSource block{};
        for (size_t lane = 0; lane < kGroupRows; lane++) {
            if (lane < n_rows) {
                copy_32(type, rows + lane * row_bytes, i, &block, lane);
            } else {
                zero_32(tensor.type, &block, lane);
            }
        }
        pack_block(tensor.type, block, out + block_offset(tensor.type, i));
        if (!is_k_quant(tensor.type) || i % kSuperBlocks != 0) continue;
        SuperScales super{};
        for (size_t lane = 0; lane < n_rows; lane++)
            copy_super_scales(type, rows + lane * row_bytes, i, &super, lane);
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

// Finds and checks the source of every planned tensor.
Status attach_sources(const gguf::File& file, const ConvertOptions& options, Plan* plan) {
    for (PlannedTensor& tensor : plan->tensors) {
        if (tensor.role == Role::rope_freqs) continue;
        const gguf::Tensor* source = file.tensor(tensor.name);
        if (!source) {
            return error(Code::not_found, file.name(), ": tensor ", Quoted{tensor.name},
                         " is missing");
        }
        if (source->n_cols != tensor.n_cols || source->n_rows != tensor.n_rows) {
            return field_error(file.name(), Text<128>("tensor ", Quoted{tensor.name}, " shape"),
                               source->info_offset,
                               Text<64>("[", source->n_cols, ", ", source->n_rows, "]"),
                               Text<96>("[", tensor.n_cols, ", ", tensor.n_rows, "] by the keys"));
        }
        tensor.source = source;
        tensor.source_type = source->type;
        if (is_matrix(tensor.role)) tensor.type = stored_type(tensor, options);
    }
    return {};
}

Status refuse_unknown(const gguf::File& file, const Plan& plan) {
    std::set<std::string_view> known;
    for (const PlannedTensor& tensor : plan.tensors) known.insert(tensor.name);
    for (const gguf::Tensor& tensor : file.tensors()) {
        if (known.contains(tensor.name) || is_rotary_table(tensor.name)) continue;
        return error(Code::unsupported, file.name(), ": tensor ", Quoted{tensor.name},
                     " at offset ", Hex{tensor.info_offset},
                     ": found a tensor this architecture's forward pass does not use (",
                     tensor.name.ends_with(".bias") ? "a bias" : "unknown",
                     "), allowed the plain llama tensors");
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
    Result<std::vector<uint8_t>> chat = build_chat_section(file, &plan->chat_note);
    if (!chat.ok()) return chat.status();
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
        std::vector<float> row(tensor.n_cols);
        if (Status s = rows_as_floats(source_name, tensor, 0, 1, row.data()); !s.ok()) return s;
        memcpy(out, row.data(), row.size() * sizeof(float));
        return {};
    };
}

}  // namespace

Result<Plan> plan_from_gguf(const gguf::File& file, const ConvertOptions& options) {
    Plan plan;
    plan.source_name = file.name();
    std::vector<double> freqs;
    if (Status s = read_llama_keys(file, &plan.config, &freqs); !s.ok()) return s;
    count_source(file, &plan.config);
    plan.tensors = tensor_list(plan.config);
    if (Status s = refuse_unknown(file, plan); !s.ok()) return s;
    if (Status s = attach_sources(file, options, &plan); !s.ok()) return s;
    if (Status s = build_sections(file, &plan); !s.ok()) return s;
    plan.fill = make_fill(plan.source_name, std::move(freqs));
    return plan;
}

}  // namespace axiom::packer
