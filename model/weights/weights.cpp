// SPDX-License-Identifier: MIT
#include "model/weights/weights.h"

#include <algorithm>
#include <cstring>

namespace axiom {

namespace format {

const char* role_name(Role role) {
    static constexpr const char* kNames[kNRoles] = {
        "token_embd", "rope_freqs", "attn_norm", "attn_q",   "attn_k",      "attn_v", "attn_output",
        "ffn_norm",   "ffn_gate",   "ffn_up",    "ffn_down", "output_norm", "output"};
    return uint32_t(role) < kNRoles ? kNames[uint32_t(role)] : "unknown";
}

}  // namespace format

namespace {

using format::Config;
using format::Extent;
using format::ExtentKind;
using format::FileHeader;
using format::Role;
using format::TensorEntry;

constexpr size_t kTensorsPerLayer = 9;

constexpr ExtentKind expected_kind(size_t i_extent, size_t n_extents) {
    if (i_extent <= 4) return ExtentKind(i_extent);
    return i_extent + 1 == n_extents ? ExtentKind::output : ExtentKind::layer;
}

const char* kind_name(ExtentKind kind) {
    static constexpr const char* kNames[] = {"config",    "tokenizer", "chat",  "tensors",
                                             "embedding", "layer",     "output"};
    return uint32_t(kind) < 7 ? kNames[uint32_t(kind)] : "unknown";
}

uint64_t head_checksum(const FileHeader& header, std::span<const Extent> extents) {
    FileHeader zeroed = header;
    zeroed.head_checksum = 0;
    Xxh64 hash;
    hash.update(&zeroed, sizeof zeroed);
    hash.update(extents.data(), extents.size_bytes());
    return hash.digest();
}

// What every tensor of a role must look like, given the configuration.
struct Expected {
    uint64_t n_rows, n_cols;
    bool quantized;
    StoredType plain;  // when not quantized
};

Expected expected_tensor(Role role, const ModelConfig& c) {
    const Expected norm{1, c.n_embd, false, StoredType::f32};
    switch (role) {
        case Role::token_embd:
        case Role::output:
            return {c.n_vocab, c.n_embd, true, {}};
        case Role::rope_freqs:
            return {1, c.rope_dim / 2, false, StoredType::f64};
        case Role::attn_norm:
        case Role::ffn_norm:
        case Role::output_norm:
            return norm;
        case Role::attn_q:
            return {c.n_q(), c.n_embd, true, {}};
        case Role::attn_k:
        case Role::attn_v:
            return {c.n_kv(), c.n_embd, true, {}};
        case Role::attn_output:
            return {c.n_embd, c.n_q(), true, {}};
        case Role::ffn_gate:
        case Role::ffn_up:
            return {c.n_ff, c.n_embd, true, {}};
        case Role::ffn_down:
            return {c.n_embd, c.n_ff, true, {}};
    }
    return norm;
}

// A validator that remembers where a struct stands in the file, for messages.
struct Check {
    std::string_view file;
    uint64_t base;  // file offset of the struct
    const void* start;

