// SPDX-License-Identifier: MIT
#include "packer/manifest.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <vector>

#include "model/format/tokenizer_section.h"
#include "model/text/chat.h"
#include "model/text/pretokenizer.h"
#include "packer/chat/derive.h"
#include "packer/gguf.h"

namespace axiom::packer {
namespace {

using format::Extent;
using format::ExtentKind;
using format::Role;
using format::TensorEntry;
using nlohmann::ordered_json;

template <size_t N>
std::string text_of(const char (&fixed)[N]) {
    return std::string(fixed, strnlen(fixed, N));
}

std::string root_text(const Weights& weights) {
    return std::string(digest_text(weights.layout.root()).view());
}
// The first half of the root.
std::string id_text(const Weights& weights) {
    return root_text(weights).substr(0, 2 * format::kIdBytes);
}

// The headers of the two text sections; zeros where an extent is too short to hold one.
format::TokenizerHeader tokenizer_header(const Weights& weights) {
    format::TokenizerHeader header{};
    header.kind = format::Vocab::none;
    if (weights.tokenizer.size() >= sizeof header) {
        memcpy(&header, weights.tokenizer.data(), sizeof header);
    }
    return header;
}

// The chat template; one that is not present where the extent is not as it should be.
ChatTemplate chat_template(const Weights& weights) {
    const Result<ChatTemplate> chat = ChatTemplate::open(
        weights.file, weights.layout.extent(ExtentKind::chat).offset, weights.chat);
    return chat.ok() ? chat.value() : ChatTemplate();
}

ordered_json chat_json(const ChatTemplate& chat) {
    return {{"kind", chat_format_name(chat)},
            {"source_bytes", chat.source().size()},
            {"reasoning_switch", chat.present() && chat.can_switch_reasoning()},
            {"default_system", chat.present() && chat.has_default_system()},
            {"writes_date", chat.present() && chat.writes_date()}};
}

std::string chat_line(const ChatTemplate& chat) {
    if (!chat.present()) return chat.source().empty() ? "none" : "not understood";
    std::string text(chat_format_name(chat));
    if (chat.can_switch_reasoning()) text += ", reasoning on or off";
    if (chat.has_default_system()) text += ", a system message of its own";
    if (chat.writes_date()) text += ", writes the date";
    return text;
}

template <size_t N>
const char* name_in(const char* const (&names)[N], uint32_t i) {
    return i < N ? names[i] : "unknown";
}

const char* vocab_name(format::Vocab kind) {
    static constexpr const char* kNames[] = {"bpe", "spm", "none"};
    return name_in(kNames, uint32_t(kind));
}

ordered_json token_or_null(uint32_t id) {
    return id == format::kNoToken ? ordered_json(nullptr) : ordered_json(id);
}

ordered_json config_json(const format::Config& c) {
    ordered_json json = {{"name", text_of(c.name)},
                         {"architecture", text_of(c.architecture)},
                         {"quantization", text_of(c.quantization)},
                         {"file_type", c.file_type},
                         {"n_params", c.n_params},
                         {"source_bytes", c.source_bytes},
                         {"n_vocab", c.n_vocab},
                         {"n_embd", c.n_embd},
                         {"n_layer", c.n_layer},
                         {"n_ctx_train", c.n_ctx_train},
                         {"rms_eps", double(c.rms_eps)},
                         {"tied_output", c.tied_output != 0},
                         {"embedding_scale", double(c.embedding_scale)},
                         {"residual_scale", double(c.residual_scale)},
                         {"logit_scale", double(c.logit_scale)},
                         {"final_softcap", double(c.final_softcap)},
                         {"n_expert_used", c.n_expert_used}};
    ordered_json& rope = json["rope"] = ordered_json::array();
    for (const format::RopeTable& t : std::span(c.rope).first(c.n_rope_tables)) {
        rope.push_back({{"n_dims", t.n_dims},
                        {"magnitude", double(t.magnitude)},
                        {"max_ctx", t.max_ctx == 0 ? ordered_json() : ordered_json(t.max_ctx)},
                        {"longer", t.max_ctx == 0 ? ordered_json() : ordered_json(t.longer)}});
    }
    return json;
}

ordered_json layer_json(const LayerConfig& l) {
    ordered_json json = {{"n_head", l.n_head},
                         {"n_head_kv", l.n_head_kv},
                         {"head_dim", l.head_dim},
                         {"n_ff", l.n_ff},
                         {"n_expert", l.n_expert},
                         {"n_ff_expert", l.n_ff_expert},
                         {"activation", l.activation == format::Activation::silu ? "silu" : "gelu"},
                         {"rope", l.rope == format::kNone ? ordered_json() : ordered_json(l.rope)},
                         {"window", l.window == 0 ? ordered_json() : ordered_json(l.window)},
                         {"attn_scale", double(l.attn_scale)},
                         {"attn_softcap", double(l.attn_softcap)}};
    ordered_json& tensors = json["tensors"] = ordered_json::array();
    for (const format::TensorSpec& spec : format::kTensorTable) {
        if ((l.tensors & format::role_bit(spec.role)) != 0)
            tensors.push_back(std::string(spec.name));
    }
    return json;
}

ordered_json tokenizer_json(const format::TokenizerHeader& h) {
    ordered_json json = {{"kind", vocab_name(h.kind)}};
    if (h.kind == format::Vocab::none) return json;
    if (h.kind == format::Vocab::bpe) json["pre"] = pre_tokenizer_name(h.pre);
    json["n_vocab"] = h.n_vocab;
    json["n_merges"] = h.n_merges;
    json["bos"] = token_or_null(h.bos);
    json["eos"] = token_or_null(h.eos);
    json["eot"] = token_or_null(h.eot);
    json["unk"] = token_or_null(h.unk);
    json["add_bos"] = h.add_bos != 0;
    return json;
}

// Tensors of one source type stored as one type, matrices and norms alike.
struct TypeTotal {
    uint32_t source_type;
    StoredType type;
    uint64_t n_tensors = 0, n_weights = 0, bytes = 0;

