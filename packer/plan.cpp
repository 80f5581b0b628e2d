// SPDX-License-Identifier: MIT
#include "packer/plan.h"

#include <algorithm>
#include <cmath>

namespace axiom::packer {

uint64_t PlannedTensor::source_unit(uint64_t i) const {
    if (n_split == 0) return first_unit + i;
    const uint64_t head = i / head_dim, in_head = i % head_dim;
    if (in_head >= n_split) return first_unit + i;
    return first_unit + head * head_dim + in_head / 2 + (in_head % 2) * (n_split / 2);
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

std::vector<PlannedTensor> tensor_list(const ModelConfig& config) {
    std::vector<PlannedTensor> list;
    format::for_each_tensor(
        config, [&](const format::TensorSpec& spec, size_t layer, size_t expert) {
            PlannedTensor tensor;
            if (spec.presence == format::Presence::if_layer_has)
                tensor.name = "blk." + std::to_string(layer) + ".";
            tensor.name += spec.name;
            tensor.role = spec.role;
            tensor.layer = uint32_t(layer);
            tensor.expert = uint32_t(expert);
            tensor.type = spec.storage == format::Storage::f64   ? StoredType::f64
                          : spec.storage == format::Storage::f32 ? StoredType::f32
                                                                 : StoredType::q8;
            tensor.source_type = 0;
            const format::TensorShape shape = format::shape_of(spec, config, layer);
            tensor.n_rows = shape.n_rows;
            tensor.n_cols = shape.n_cols;
            list.push_back(std::move(tensor));
        });
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

}  // namespace axiom::packer