    uint64_t offset(const void* field) const {
        return base + uint64_t(static_cast<const char*>(field) - static_cast<const char*>(start));
    }
    Status range(std::string_view name, const uint32_t& value, uint64_t low, uint64_t high) const {
        if (value >= low && value <= high) return {};
        return field_error(file, name, offset(&value), value, Text<64>(low, "..", high).view());
    }
};

Status check_config(std::string_view file, uint64_t base, const Config& c) {
    const Check check{file, base, &c};
    struct Limit {
        std::string_view name;
        const uint32_t* value;
        uint64_t low, high;
    };
    const Limit limits[] = {
        {"config.n_vocab", &c.n_vocab, 1, format::kMaxVocab},
        {"config.n_embd", &c.n_embd, 1, format::kMaxEmbd},
        {"config.n_layer", &c.n_layer, 1, format::kMaxLayers},
        {"config.n_head", &c.n_head, 1, format::kMaxHeads},
        {"config.n_head_kv", &c.n_head_kv, 1, c.n_head},
        {"config.head_dim", &c.head_dim, 2, format::kMaxHeadDim},
        {"config.n_ff", &c.n_ff, 1, format::kMaxFf},
        {"config.n_ctx_train", &c.n_ctx_train, 1, format::kMaxCtx},
        {"config.rope_dim", &c.rope_dim, 2, c.head_dim},
        {"config.tied_output", &c.tied_output, 0, 1},
    };
    for (const Limit& limit : limits) {
        if (Status s = check.range(limit.name, *limit.value, limit.low, limit.high); !s.ok())
            return s;
    }
    if (c.n_embd % 16 != 0) {
        return field_error(file, "config.n_embd", check.offset(&c.n_embd), c.n_embd,
                           "a multiple of 16");
    }
    if (c.n_head % c.n_head_kv != 0) {
        return field_error(file, "config.n_head_kv", check.offset(&c.n_head_kv), c.n_head_kv,
                           Text<64>("a divisor of n_head = ", c.n_head).view());
    }
    if (c.head_dim % 2 != 0 || c.rope_dim % 2 != 0) {
        const bool head = c.head_dim % 2 != 0;
        return field_error(file, head ? "config.head_dim" : "config.rope_dim",
                           check.offset(head ? &c.head_dim : &c.rope_dim),
                           head ? c.head_dim : c.rope_dim, "an even number");
    }
    if (!(c.rms_eps > 0.0f && c.rms_eps < 1.0f)) {
        return field_error(file, "config.rms_eps", check.offset(&c.rms_eps),
                           Fixed{double(c.rms_eps), 9}, "above 0, below 1");
    }
    return {};
}

std::string_view fixed_text(const char* text, size_t capacity) {
    size_t n = 0;
    while (n < capacity && text[n] != '\0') n++;
    return {text, n};
}

}  // namespace

Result<FileLayout> FileLayout::parse(std::string_view file, std::span<const uint8_t> head,
                                     uint64_t actual_file_bytes) {
    FileLayout layout;
    FileHeader& h = layout.header;
    if (actual_file_bytes < sizeof h || head.size() < sizeof h) {
        return field_error(file, "file size", 0, actual_file_bytes,
                           Text<64>("at least ", sizeof h, " (an .axm header)").view());
    }
    memcpy(&h, head.data(), sizeof h);
    const Check check{file, 0, &h};
    if (memcmp(h.magic, format::kMagic, sizeof h.magic) != 0) {
        const bool gguf = memcmp(h.magic, "GGUF", 4) == 0;
        return field_error(file, "header.magic", 0, Quoted{{h.magic, sizeof h.magic}},
                           gguf ? "\"AXIOMPK\\x00\" (this is a GGUF file: pack it with axiom-pack)"
                                : "\"AXIOMPK\\x00\"");
    }
    if (h.version != format::kVersion) {
        return field_error(file, "header.version", check.offset(&h.version), h.version,
                           Text<64>(format::kVersion, " (pack the model again)").view());
    }
    const uint32_t max_extents = format::kNFixedExtents + format::kMaxLayers;
    if (Status s =
            check.range("header.n_extents", h.n_extents, format::kNFixedExtents + 1, max_extents);
        !s.ok()) {
        return s;
    }
    if (h.file_bytes != actual_file_bytes) {
        return field_error(file, "header.file_bytes", check.offset(&h.file_bytes), h.file_bytes,
                           Text<64>("the file's size, ", actual_file_bytes).view());
    }
    const uint64_t head_bytes = sizeof h + uint64_t{h.n_extents} * sizeof(Extent);
    if (head_bytes > actual_file_bytes || head_bytes > head.size()) {
        return field_error(file, "header.n_extents", check.offset(&h.n_extents), h.n_extents,
                           Text<64>("a table inside the file of ", actual_file_bytes).view());
    }
    layout.extents = {reinterpret_cast<const Extent*>(head.data() + sizeof h), h.n_extents};
    if (const uint64_t sum = head_checksum(h, layout.extents); sum != h.head_checksum) {
        return field_error(file, "header.head_checksum", check.offset(&h.head_checksum),
                           Hex{h.head_checksum, 16}, Text<48>(Hex{sum, 16}, " (computed)").view());
    }

    uint64_t end = head_bytes;
    for (size_t i = 0; i < layout.extents.size(); i++) {
        const Extent& e = layout.extents[i];
        const uint64_t at = sizeof h + i * sizeof e;
        const ExtentKind kind = expected_kind(i, layout.extents.size());
        const uint64_t layer = kind == ExtentKind::layer ? i - (format::kNFixedExtents - 1) : 0;
        const Text<48> name("extent[", uint64_t(i), "] (", kind_name(kind), ")");
        if (e.kind != kind || e.layer != layer) {
            return field_error(file, Text<64>(name.view(), ".kind").view(), at + 24,
                               Text<64>(kind_name(e.kind), " ", e.layer).view(),
                               Text<64>(kind_name(kind), " ", layer).view());
        }
        // A gap below one page keeps the file covered; the end is compared without overflow.
        const uint64_t begin = round_up(end, format::kExtentAlignment);
        if (e.offset != begin) {
            return field_error(
                file, Text<64>(name.view(), ".offset").view(), at, e.offset,
                Text<80>(begin, " (right after the one before, 4 KiB-aligned)").view());
        }
        if (e.bytes == 0 || e.offset > actual_file_bytes ||
            e.bytes > actual_file_bytes - e.offset) {
            return field_error(
                file, Text<64>(name.view(), ".bytes").view(), at + 8, e.bytes,
                Text<80>("1..", actual_file_bytes - std::min(e.offset, actual_file_bytes),
                         " (inside the file)")
                    .view());
        }
        end = e.offset + e.bytes;
    }
    if (round_up(end, format::kExtentAlignment) != actual_file_bytes) {
        return field_error(
            file, "header.file_bytes", check.offset(&h.file_bytes), h.file_bytes,
            Text<80>(round_up(end, format::kExtentAlignment), " (where the last extent ends)")
                .view());
    }
    return layout;
}

Status ChecksumStream::feed(std::span<const uint8_t> bytes) {
    while (!bytes.empty() && i_extent_ < layout_.extents.size()) {
        const Extent& e = layout_.extents[i_extent_];
        if (position_ < e.offset) {  // padding, or the head
            const size_t n = size_t(std::min<uint64_t>(bytes.size(), e.offset - position_));
            position_ += n;
            bytes = bytes.subspan(n);
            continue;
        }
        const uint64_t left = e.offset + e.bytes - position_;
        const size_t n = size_t(std::min<uint64_t>(bytes.size(), left));
        hash_.update(bytes.data(), n);
        position_ += n;
        bytes = bytes.subspan(n);
        if (n < left) return {};
        if (const uint64_t sum = hash_.digest(); sum != e.checksum) {
            return field_error(file_,
                               Text<64>("extent[", uint64_t(i_extent_), "] (", kind_name(e.kind),
                                        " at ", Hex{e.offset}, ", ", e.bytes, " bytes).checksum")
                                   .view(),
                               sizeof(FileHeader) + i_extent_ * sizeof(Extent) + 16,
                               Hex{e.checksum, 16},
                               Text<64>(Hex{sum, 16}, " (computed: the data are damaged)").view());
        }
        hash_.reset();
        i_extent_++;
    }
    position_ += bytes.size();
    return {};
}

Status ChecksumStream::finish() const {
    if (i_extent_ == layout_.extents.size()) return {};
    const Extent& e = layout_.extents[i_extent_];
    return field_error(file_, Text<64>("extent[", uint64_t(i_extent_), "].bytes").view(),
                       sizeof(FileHeader) + i_extent_ * sizeof(Extent) + 8, e.bytes,
                       Text<64>("what the file holds; it ended at ", position_).view());
}

Status verify_checksums(std::string_view file, std::span<const uint8_t> bytes) {
    Result<FileLayout> layout = FileLayout::parse(file, bytes, bytes.size());
    if (!layout.ok()) return layout.status();
    ChecksumStream stream(file, layout.value());
    if (Status s = stream.feed(bytes); !s.ok()) return s;
    return stream.finish();
}

Result<Weights> Weights::open(std::string_view file, std::span<const uint8_t> bytes) {
    AXIOM_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % format::kTensorAlignment == 0);
    Result<FileLayout> layout = FileLayout::parse(file, bytes, bytes.size());
    if (!layout.ok()) return layout.status();

