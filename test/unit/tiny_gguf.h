// SPDX-License-Identifier: MIT
// GGUFs of small models with random weights, bent as a test needs, and what the packer makes of
// them.
#pragma once

#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <functional>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "model/weights/weights.h"
#include "packer/convert.h"
#include "packer/files.h"
#include "packer/gguf_builder.h"
#include "packer/manifest.h"
#include "packer/writer.h"
#include "test/unit/catch.h"

namespace axiom::test {

using gguf::TensorType;

// Numerical Recipes' generator: enough for test data.
class Draw {
  public:
    explicit Draw(uint64_t seed) : state_(seed) {}
    uint32_t bits() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return uint32_t(state_ >> 32);
    }
    float uniform() { return float(bits() >> 8) / 8388608.0f - 1.0f; }  // [-1, 1)

  private:
    uint64_t state_;
};

inline void set_half(std::vector<uint8_t>& bytes, size_t at, float value) {
    const uint16_t half = f32_to_f16(value);
    memcpy(bytes.data() + at, &half, sizeof half);
}

// Random bytes of n_elements weights whose binary16 fields are small numbers, or any finite ones.
inline std::vector<uint8_t> random_blocks(TensorType type, uint64_t n_elements, uint64_t seed,
                                          bool any_half = false) {
    const gguf::BlockShape shape = gguf::block_shape(uint32_t(type));
    std::vector<uint8_t> bytes(n_elements / shape.n_cols * shape.n_bytes);
    Draw draw(seed);
    for (uint8_t& byte : bytes) byte = uint8_t(draw.bits());
    const size_t first_half = type == TensorType::q6_k ? 208 : 0;
    const bool two = type == TensorType::q4_1 || type == TensorType::q5_1 ||
                     type == TensorType::q4_k || type == TensorType::q5_k;
    for (size_t at = 0; at < bytes.size(); at += shape.n_bytes) {
        if (type == TensorType::f32) {
            const float value = draw.uniform();
            memcpy(bytes.data() + at, &value, sizeof value);
        } else if (type == TensorType::bf16) {
            const uint16_t value = uint16_t(std::bit_cast<uint32_t>(draw.uniform()) >> 16);
            memcpy(bytes.data() + at, &value, sizeof value);
        } else if (any_half) {
            // The top bit of the exponent off in one of two and wherever all of them are set.
            const auto finite = [&](uint8_t& high) {
                if ((high & 0x7c) == 0x7c || draw.bits() % 2 == 0) high &= 0xbf;
            };
            finite(bytes[at + first_half + 1]);
            if (two) finite(bytes[at + 3]);
        } else {
            set_half(bytes, at + first_half, draw.uniform() * 0.01f);
            if (two) set_half(bytes, at + 2, draw.uniform() * 0.01f);
        }
    }
    return bytes;
}

inline std::vector<uint8_t> bytes_of(const std::vector<float>& values) {
    std::vector<uint8_t> bytes(values.size() * sizeof(float));
    memcpy(bytes.data(), values.data(), bytes.size());
    return bytes;
}

// A model of one layer, or more, and the ways tests bend it. By itself it is a dense llama whose
// heads are n_embd / n_head wide.
struct TinyModel {
    uint32_t n_embd = 256, n_ff = 512, n_head = 4, n_head_kv = 2, n_vocab = 40, n_layer = 1;
    std::string architecture = "llama";
    TensorType type = TensorType::f32;  // of the matrices
    TensorType router_type = TensorType::f32;
    bool any_half = false;  // their scales are any finite binary16
    bool tied = true;
    std::set<std::string> without_keys;  // "block_count"; those without a prefix as they are
    std::string left_out;                // tensor that is missing
    std::string misshapen;               // tensor with one row too many
    std::string poisoned;                // F32 tensor whose element 37 is NaN
    std::string scaling_type;
    float scaling_factor = 0;
    uint32_t n_experts = 0, n_experts_used = 0;
    uint32_t n_tokens = 0;  // of a vocabulary; 0: none
    bool qkv_bias = false, other_bias = false;
    bool post_norms = false, qk_norms = false;
    bool fused_qkv = false, fused_up = false;  // the same numbers, in one tensor
    std::function<void(gguf::Builder&)> extra;

    uint32_t head_dim() const { return n_embd / n_head; }
    uint64_t n_kv() const { return uint64_t{head_dim()} * n_head_kv; }

