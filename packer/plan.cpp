// SPDX-License-Identifier: MIT
#include "packer/plan.h"

#include <algorithm>
#include <cmath>

namespace axiom::packer {

using format::Role;

bool is_matrix(Role role) {
    return role != Role::rope_freqs && role != Role::attn_norm && role != Role::ffn_norm &&
           role != Role::output_norm;
}

uint64_t n_groups(const PlannedTensor& tensor) {
    return is_quantized(tensor.type) ? (tensor.n_rows + kGroupRows - 1) / kGroupRows : 1;
}

uint64_t group_bytes(const PlannedTensor& tensor) {
    uint64_t bytes = 0;
    const bool fits = stored_bytes(
        tensor.type, is_quantized(tensor.type) ? kGroupRows : tensor.n_rows, tensor.n_cols, &bytes);
    AXIOM_CHECK(fits);  // the limits of model/format/format.h
    return bytes;
}

StoredType fitting_type(StoredType type, uint64_t n_cols) {
    if (!is_k_quant(type) || n_cols % (kSuperBlocks * kBlockCols) == 0) return type;
    return type == StoredType::q6k ? StoredType::q8 : StoredType::q5;
}

uint32_t extent_of(const PlannedTensor& tensor, uint32_t n_layer) {
    if (tensor.role <= Role::rope_freqs) return uint32_t(format::ExtentKind::embedding);
    const uint32_t first_layer = uint32_t(format::ExtentKind::layer);
    if (tensor.role <= Role::ffn_down) return first_layer + tensor.layer;
    return first_layer + n_layer;
}

std::vector<PlannedTensor> tensor_list(const format::Config& c) {
    std::vector<PlannedTensor> list;
    const uint64_t n_q = uint64_t(c.n_head) * c.head_dim;
    const uint64_t n_kv = uint64_t(c.n_head_kv) * c.head_dim;
    const auto add = [&](Role role, uint32_t layer, const char* stem, uint64_t rows,
                         uint64_t cols) {
        const bool in_layer = role >= Role::attn_norm && role <= Role::ffn_down;
        std::string name = in_layer ? "blk." + std::to_string(layer) + "." : "";
        name += std::string(stem) + ".weight";
        const StoredType type = role == Role::rope_freqs ? StoredType::f64
                                : is_matrix(role)        ? StoredType::q8
                                                         : StoredType::f32;
        list.push_back({std::move(name), role, layer, type, 0, rows, cols});
    };
    add(Role::token_embd, 0, "token_embd", c.n_vocab, c.n_embd);
    add(Role::rope_freqs, 0, "rope_freqs", 1, c.rope_dim / 2);
    for (uint32_t i = 0; i < c.n_layer; i++) {
        add(Role::attn_norm, i, "attn_norm", 1, c.n_embd);
        add(Role::attn_q, i, "attn_q", n_q, c.n_embd);
        add(Role::attn_k, i, "attn_k", n_kv, c.n_embd);
        add(Role::attn_v, i, "attn_v", n_kv, c.n_embd);
        add(Role::attn_output, i, "attn_output", c.n_embd, n_q);
        add(Role::ffn_norm, i, "ffn_norm", 1, c.n_embd);
        add(Role::ffn_gate, i, "ffn_gate", c.n_ff, c.n_embd);
        add(Role::ffn_up, i, "ffn_up", c.n_ff, c.n_embd);
        add(Role::ffn_down, i, "ffn_down", c.n_embd, c.n_ff);
    }
    add(Role::output_norm, 0, "output_norm", 1, c.n_embd);
    if (!c.tied_output) add(Role::output, 0, "output", c.n_vocab, c.n_embd);
    return list;
}

namespace {

Status too_large(std::string_view source_name, const PlannedTensor& tensor, uint64_t row,
                 size_t col) {
    return error(Code::unsupported, source_name, ": tensor ", Quoted{tensor.name}, " row ", row,
                 " columns from ", col, ": found a weight too large for ",
                 stored_type_name(tensor.type), ", allowed scales within binary16 (65504)");
}

// A super-block of a K format at `out`.
Status store_k_blocks(std::string_view source_name, const PlannedTensor& tensor, uint64_t first_row,
                      size_t n_rows, const float* rows, size_t col, uint8_t* out) {
    BlockSource blocks[kSuperBlocks] = {};
    SuperScales super{};
    for (size_t row = 0; row < kGroupRows; row++) {
        if (row >= n_rows) {
            for (BlockSource& block : blocks) zero_32(tensor.type, &block, row);
        } else if (!quantize_256(tensor.type, rows + row * tensor.n_cols + col, blocks, &super,
                                 row)) {
            return too_large(source_name, tensor, first_row + row, col);
        }
    }
    pack_super_scales(tensor.type, super, out);
    for (size_t b = 0; b < kSuperBlocks; b++)
        pack_block(tensor.type, blocks[b], out + block_offset(tensor.type, b));
    return {};
}

}  // namespace

Status store_group(std::string_view source_name, const PlannedTensor& tensor, Search search,
                   uint64_t group, const float* rows, uint8_t* out) {
    const uint64_t first_row = group * kGroupRows;
    const size_t n_rows = size_t(std::min<uint64_t>(kGroupRows, tensor.n_rows - first_row));
    const size_t n_cols = size_t(tensor.n_cols);
    if (is_k_quant(tensor.type)) {
        for (size_t col = 0; col < n_cols; col += kSuperBlocks * kBlockCols) {
            if (Status s = store_k_blocks(source_name, tensor, first_row, n_rows, rows, col,
                                          out + super_block_offset(tensor.type, col / kBlockCols));
                !s.ok()) {
                return s;
            }
        }
        return {};
    }
    for (size_t col = 0; col < n_cols; col += kBlockCols, out += block_bytes(tensor.type)) {
        BlockSource block{};
        for (size_t row = 0; row < kGroupRows; row++) {
            if (row >= n_rows) {
                zero_32(tensor.type, &block, row);
                continue;
            }
            float weights[kBlockCols] = {};
            std::copy_n(rows + row * n_cols + col, std::min(kBlockCols, n_cols - col), weights);
            if (!quantize_32(tensor.type, search, weights, &block, row))
                return too_large(source_name, tensor, first_row + row, col);
        }
        pack_block(tensor.type, block, out);
    }
    return {};
}

void measure_group(const PlannedTensor& tensor, const float* rows, uint64_t n_rows,
                   const uint8_t* stored, ErrorStats* stats) {
    std::vector<float> back(tensor.n_cols);
    for (size_t row = 0; row < n_rows; row++) {
        dequantize_row(tensor.type, stored, tensor.n_cols, row, back.data());
        for (size_t col = 0; col < tensor.n_cols; col++) {
            const double off = double(back[col]) - double(rows[row * tensor.n_cols + col]);
            stats->max = std::max(stats->max, std::fabs(off));
            stats->sum_of_squares += off * off;
        }
    }
}

std::vector<double> rope_frequencies(double base, uint32_t rope_dim, double linear_factor,
                                     const std::vector<float>& factors) {
    std::vector<double> freqs(rope_dim / 2);
    for (size_t i = 0; i < freqs.size(); i++) {
        freqs[i] = std::pow(base, -2.0 * double(i) / double(rope_dim)) / linear_factor;
        if (!factors.empty()) freqs[i] /= double(factors[i]);
    }
    return freqs;
}

}  // namespace axiom::packer