    Weights w;
    w.file = file;
    w.layout = layout.value();
    w.bytes_ = bytes;
    const auto extent_bytes = [&](size_t i) {
        const Extent& e = w.layout.extents[i];
        return bytes.subspan(size_t(e.offset), size_t(e.bytes));
    };

    // Extent 0: the configuration.
    const Extent& config_extent = w.layout.extents[0];
    if (config_extent.bytes != sizeof(Config)) {
        return field_error(file, "extent[0] (config).bytes", sizeof(FileHeader) + 8,
                           config_extent.bytes, uint64_t{sizeof(Config)});
    }
    memcpy(&w.source, extent_bytes(0).data(), sizeof w.source);
    const Config& c = w.source;
    if (Status s = check_config(file, config_extent.offset, c); !s.ok()) return s;
    if (fixed_text(c.architecture, sizeof c.architecture) != "llama") {
        return field_error(file, "config.architecture",
                           config_extent.offset + offsetof(Config, architecture),
                           Quoted{fixed_text(c.architecture, sizeof c.architecture)}, "\"llama\"");
    }
    if (c.n_layer + format::kNFixedExtents != w.layout.header.n_extents) {
        return field_error(file, "config.n_layer", config_extent.offset + offsetof(Config, n_layer),
                           c.n_layer,
                           Text<64>(w.layout.header.n_extents - format::kNFixedExtents,
                                    " (the number of layer extents)")
                               .view());
    }
    w.config = {.n_vocab = c.n_vocab,
                .n_embd = c.n_embd,
                .n_layer = c.n_layer,
                .n_head = c.n_head,
                .n_head_kv = c.n_head_kv,
                .head_dim = c.head_dim,
                .n_ff = c.n_ff,
                .n_ctx_train = c.n_ctx_train,
                .rope_dim = c.rope_dim,
                .rms_eps = c.rms_eps,
                .tied_output = c.tied_output != 0};
    w.tokenizer = extent_bytes(1);
    w.chat = extent_bytes(2);