    std::vector<uint8_t> build() const {
        gguf::Builder b;
        b.string("general.architecture", architecture).string("general.name", "tiny test");
        b.u32("general.file_type", 3);
        u32(b, "block_count", n_layer);
        u32(b, "context_length", 128);
        u32(b, "embedding_length", n_embd);
        u32(b, "feed_forward_length", n_ff);
        u32(b, "attention.head_count", n_head);
        u32(b, "attention.head_count_kv", n_head_kv);
        f32(b, "attention.layer_norm_rms_epsilon", 1e-6f);
        f32(b, "rope.freq_base", 500.0f);
        b.string("tokenizer.ggml.model", n_tokens == 0 ? "no_vocab" : "gpt2");
        if (n_tokens != 0) {
            std::vector<std::string> tokens;
            for (uint32_t i = 0; i < n_tokens; i++)
                tokens.push_back(std::string(i / 26 + 1, char('a' + i % 26)));
            b.string("tokenizer.ggml.pre", "gpt-2").strings("tokenizer.ggml.tokens", tokens);
            b.strings("tokenizer.ggml.merges", {});
        }
        if (!scaling_type.empty()) b.string(key("rope.scaling.type"), scaling_type);
        if (scaling_factor != 0) f32(b, "rope.scaling.factor", scaling_factor);
        if (n_experts != 0) u32(b, "expert_count", n_experts);
        if (n_experts_used != 0) u32(b, "expert_used_count", n_experts_used);
        matrix(b, "token_embd.weight", n_vocab, n_embd);
        if (!tied) matrix(b, "output.weight", n_vocab, n_embd);
        vector(b, "output_norm.weight", n_embd);
        for (uint32_t i = 0; i < n_layer; i++) layer(b, "blk." + std::to_string(i) + ".");
        if (extra) extra(b);
        return b.build();
    }
    std::string key(const std::string& stem) const { return architecture + "." + stem; }

    // The bytes that build() gives a tensor of this name.
    std::vector<uint8_t> data(const std::string& name, TensorType t, uint64_t n) const {
        return random_blocks(t, n, std::hash<std::string>{}(name), any_half);
    }

  private:
    void u32(gguf::Builder& b, const std::string& stem, uint32_t value) const {
        if (!without_keys.contains(stem)) b.u32(key(stem), value);
    }
    void f32(gguf::Builder& b, const std::string& stem, float value) const {
        if (!without_keys.contains(stem)) b.f32(key(stem), value);
    }
    void layer(gguf::Builder& b, const std::string& blk) const {
        const uint64_t n_q = uint64_t{head_dim()} * n_head;
        vector(b, blk + "attn_norm.weight", n_embd);
        vector(b, blk + "ffn_norm.weight", n_embd);
        if (post_norms) {
            vector(b, blk + "post_attention_norm.weight", n_embd);
            vector(b, blk + "post_ffw_norm.weight", n_embd);
        }
        if (qk_norms) {
            vector(b, blk + "attn_q_norm.weight", head_dim());
            vector(b, blk + "attn_k_norm.weight", head_dim());
        }
        if (fused_qkv) {
            fused(b, blk + "attn_qkv.weight", type, n_embd,
                  {{blk + "attn_q.weight", n_q},
                   {blk + "attn_k.weight", n_kv()},
                   {blk + "attn_v.weight", n_kv()}});
        } else {
            matrix(b, blk + "attn_q.weight", n_q, n_embd);
            matrix(b, blk + "attn_k.weight", n_kv(), n_embd);
            matrix(b, blk + "attn_v.weight", n_kv(), n_embd);
        }
        if (qkv_bias && fused_qkv) {
            fused(b, blk + "attn_qkv.bias", TensorType::f32, 1,
                  {{blk + "attn_q.bias", n_q},
                   {blk + "attn_k.bias", n_kv()},
                   {blk + "attn_v.bias", n_kv()}});
        } else if (qkv_bias) {
            vector(b, blk + "attn_q.bias", n_q);
            vector(b, blk + "attn_k.bias", n_kv());
            vector(b, blk + "attn_v.bias", n_kv());
        }
        matrix(b, blk + "attn_output.weight", n_embd, n_q);
        if (other_bias) {
            vector(b, blk + "attn_output.bias", n_embd);
            vector(b, blk + "ffn_gate.bias", n_ff);
            vector(b, blk + "ffn_up.bias", n_ff);
            vector(b, blk + "ffn_down.bias", n_embd);
        }
        if (n_experts != 0) {
            add(b, blk + "ffn_gate_inp.weight", router_type, {n_embd, n_experts});
            add(b, blk + "ffn_gate_exps.weight", type, {n_embd, n_ff, n_experts});
            add(b, blk + "ffn_up_exps.weight", type, {n_embd, n_ff, n_experts});
            add(b, blk + "ffn_down_exps.weight", type, {n_ff, n_embd, n_experts});
            return;
        }
        if (fused_up) {
            fused(b, blk + "ffn_up.weight", type, n_embd,
                  {{blk + "ffn_gate.weight", n_ff}, {blk + "ffn_up.weight", n_ff}});
        } else {
            matrix(b, blk + "ffn_gate.weight", n_ff, n_embd);
            matrix(b, blk + "ffn_up.weight", n_ff, n_embd);
        }
        matrix(b, blk + "ffn_down.weight", n_embd, n_ff);
    }
    void add(gguf::Builder& b, const std::string& name, TensorType t,
             std::vector<uint64_t> dims) const {
        if (name == left_out) return;
        if (name == misshapen) {
            if (dims.size() == 1) dims.push_back(1);
            dims.back()++;
        }
        uint64_t n = 1;
        for (const uint64_t dim : dims) n *= dim;
        std::vector<uint8_t> bytes = data(name, t, n);
        if (name == poisoned) {
            const float nan = NAN;
            memcpy(bytes.data() + 37 * sizeof nan, &nan, sizeof nan);
        }
        b.tensor(name, t, dims, bytes);
    }
    void matrix(gguf::Builder& b, const std::string& name, uint64_t rows, uint64_t cols) const {
        add(b, name, type, rows > 1 ? std::vector{cols, rows} : std::vector{cols});
    }
    void vector(gguf::Builder& b, const std::string& name, uint64_t n) const {
        add(b, name, TensorType::f32, {n});
    }
    // One tensor of the rows, or elements, of several.
    void fused(gguf::Builder& b, const std::string& name, TensorType t, uint64_t cols,
               std::initializer_list<std::pair<std::string, uint64_t>> parts) const {
        std::vector<uint8_t> bytes;
        uint64_t rows = 0;
        for (const auto& [part, n] : parts) {
            const std::vector<uint8_t> of_part = data(part, t, n * cols);
            bytes.insert(bytes.end(), of_part.begin(), of_part.end());
            rows += n;
        }
        b.tensor(name, t, cols == 1 ? std::vector{rows} : std::vector{cols, rows}, bytes);
    }
};

