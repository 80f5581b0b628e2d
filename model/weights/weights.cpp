// SPDX-License-Identifier: MIT
#include "model/weights/weights.h"

#include <algorithm>
#include <cstring>

namespace axiom {

using format::Config;
using format::Extent;
using format::ExtentKind;
using format::TensorEntry;
using format::TensorSpec;

namespace {

struct StoredConfig {
    const Config* config;
    std::span<const LayerConfig> layers;
};

Result<StoredConfig> read_config(std::string_view file, const FileLayout& layout,
                                 std::span<const uint8_t> bytes) {
    const size_t i_extent = layout.find(ExtentKind::config);
    const Extent& extent = layout.extents[i_extent];
    const auto wrong_size = [&](uint64_t allowed) {
        return field_error(file, Text<96>(layout.name(i_extent), ".bytes").view(),
                           FileLayout::field_offset(i_extent, offsetof(Extent, bytes)),
                           extent.bytes, allowed);
    };
    if (extent.bytes < sizeof(Config)) return wrong_size(sizeof(Config));
    const auto* const config = reinterpret_cast<const Config*>(bytes.data());
    if (config->n_layer != layout.n_layers()) {
        return field_error(
            file, "config.n_layer", extent.offset + offsetof(Config, n_layer), config->n_layer,
            Text<64>(uint64_t(layout.n_layers()), " (the number of layer extents)").view());
    }
    const uint64_t n_bytes = sizeof(Config) + config->n_layer * sizeof(LayerConfig);
    if (extent.bytes != n_bytes) return wrong_size(n_bytes);
    const StoredConfig stored{
        config,
        {reinterpret_cast<const LayerConfig*>(bytes.data() + sizeof(Config)), config->n_layer}};
    if (Status s = check_config(file, extent.offset, *config, stored.layers); !s.ok()) return s;
    return stored;
}

// One entry of the table against what its place in the model says.
class EntryCheck {
  public:
    EntryCheck(std::string_view file, const FileLayout& layout, const TensorSpec& spec,
               const TensorEntry& entry, uint64_t i_entry)
        : file_(file), layout_(layout), spec_(spec), e_(entry), i_entry_(i_entry) {}

    // `end_in_extent`: where the tensor before it in the extent ends.
    Status run(size_t i_extent, const format::TensorShape& shape, uint64_t end_in_extent) const;

  private:
    template <class Found, class Allowed>
    Status wrong(std::string_view field, size_t field_offset, const Found& found,
                 const Allowed& allowed) const {
        const Text<128> name("tensor[", i_entry_, "] (", spec_.name, ").", field);
        const uint64_t table = layout_.extent(ExtentKind::tensors).offset;
        return field_error(file_, name.view(), table + i_entry_ * sizeof e_ + field_offset, found,
                           allowed);
    }
    Status check_type() const;