    // Extent 3: the tensor table. Order and number follow from the configuration.
    const Extent& table = w.layout.extents[3];
    const size_t n_entries =
        2 + kTensorsPerLayer * w.config.n_layer + (w.config.tied_output ? 1 : 2);
    if (table.bytes != n_entries * sizeof(TensorEntry)) {
        return field_error(file, "extent[3] (tensors).bytes",
                           sizeof(FileHeader) + 3 * sizeof(Extent) + 8, table.bytes,
                           Text<64>(uint64_t{n_entries * sizeof(TensorEntry)}, " (",
                                    uint64_t{n_entries}, " tensors)")
                               .view());
    }
    w.entries = {reinterpret_cast<const TensorEntry*>(extent_bytes(3).data()), n_entries};
    w.first_layer_entry_ = 2;

    uint64_t end_in_extent = 0;
    uint32_t previous_extent = ~0u;
    for (size_t i = 0; i < n_entries; i++) {
        const TensorEntry& entry = w.entries[i];
        const uint64_t at = table.offset + i * sizeof entry;
        Role role;
        size_t i_extent;
        if (i < 2) {
            role = Role(i);
            i_extent = 4;
        } else if (i < 2 + kTensorsPerLayer * w.config.n_layer) {
            role = Role(uint32_t(Role::attn_norm) + (i - 2) % kTensorsPerLayer);
            i_extent = 5 + (i - 2) / kTensorsPerLayer;
        } else {
            role =
                Role(uint32_t(Role::output_norm) + (i - 2 - kTensorsPerLayer * w.config.n_layer));
            i_extent = w.layout.extents.size() - 1;
        }
        const Text<64> name("tensor[", uint64_t(i), "] (", format::role_name(role), ")");
        const auto wrong = [&](std::string_view field, size_t field_offset, auto found,
                               auto allowed) {
            return field_error(file, Text<96>(name.view(), ".", field).view(), at + field_offset,
                               found, allowed);
        };
        if (entry.role != role) {
            return wrong("role", offsetof(TensorEntry, role), format::role_name(entry.role),
                         format::role_name(role));
        }
        if (entry.extent != i_extent) {
            return wrong("extent", offsetof(TensorEntry, extent), entry.extent, uint64_t(i_extent));
        }
        const Expected expected = expected_tensor(role, w.config);
        if (expected.quantized ? !is_quantized(entry.type) : entry.type != expected.plain) {
            return wrong("type", offsetof(TensorEntry, type), uint32_t(entry.type),
                         expected.quantized ? "2 (q4), 3 (q4m), 4 (q8), 5 (q5), 6 (q4k), 7 (q5k) "
                                              "or 8 (q6k)"
                         : expected.plain == StoredType::f32 ? "0 (f32)"
                                                             : "1 (f64)");
        }
        if (entry.n_rows != expected.n_rows) {
            return wrong("n_rows", offsetof(TensorEntry, n_rows), entry.n_rows, expected.n_rows);
        }
        if (entry.n_cols != expected.n_cols) {
            return wrong("n_cols", offsetof(TensorEntry, n_cols), entry.n_cols, expected.n_cols);
        }
        constexpr uint64_t kSuperCols = kSuperBlocks * kBlockCols;
        if (is_k_quant(entry.type) && entry.n_cols % kSuperCols != 0) {
            return wrong(
                "n_cols", offsetof(TensorEntry, n_cols), entry.n_cols,
                Text<64>("a multiple of ", kSuperCols, " for ", stored_type_name(entry.type)));
        }
        uint64_t bytes_expected = 0;
        if (!stored_bytes(entry.type, entry.n_rows, entry.n_cols, &bytes_expected)) {
            return wrong("n_rows", offsetof(TensorEntry, n_rows), entry.n_rows,
                         "a size below 2^64 bytes");
        }
        if (entry.bytes != bytes_expected) {
            return wrong("bytes", offsetof(TensorEntry, bytes), entry.bytes, bytes_expected);
        }
        if (entry.extent != previous_extent) end_in_extent = 0;
        previous_extent = entry.extent;
        if (entry.offset % format::kTensorAlignment != 0 || entry.offset < end_in_extent) {
            return wrong("offset", offsetof(TensorEntry, offset), entry.offset,
                         Text<64>("a multiple of 64, at least ", end_in_extent).view());
        }
        const Extent& extent = w.layout.extents[i_extent];
        if (entry.offset > extent.bytes || entry.bytes > extent.bytes - entry.offset) {
            return wrong(
                "offset", offsetof(TensorEntry, offset), entry.offset,
                Text<80>("a tensor of ", entry.bytes, " bytes inside its extent of ", extent.bytes)
                    .view());
        }
        end_in_extent = entry.offset + entry.bytes;
    }