// Planning fails, and the message holds every given part.
inline void refuses(const TinyModel& model, std::initializer_list<std::string_view> parts) {
    const std::vector<uint8_t> bytes = model.build();
    const Result<gguf::File> file = gguf::File::parse("in.gguf", bytes);
    INFO(file.status().text());
    REQUIRE(file.ok());
    const Result<packer::Plan> plan = packer::plan_from_gguf(file.value(), {});
    REQUIRE_FALSE(plan.ok());
    const std::string text(plan.status().text());
    CAPTURE(text);
    CHECK(text.starts_with("in.gguf: "));
    for (const std::string_view part : parts) {
        CAPTURE(part);
        CHECK(text.find(part) != std::string::npos);
    }
}

// A folder of its own that goes away with it.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "axiom-pack-XXXXXX").string();
        REQUIRE(mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;
    ~TemporaryFolder() { std::filesystem::remove_all(path_); }
    std::string file(const std::string& name) const { return path_ + "/" + name; }
    size_t n_files() const {
        const std::filesystem::directory_iterator begin(path_), end;
        return size_t(std::distance(begin, end));
    }

  private:
    std::string path_;
};

// Packs GGUF bytes and opens the result.
struct Packed {
    TemporaryFolder folder;
    packer::MappedFile file;
    Weights weights;
    std::vector<std::string> notes;  // what the packer said

    Packed(const std::vector<uint8_t>& gguf_bytes, const packer::ConvertOptions& options) {
        const Result<gguf::File> parsed = gguf::File::parse("in.gguf", gguf_bytes);
        INFO(parsed.status().text());
        REQUIRE(parsed.ok());
        const Result<packer::Plan> plan = packer::plan_from_gguf(parsed.value(), options);
        INFO(plan.status().text());
        REQUIRE(plan.ok());
        open(plan.value());
    }
    explicit Packed(const packer::Plan& plan) { open(plan); }

    const format::TensorEntry& entry(const std::string& name) const {
        for (const format::TensorEntry& e : weights.entries) {
            if (packer::tensor_name(weights, e) == name) return e;
        }
        FAIL("no tensor " << name);
        return weights.entries[0];
    }
    // The stored bytes of a tensor, padding rows included.
    std::vector<uint8_t> stored(const std::string& name) const {
        const format::TensorEntry& e = entry(name);
        const uint8_t* const begin =
            file.bytes().data() + weights.layout.extents[e.extent].offset + e.offset;
        return {begin, begin + e.bytes};
    }
    std::vector<float> vector(const std::string& name) const {
        const std::vector<uint8_t> bytes = stored(name);
        std::vector<float> values(bytes.size() / sizeof(float));
        memcpy(values.data(), bytes.data(), bytes.size());
        return values;
    }
    // A row of a matrix as the weights it stands for.
    std::vector<float> row(const std::string& name, size_t i) const {
        const format::TensorEntry& e = entry(name);
        std::vector<float> values(e.n_cols);
        dequantize_row(e.type, stored(name).data(), e.n_cols, i, values.data());
        return values;
    }

  private:
    void open(const packer::Plan& plan) {
        notes = plan.notes;
        const std::string path = folder.file("out.axm");
        const Status written = packer::write_packed(plan, path, {}, nullptr);
        INFO(written.text());
        REQUIRE(written.ok());
        Result<packer::MappedFile> mapped = packer::MappedFile::open(path);
        REQUIRE(mapped.ok());
        file = std::move(mapped.value());
        const Result<Weights> opened = Weights::open("out.axm", file.bytes());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        weights = opened.value();
    }
};

}  // namespace axiom::test
