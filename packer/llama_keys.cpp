// SPDX-License-Identifier: MIT
#include "packer/llama_keys.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "packer/dequant.h"
#include "packer/plan.h"

namespace axiom::packer {
namespace {

uint64_t offset_of(const gguf::File& file, std::string_view key) {
    const gguf::Value* value = file.find(key);
    return value ? value->offset : 0;
}

template <class Found, class Allowed>
Status key_error(const gguf::File& file, std::string_view key, const Found& found,
                 const Allowed& allowed) {
    return field_error(file.name(), Text<128>("key ", Quoted{key}), offset_of(file, key), found,
                       allowed);
}

template <class Found, class Allowed>
Status refuse(const gguf::File& file, std::string_view key, const Found& found,
              const Allowed& allowed) {
    return error(Code::unsupported, file.name(), ": key ", Quoted{key}, " at offset ",
                 Hex{offset_of(file, key)}, ": found ", found, ", allowed ", allowed);
}

// A required integer within [1, limit].
Status count(const gguf::File& file, std::string_view key, uint32_t limit, uint32_t* out) {
    const Result<uint64_t> value = file.u64(key);
    if (!value.ok()) return value.status();
    if (value.value() < 1 || value.value() > limit) {
        return key_error(file, key, value.value(), Text<32>("1..", limit));
    }
    *out = uint32_t(value.value());
    return {};
}

Status count(const gguf::File& file, std::string_view key, uint32_t limit, uint32_t fallback,
             uint32_t* out) {
    if (file.find(key)) return count(file, key, limit, out);
    *out = fallback;
    return {};
}

Status read_architecture(const gguf::File& file) {
    const Result<std::string_view> architecture = file.string("general.architecture");
    if (!architecture.ok()) return architecture.status();
    if (architecture.value() != "llama") {
        return refuse(file, "general.architecture", Quoted{architecture.value()}, "\"llama\"");
    }
    const Result<uint64_t> n_experts = file.u64("llama.expert_count", 0);
    if (!n_experts.ok()) return n_experts.status();
    if (n_experts.value() != 0) {
        return refuse(file, "llama.expert_count",
                      Text<64>(n_experts.value(), " (mixture of experts)"), "0 (a dense model)");
    }
    return {};
}

Status read_head_dim(const gguf::File& file, format::Config* c) {
    constexpr std::string_view kKey = "llama.attention.key_length";
    constexpr std::string_view kValue = "llama.attention.value_length";
    if (!file.find(kKey) && c->n_embd % c->n_head != 0) {
        return key_error(file, "llama.attention.head_count", c->n_head,
                         Text<96>("a divisor of embedding_length ", c->n_embd));
    }
    uint32_t value_length = 0;
    const uint32_t by_default = c->n_embd / c->n_head;
    if (Status s = count(file, kKey, format::kMaxHeadDim, by_default, &c->head_dim); !s.ok())
        return s;
    if (Status s = count(file, kValue, format::kMaxHeadDim, by_default, &value_length); !s.ok()) {
        return s;
    }
    if (c->head_dim < 1 || c->head_dim > format::kMaxHeadDim) {
        return key_error(file, "llama.embedding_length", c->n_embd,
                         Text<96>("1..", format::kMaxHeadDim, " times head_count ", c->n_head));
    }
    if (c->head_dim % 2 != 0) {
        return refuse(file, kKey, c->head_dim, "an even number (rotary positions turn pairs)");
    }
    if (value_length != c->head_dim) {
        return refuse(file, kValue, value_length, Text<64>("key_length, ", c->head_dim));
    }
    return {};
}

Status read_shape(const gguf::File& file, format::Config* c) {
    using namespace format;
    if (Status s = count(file, "llama.block_count", kMaxLayers, &c->n_layer); !s.ok()) return s;
    if (Status s = count(file, "llama.context_length", kMaxCtx, &c->n_ctx_train); !s.ok()) return s;
    if (Status s = count(file, "llama.embedding_length", kMaxEmbd, &c->n_embd); !s.ok()) return s;
    if (c->n_embd % 16 != 0) {
        return refuse(file, "llama.embedding_length", c->n_embd, "a multiple of 16");
    }
    if (Status s = count(file, "llama.feed_forward_length", kMaxFf, &c->n_ff); !s.ok()) return s;
    if (Status s = count(file, "llama.attention.head_count", kMaxHeads, &c->n_head); !s.ok())
        return s;
    if (Status s =
            count(file, "llama.attention.head_count_kv", kMaxHeads, c->n_head, &c->n_head_kv);
        !s.ok()) {
        return s;
    }
    if (c->n_head % c->n_head_kv != 0) {
        return key_error(file, "llama.attention.head_count_kv", c->n_head_kv,
                         Text<64>("a divisor of head_count ", c->n_head));
    }
    if (Status s = read_head_dim(file, c); !s.ok()) return s;
    if (Status s =
            count(file, "llama.rope.dimension_count", kMaxHeadDim, c->head_dim, &c->rope_dim);
        !s.ok()) {
        return s;
    }
    if (c->rope_dim % 2 != 0 || c->rope_dim > c->head_dim) {
        return key_error(file, "llama.rope.dimension_count", c->rope_dim,
                         Text<64>("an even number up to the head's ", c->head_dim));
    }
    const Result<double> eps = file.f64("llama.attention.layer_norm_rms_epsilon", 1e-5);
    if (!eps.ok()) return eps.status();
    if (!(eps.value() > 0 && eps.value() < 1)) {
        return key_error(file, "llama.attention.layer_norm_rms_epsilon", Fixed{eps.value(), 9},
                         "more than 0, less than 1");
    }
    c->rms_eps = float(eps.value());

    const gguf::Tensor* embedding = file.tensor("token_embd.weight");
    if (!embedding) {
        return error(Code::not_found, file.name(), ": tensor \"token_embd.weight\" is missing");
    }
    if (embedding->n_rows > kMaxVocab) {
        return field_error(file.name(), "tensor \"token_embd.weight\" rows", embedding->info_offset,
                           embedding->n_rows, Text<32>("1..", kMaxVocab));
    }
    c->n_vocab = uint32_t(embedding->n_rows);
    c->tied_output = file.tensor("output.weight") == nullptr;
    return {};
}

// The factor every position is divided by. llama.cpp applies a factor without a type as linear.
Status read_linear_factor(const gguf::File& file, double* factor) {
    *factor = 1;
    const Result<std::string_view> type = file.string("llama.rope.scaling.type", "linear");
    if (!type.ok()) return type.status();
    if (type.value() != "none" && type.value() != "linear") {
        return refuse(file, "llama.rope.scaling.type", Quoted{type.value()},
                      "\"none\" or \"linear\"");
    }
    if (type.value() == "none") return {};
    const std::string_view key = file.find("llama.rope.scaling.factor")
                                     ? "llama.rope.scaling.factor"
                                     : "llama.rope.scale_linear";
    const Result<double> value = file.f64(key, 0);
    if (!value.ok()) return value.status();
    if (value.value() == 0) return {};  // 0: no scaling, as in llama.cpp
    if (!(value.value() >= 1.0 / 1024 && value.value() <= 65536)) {
        return key_error(file, key, Fixed{value.value(), 6}, "0, or 1/1024..65536");
    }
    *factor = value.value();
    return {};
}

// rope_freqs.weight: Llama 3's divisor of each pair's frequency.
Status read_rope_factors(const gguf::File& file, uint32_t rope_dim, std::vector<float>* factors) {
    const gguf::Tensor* tensor = file.tensor("rope_freqs.weight");
    if (!tensor) return {};
    if (tensor->n_rows != 1 || tensor->n_cols != rope_dim / 2) {
        return field_error(file.name(), "tensor \"rope_freqs.weight\" shape", tensor->info_offset,
                           Text<64>("[", tensor->n_cols, ", ", tensor->n_rows, "]"),
                           Text<64>("[", rope_dim / 2, "], half the rotated dimensions"));
    }
    factors->resize(tensor->n_cols);
    dequantize(gguf::TensorType(tensor->type), tensor->data.data(), tensor->n_cols,
               factors->data());
    for (size_t i = 0; i < factors->size(); i++) {
        const double factor = double((*factors)[i]);
        if (factor >= 1.0 / 65536 && factor <= 65536) continue;
        return field_error(file.name(), Text<64>("tensor \"rope_freqs.weight\" element ", i),
                           tensor->info_offset, Fixed{factor, 6}, "1/65536..65536");
    }
    return {};
}

Status read_rope(const gguf::File& file, uint32_t rope_dim, std::vector<double>* freqs) {
    const Result<double> base = file.f64("llama.rope.freq_base", 10000);
    if (!base.ok()) return base.status();
    if (!(base.value() >= 1 && base.value() <= 1e12)) {
        return key_error(file, "llama.rope.freq_base", Fixed{base.value(), 3}, "1..1e12");
    }
    double linear_factor;
    if (Status s = read_linear_factor(file, &linear_factor); !s.ok()) return s;
    std::vector<float> factors;
    if (Status s = read_rope_factors(file, rope_dim, &factors); !s.ok()) return s;
    *freqs = rope_frequencies(base.value(), rope_dim, linear_factor, factors);
    return {};
}

// As much of a text as fits, cut at a UTF-8 boundary and NUL-terminated.
template <size_t N>
void copy_text(std::string_view text, char (&out)[N]) {
    size_t n = std::min(text.size(), N - 1);
    if (n < text.size()) {
        while (n > 0 && (uint8_t(text[n]) & 0xC0) == 0x80) n--;
    }
    memcpy(out, text.data(), n);
}

Status read_names(const gguf::File& file, format::Config* c) {
    const Result<std::string_view> name = file.string("general.name", "");
    if (!name.ok()) return name.status();
    const Result<uint64_t> file_type = file.u64("general.file_type", 0);
    if (!file_type.ok()) return file_type.status();
    copy_text(name.value(), c->name);
    copy_text("llama", c->architecture);
    c->file_type = uint32_t(std::min<uint64_t>(file_type.value(), UINT32_MAX));
    const bool known = file.find("general.file_type") != nullptr;
    copy_text(known ? file_type_name(file_type.value()) : "unknown", c->quantization);
    return {};
}

}  // namespace

Status read_llama_keys(const gguf::File& file, format::Config* config, std::vector<double>* freqs) {
    if (Status s = read_architecture(file); !s.ok()) return s;
    if (Status s = read_shape(file, config); !s.ok()) return s;
    if (Status s = read_rope(file, config->rope_dim, freqs); !s.ok()) return s;
    return read_names(file, config);
}

const char* file_type_name(uint64_t file_type) {
    switch (file_type) {
        case 0:
            return "all F32";
        case 1:
            return "F16";
        case 2:
            return "Q4_0";
        case 3:
            return "Q4_1";
        case 7:
            return "Q8_0";
        case 8:
            return "Q5_0";
        case 9:
            return "Q5_1";
        case 10:
            return "Q2_K - Medium";
        case 11:
            return "Q3_K - Small";
        case 12:
            return "Q3_K - Medium";
        case 13:
            return "Q3_K - Large";
        case 14:
            return "Q4_K - Small";
        case 15:
            return "Q4_K - Medium";
        case 16:
            return "Q5_K - Small";
        case 17:
            return "Q5_K - Medium";
        case 18:
            return "Q6_K";
        case 32:
            return "BF16";
        default:
            return "unknown";
    }
}

}  // namespace axiom::packer