    const auto view = [&](size_t i) {
        const TensorEntry& e = w.entries[i];
        return TensorView{bytes.data() + w.layout.extents[e.extent].offset + e.offset, e.type,
                          size_t(e.n_rows), size_t(e.n_cols), size_t(e.bytes)};
    };
    const size_t first_output = 2 + kTensorsPerLayer * w.config.n_layer;
    w.token_embd = view(0);
    w.rope_freqs = view(1);
    w.output_norm = view(first_output);
    w.output = w.config.tied_output ? w.token_embd : view(first_output + 1);
    return w;
}

Status Weights::check_vocabulary(const Tokenizer& ids) const {
    const format::TokenizerHeader& header = ids.header();
    if (header.kind == format::Vocab::none || header.n_vocab == config.n_vocab) return {};
    return field_error(file, "tokenizer n_vocab",
                       layout.extents[1].offset + offsetof(format::TokenizerHeader, n_vocab),
                       header.n_vocab,
                       Text<64>(uint64_t(config.n_vocab), " (config.n_vocab)").view());
}

LayerWeights Weights::layer(size_t i) const {
    const auto view = [&](size_t role_index) {
        const TensorEntry& e = entries[first_layer_entry_ + i * kTensorsPerLayer + role_index];
        return TensorView{bytes_.data() + layout.extents[e.extent].offset + e.offset, e.type,
                          size_t(e.n_rows), size_t(e.n_cols), size_t(e.bytes)};
    };
    return {view(0), view(1), view(2), view(3), view(4), view(5), view(6), view(7), view(8)};
}

uint64_t Weights::bytes_per_token() const {
    uint64_t total = output_norm.bytes + output.bytes;
    for (size_t i = 0; i < kTensorsPerLayer * config.n_layer; i++) {
        total += entries[first_layer_entry_ + i].bytes;
    }
    return total;
}

uint64_t Weights::macs_per_token() const {
    uint64_t total = uint64_t(output.n_rows) * output.n_cols;
    for (size_t i = 0; i < kTensorsPerLayer * config.n_layer; i++) {
        const TensorEntry& e = entries[first_layer_entry_ + i];
        if (is_quantized(e.type)) total += e.n_rows * e.n_cols;
    }
    return total;
}

}  // namespace axiom