    std::string_view file_;
    const FileLayout& layout_;
    const TensorSpec& spec_;
    const TensorEntry& e_;
    uint64_t i_entry_;
};

Status EntryCheck::check_type() const {
    const auto wrong_type = [&](std::string_view allowed) {
        return wrong("type", offsetof(TensorEntry, type), uint32_t(e_.type), allowed);
    };
    switch (spec_.storage) {
        case format::Storage::matrix:
            if (is_quantized(e_.type)) return {};
            return wrong_type(
                "2 (q4), 3 (q4m), 4 (q8), 5 (q5), 6 (q4k), 7 (q5k) "
                "or 8 (q6k)");
        case format::Storage::f32:
            return e_.type == StoredType::f32 ? Status() : wrong_type("0 (f32)");
        case format::Storage::f64:
            break;
    }
    return e_.type == StoredType::f64 ? Status() : wrong_type("1 (f64)");
}

Status EntryCheck::run(size_t i_extent, const format::TensorShape& shape,
                       uint64_t end_in_extent) const {
    if (e_.role != spec_.role) {
        return wrong("role", offsetof(TensorEntry, role), format::role_name(e_.role), spec_.name);
    }
    if (e_.extent != i_extent)
        return wrong("extent", offsetof(TensorEntry, extent), e_.extent, uint64_t(i_extent));
    if (Status s = check_type(); !s.ok()) return s;
    if (e_.n_rows != shape.n_rows)
        return wrong("n_rows", offsetof(TensorEntry, n_rows), e_.n_rows, shape.n_rows);
    if (e_.n_cols != shape.n_cols)
        return wrong("n_cols", offsetof(TensorEntry, n_cols), e_.n_cols, shape.n_cols);
    constexpr uint64_t kSuperCols = kSuperBlocks * kBlockCols;
    if (is_k_quant(e_.type) && e_.n_cols % kSuperCols != 0) {
        return wrong("n_cols", offsetof(TensorEntry, n_cols), e_.n_cols,
                     Text<64>("a multiple of ", kSuperCols, " for ", stored_type_name(e_.type)));
    }
    uint64_t n_bytes = 0;
    if (!stored_bytes(e_.type, e_.n_rows, e_.n_cols, &n_bytes)) {
        return wrong("n_rows", offsetof(TensorEntry, n_rows), e_.n_rows, "a size below 2^64 bytes");
    }
    if (e_.bytes != n_bytes) return wrong("bytes", offsetof(TensorEntry, bytes), e_.bytes, n_bytes);
    if (e_.offset % format::kTensorAlignment != 0 || e_.offset < end_in_extent) {
        return wrong("offset", offsetof(TensorEntry, offset), e_.offset,
                     Text<64>("a multiple of 64, at least ", end_in_extent).view());
    }
    if (e_.reserved != 0)
        return wrong("reserved", offsetof(TensorEntry, reserved), Hex{e_.reserved}, "0");
    const Extent& extent = layout_.extents[i_extent];
    if (e_.offset > extent.bytes || e_.bytes > extent.bytes - e_.offset) {
        return wrong(
            "offset", offsetof(TensorEntry, offset), e_.offset,
            Text<80>("a tensor of ", e_.bytes, " bytes inside its extent of ", extent.bytes)
                .view());
    }
    return {};
}

// Number and order of the entries follow from the configuration.
Status check_table(std::string_view file, const FileLayout& layout, const ModelConfig& config,
                   std::span<const TensorEntry> entries) {
    size_t n_tensors = 0, i = 0;
    format::for_each_tensor(config, [&](const TensorSpec&, size_t, size_t) { n_tensors++; });
    const size_t i_table = layout.find(ExtentKind::tensors);
    const Extent& table = layout.extents[i_table];
    if (table.bytes != n_tensors * sizeof(TensorEntry)) {
        return field_error(file, Text<96>(layout.name(i_table), ".bytes").view(),
                           FileLayout::field_offset(i_table, offsetof(Extent, bytes)), table.bytes,
                           Text<64>(uint64_t{n_tensors * sizeof(TensorEntry)}, " (",
                                    uint64_t{n_tensors}, " tensors)")
                               .view());
    }
    Status status;
    uint64_t end_in_extent = 0;
    uint32_t previous_extent = format::kNone;
    format::for_each_tensor(config, [&](const TensorSpec& spec, size_t layer, size_t expert) {
        if (!status.ok()) return;
        const TensorEntry& entry = entries[i];
        const uint32_t i_extent = layout.find(spec.kind, layer, expert);
        if (i_extent != previous_extent) end_in_extent = 0;
        previous_extent = i_extent;
        status = EntryCheck(file, layout, spec, entry, i)
                     .run(i_extent, format::shape_of(spec, config, layer), end_in_extent);
        end_in_extent = entry.offset + entry.bytes;
        i++;
    });
    return status;
}

// The extents are those of the configuration's layers and experts.
Status check_experts(std::string_view file, const FileLayout& layout, const ModelConfig& config) {
    for (size_t i = 0; i < config.n_layer; i++) {
        const size_t n_expert = config.layer(i).n_expert;
        const bool enough =
            n_expert == 0 || layout.find(ExtentKind::expert, i, n_expert - 1) != format::kNone;
        const bool too_many = layout.find(ExtentKind::expert, i, n_expert) != format::kNone;
        if (enough && !too_many) continue;
        size_t found = 0;
        while (layout.find(ExtentKind::expert, i, found) != format::kNone) found++;
        const uint64_t config_at = layout.extent(ExtentKind::config).offset + sizeof(Config);
        return field_error(file, Text<64>("config.layer[", uint64_t(i), "].n_expert").view(),
                           config_at + i * sizeof(LayerConfig) + offsetof(LayerConfig, n_expert),
                           uint64_t(n_expert),
                           Text<64>(uint64_t(found), " (its extents of experts)").view());
    }
    return {};
}

}  // namespace

Result<Weights> Weights::open(std::string_view file, std::span<const uint8_t> bytes,
                              uint64_t file_bytes, RootCheck root) {
    AXIOM_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % format::kTensorAlignment == 0);
    Result<FileLayout> layout = FileLayout::parse(file, bytes, file_bytes, root);
    if (!layout.ok()) return layout.status();