    double bits_per_weight() const { return 8 * double(bytes) / double(n_weights); }
    // Of the source's own format; 0 where its type is unknown.
    double source_bits() const {
        const gguf::BlockShape shape = gguf::block_shape(source_type);
        return shape.n_cols == 0 ? 0 : 8.0 * shape.n_bytes / shape.n_cols;
    }
};

// In the order of the file; rope_freqs, which no tensor of the source stands for, is left out.
std::vector<TypeTotal> type_totals(const Weights& weights) {
    std::vector<TypeTotal> totals;
    for (const TensorEntry& entry : weights.entries) {
        if (entry.role == Role::rope_freqs) continue;
        auto total = std::find_if(totals.begin(), totals.end(), [&](const TypeTotal& t) {
            return t.source_type == entry.source_type && t.type == entry.type;
        });
        if (total == totals.end()) {
            total = totals.insert(total, {entry.source_type, entry.type});
        }
        total->n_tensors++;
        total->n_weights += entry.n_rows * entry.n_cols;
        total->bytes += entry.bytes;
    }
    return totals;
}

bool in_layer(const Extent& extent) {
    return extent.kind == ExtentKind::layer || extent.kind == ExtentKind::expert;
}

}  // namespace

std::string tensor_name(const Weights& weights, const TensorEntry& entry) {
    const Extent& extent = weights.layout.extents[entry.extent];
    std::string name;
    if (in_layer(extent)) name = "blk." + std::to_string(extent.layer) + ".";
    name += format::role_name(entry.role);
    if (extent.kind == ExtentKind::expert) name += "[" + std::to_string(extent.expert) + "]";
    return name;
}

ordered_json manifest(const Weights& weights) {
    ordered_json json;
    json["axiom_pack"] = 1;
    json["file"] = std::string(weights.file);
    json["file_bytes"] = weights.layout.header.file_bytes;
    json["format_version"] = weights.layout.header.version;
    json["id"] = id_text(weights);
    json["merkle_root"] = root_text(weights);
    json["config"] = config_json(*weights.source);
    ordered_json& layers = json["layers"] = ordered_json::array();
    for (const LayerConfig& layer : weights.config.layers) layers.push_back(layer_json(layer));
    json["tokenizer"] = tokenizer_json(tokenizer_header(weights));
    json["chat"] = chat_json(chat_template(weights));
    json["bytes_per_token"] = weights.bytes_per_token();
    json["macs_per_token"] = weights.macs_per_token();
    ordered_json& types = json["types"] = ordered_json::array();
    for (const TypeTotal& t : type_totals(weights)) {
        types.push_back({{"source_type", gguf::tensor_type_name(t.source_type)},
                         {"type", stored_type_name(t.type)},
                         {"n_tensors", t.n_tensors},
                         {"n_weights", t.n_weights},
                         {"bytes", t.bytes},
                         {"bits_per_weight", t.bits_per_weight()},
                         {"source_bits_per_weight",
                          t.source_bits() == 0 ? ordered_json() : ordered_json(t.source_bits())}});
    }
    ordered_json& extents = json["extents"] = ordered_json::array();
    for (const Extent& extent : weights.layout.extents) {
        ordered_json item = {{"kind", format::extent_kind_name(extent.kind)}};
        if (in_layer(extent)) item["layer"] = extent.layer;
        if (extent.kind == ExtentKind::expert) item["expert"] = extent.expert;
        item["offset"] = extent.offset;
        item["bytes"] = extent.bytes;
        item["n_pieces"] = format::n_pieces_of(extent.bytes);
        extents.push_back(std::move(item));
    }
    ordered_json& tensors = json["tensors"] = ordered_json::array();
    for (const TensorEntry& entry : weights.entries) {
        const Extent& extent = weights.layout.extents[entry.extent];
        const bool computed = entry.role == Role::rope_freqs;
        tensors.push_back(
            {{"name", tensor_name(weights, entry)},
             {"role", std::string(format::role_name(entry.role))},
             {"layer", in_layer(extent) ? ordered_json(extent.layer) : ordered_json()},
             {"expert",
              extent.kind == ExtentKind::expert ? ordered_json(extent.expert) : ordered_json()},
             {"source_type",
              computed ? ordered_json() : ordered_json(gguf::tensor_type_name(entry.source_type))},
             {"type", stored_type_name(entry.type)},
             {"n_rows", entry.n_rows},
             {"n_cols", entry.n_cols},
             {"bytes", entry.bytes},
             {"extent", entry.extent},
             {"offset", extent.offset + entry.offset},
             {"max_error", computed ? ordered_json() : ordered_json(double(entry.max_error))},
             {"rms_error", computed ? ordered_json() : ordered_json(double(entry.rms_error))}});
    }
    return json;
}

std::string describe(const Weights& weights) {
    std::string out;
    const auto line = [&out](const auto&... parts) {
        out += Text<512>(parts...).view();
        out += '\n';
    };
    const format::Config& c = *weights.source;
    const format::TokenizerHeader tokenizer = tokenizer_header(weights);
    line("file        ", weights.file, "  ", Bytes{weights.layout.header.file_bytes}, " (",
         weights.layout.header.file_bytes, " bytes), format ", weights.layout.header.version,
         ", id ", std::string_view(id_text(weights)));
    line("root        ", std::string_view(root_text(weights)));
    line("model       ", text_of(c.name), "  ", text_of(c.architecture), " ",
         text_of(c.quantization), "  ", Fixed{double(c.n_params) / 1e6, 1}, " M parameters");
    const LayerConfig& l = weights.config.layer(0);
    line("shape       n_layer ", c.n_layer, "  n_embd ", c.n_embd, "  n_head ", l.n_head, "/",
         l.n_head_kv, "  head_dim ", l.head_dim, "  n_ff ", l.n_ff + l.n_ff_expert,
         l.n_expert != 0
             ? Text<48>(" x ", l.n_expert, " experts, ", c.n_expert_used, " used").view()
             : std::string_view(),
         "  n_vocab ", c.n_vocab, c.tied_output ? " (tied output)" : "", "  n_ctx_train ",
         c.n_ctx_train);
    line("tokenizer   ", vocab_name(tokenizer.kind),
         tokenizer.kind == format::Vocab::bpe ? " " : "",
         tokenizer.kind == format::Vocab::bpe ? pre_tokenizer_name(tokenizer.pre) : "", "  ",
         tokenizer.n_vocab, " tokens, ", tokenizer.n_merges, " merges");
    line("chat        ", chat_line(chat_template(weights)));
    line("a token     reads ", Bytes{weights.bytes_per_token()}, " of weights, ",
         Fixed{double(weights.macs_per_token()) / 1e6, 1}, " M multiply-adds");
    line("");
    line(PadRight{"source", 8}, PadRight{"stored", 8}, PadLeft{"tensors", 8},
         PadLeft{"weights", 14}, PadLeft{"bytes", 14}, PadLeft{"bits/weight", 14},
         PadLeft{"in source", 12});
    TypeTotal all{};
    const auto type_line = [&](const char* source, const char* stored, const TypeTotal& t,
                               std::string_view source_bits) {
        line(PadRight{source, 8}, PadRight{stored, 8}, PadLeft{Text<24>(t.n_tensors), 8},
             PadLeft{Text<24>(t.n_weights), 14}, PadLeft{Text<24>(t.bytes), 14},
             PadLeft{Text<24>(Fixed{t.bits_per_weight(), 4}), 14}, PadLeft{source_bits, 12});
    };
    for (const TypeTotal& t : type_totals(weights)) {
        type_line(gguf::tensor_type_name(t.source_type), stored_type_name(t.type), t,
                  Text<24>(Fixed{t.source_bits(), 4}));
        all.n_tensors += t.n_tensors;
        all.n_weights += t.n_weights;
        all.bytes += t.bytes;
    }
    type_line("all", "", all,
              Text<24>(Fixed{8 * double(c.source_bytes) / double(all.n_weights), 4}));
    line("");
    line(PadRight{"tensor", 30}, PadRight{"source", 8}, PadRight{"stored", 8}, PadLeft{"rows", 8},
         PadLeft{"cols", 8}, PadLeft{"bytes", 12}, PadLeft{"extent", 8}, PadLeft{"max error", 13},
         PadLeft{"rms error", 13});
    for (const TensorEntry& entry : weights.entries) {
        const bool computed = entry.role == Role::rope_freqs;
        const Text<32> max_error(Fixed{double(entry.max_error), 8});
        const Text<32> rms_error(Fixed{double(entry.rms_error), 8});
        line(PadRight{tensor_name(weights, entry), 30},
             PadRight{computed ? "keys" : gguf::tensor_type_name(entry.source_type), 8},
             PadRight{stored_type_name(entry.type), 8}, PadLeft{Text<24>(entry.n_rows), 8},
             PadLeft{Text<24>(entry.n_cols), 8}, PadLeft{Text<24>(entry.bytes), 12},
             PadLeft{Text<24>(entry.extent), 8}, PadLeft{computed ? "-" : max_error.view(), 13},
             PadLeft{computed ? "-" : rms_error.view(), 13});
    }
    return out;
}

}  // namespace axiom::packer