    Weights w;
    w.file = file;
    w.layout = layout.value();
    w.bytes_ = bytes;
    AXIOM_CHECK(w.has_layers() || bytes.size() == w.layout.frame_bytes());
    const auto extent_bytes = [&](ExtentKind kind) {
        return std::span(w.extent_data(w.layout.find(kind)), size_t(w.layout.extent(kind).bytes));
    };
    const Result<StoredConfig> stored =
        read_config(file, w.layout, extent_bytes(ExtentKind::config));
    if (!stored.ok()) return stored.status();
    w.source = stored.value().config;
    w.config = model_config(*w.source, stored.value().layers);
    w.tokenizer = extent_bytes(ExtentKind::tokenizer);
    w.chat = extent_bytes(ExtentKind::chat);
    if (Status s = check_experts(file, w.layout, w.config); !s.ok()) return s;

    const std::span<const uint8_t> table = extent_bytes(ExtentKind::tensors);
    w.entries = {reinterpret_cast<const TensorEntry*>(table.data()),
                 table.size() / sizeof(TensorEntry)};
    if (Status s = check_table(file, w.layout, w.config, w.entries); !s.ok()) return s;

    const auto bind = [&](ExtentKind kind) {
        const size_t i_extent = w.layout.find(kind);
        return w.bind(i_extent, w.extent_data(i_extent));
    };
    const TensorSet first = bind(ExtentKind::embedding), last = bind(ExtentKind::output);
    w.token_embd = first[Role::token_embd];
    w.rope_freqs = first[Role::rope_freqs];
    w.output_norm = last[Role::output_norm];
    w.output_bias = last[Role::output_bias];
    w.output = w.config.tied_output ? w.token_embd : last[Role::output];
    return w;
}

Status Weights::check_vocabulary(const Tokenizer& ids) const {
    const format::TokenizerHeader& header = ids.header();
    if (header.kind == format::Vocab::none || header.n_vocab == config.n_vocab) return {};
    return field_error(
        file, "tokenizer n_vocab",
        layout.extent(ExtentKind::tokenizer).offset + offsetof(format::TokenizerHeader, n_vocab),
        header.n_vocab, Text<64>(uint64_t(config.n_vocab), " (config.n_vocab)").view());
}

const uint8_t* Weights::extent_data(size_t i_extent) const {
    return bytes_.data() +
           (has_layers() ? layout.extents[i_extent].offset : layout.offset_in_frame(i_extent));
}

std::span<const TensorEntry> Weights::entries_of(size_t i_extent) const {
    const auto before = [](const TensorEntry& e, size_t extent) { return e.extent < extent; };
    const auto begin = std::lower_bound(entries.begin(), entries.end(), i_extent, before);
    const auto end = std::lower_bound(begin, entries.end(), i_extent + 1, before);
    return {begin, end};
}

TensorSet Weights::bind(size_t i_extent, const uint8_t* extent) const {
    TensorSet set;
    for (const TensorEntry& e : entries_of(i_extent)) {
        set[e.role] = {extent + e.offset, e.type, size_t(e.n_rows), size_t(e.n_cols),
                       size_t(e.bytes)};
    }
    return set;
}

LayerWeights Weights::layer(size_t i, const uint8_t* extent) const {
    return bind(layout.find(ExtentKind::layer, i), extent);
}

LayerWeights Weights::layer(size_t i) const {
    AXIOM_CHECK(has_layers());
    return layer(i, extent_data(layout.find(ExtentKind::layer, i)));
}

ExpertWeights Weights::expert(size_t layer, size_t i, const uint8_t* extent) const {
    const TensorSet set = bind(layout.find(ExtentKind::expert, layer, i), extent);
    return {set[Role::expert_gate], set[Role::expert_up], set[Role::expert_down]};
}

ExpertWeights Weights::expert(size_t layer, size_t i) const {
    AXIOM_CHECK(has_layers());
    return expert(layer, i, extent_data(layout.find(ExtentKind::expert, layer, i)));
}

template <class F>
uint64_t Weights::sum_per_token(F of_entry) const {
    uint64_t total = 0;
    for (size_t layer = 0; layer < config.n_layer; layer++) {
        for (const TensorEntry& e : entries_of(layout.find(ExtentKind::layer, layer)))
            total += of_entry(e);
        // Experts of a layer are alike: as many as are used count as the first ones do.
        const size_t n_used = config.layer(layer).n_expert == 0 ? 0 : config.n_expert_used;
        for (size_t i = 0; i < n_used; i++) {
            for (const TensorEntry& e : entries_of(layout.find(ExtentKind::expert, layer, i)))
                total += of_entry(e);
        }
    }
    return total;
}

uint64_t Weights::bytes_per_token() const {
    return output_norm.bytes + output.bytes +
           sum_per_token([](const TensorEntry& e) { return e.bytes; });
}

uint64_t Weights::macs_per_token() const {
    return uint64_t(output.n_rows) * output.n_cols + sum_per_token([](const TensorEntry& e) {
               const bool matrix = is_quantized(e.type) || e.role == Role::router;
               return matrix ? e.n_rows * e.n_cols : 0;
           });
}

}  // namespace axiom
