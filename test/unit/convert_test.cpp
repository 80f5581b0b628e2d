// SPDX-License-Identifier: MIT
// From a GGUF's tensors to stored ones: rotary pairs brought together, fused tensors taken apart,
// experts each in an extent, and nothing left over.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "packer/dequant.h"
#include "packer/verify.h"
#include "test/unit/tiny_gguf.h"

using namespace axiom;
using namespace axiom::packer;
using namespace axiom::test;
using format::ExtentKind;
using format::Role;

namespace {

// Where row (or element) i of a packed tensor of heads stands in the source, whose first n_split
// rows of a head are pairs (i, i + n_split / 2).
size_t half_split(size_t i, size_t head_dim, size_t n_split) {
    const size_t head = i / head_dim * head_dim, j = i % head_dim;
    if (j >= n_split) return i;
    return head + (j % 2 == 0 ? j / 2 : n_split / 2 + j / 2);
}

std::vector<float> source_vector(const TinyModel& model, const std::string& name, size_t n) {
    const std::vector<uint8_t> bytes = model.data(name, TensorType::f32, n);
    std::vector<float> values(n);
    memcpy(values.data(), bytes.data(), bytes.size());
    return values;
}
// Row i of a matrix, dequantized.
std::vector<float> source_row(const TinyModel& model, const std::string& name, size_t n_rows,
                              size_t n_cols, size_t i) {
    const std::vector<uint8_t> bytes = model.data(name, model.type, n_rows * n_cols);
    std::vector<float> values(n_cols);
    dequantize(model.type, bytes.data() + bytes.size() / n_rows * i, n_cols, values.data());
    return values;
}

TinyModel qwen(TensorType type) {
    TinyModel model;
    model.architecture = "qwen3";
    model.type = type;
    model.qkv_bias = model.qk_norms = true;
    return model;
}

// Every stored tensor of both files, byte for byte.
void check_same_tensors(const Packed& a, const Packed& b) {
    REQUIRE(a.weights.entries.size() == b.weights.entries.size());
    for (const format::TensorEntry& entry : a.weights.entries) {
        const std::string name = tensor_name(a.weights, entry);
        CAPTURE(name);
        CHECK(a.entry(name).type == b.entry(name).type);
        CHECK(a.stored(name) == b.stored(name));
    }
}

}  // namespace

TEST_CASE("half-split rotary pairs become neighbours: rows of queries and keys, biases and norms") {
    for (const TensorType type : {TensorType::q8_0, TensorType::q4_k}) {
        CAPTURE(gguf::tensor_type_name(uint32_t(type)));
        const TinyModel model = qwen(type);
        const Packed packed(model.build(), {});
        // [head 0: 0, 32, 1, 33, ... 31, 63][head 1: 64, 96, 65, ...]
        CHECK(half_split(1, 64, 64) == 32);
        CHECK(half_split(2, 64, 64) == 1);
        CHECK(half_split(63, 64, 64) == 63);
        CHECK(half_split(65, 64, 64) == 96);
        for (const auto& [stem, n] : {std::pair(std::string("attn_q"), size_t{256}),
                                      std::pair(std::string("attn_k"), size_t{128})}) {
            CAPTURE(stem);
            const std::string matrix = "blk.0." + stem + ".weight",
                              bias = "blk.0." + stem + ".bias";
            for (size_t i = 0; i < n; i++) {
                const std::vector<float> expected =
                    source_row(model, matrix, n, 256, half_split(i, 64, 64));
                if (packed.row(matrix, i) != expected) {
                    CAPTURE(i);
                    CHECK(packed.row(matrix, i) == expected);
                }
            }
            const std::vector<float> from = source_vector(model, bias, n);
            std::vector<float> expected;
            for (size_t i = 0; i < n; i++) expected.push_back(from[half_split(i, 64, 64)]);
            CHECK(packed.vector(bias) == expected);
            const std::string norm = "blk.0." + stem + "_norm.weight";
            const std::vector<float> of_norm = source_vector(model, norm, 64);
            expected.clear();
            for (size_t i = 0; i < 64; i++) expected.push_back(of_norm[half_split(i, 64, 64)]);
            CHECK(packed.vector(norm) == expected);
        }
        // Values are not rotated, nor is what reads them.
        for (size_t i = 0; i < 128; i++) {
            CHECK(packed.row("blk.0.attn_v.weight", i) ==
                  source_row(model, "blk.0.attn_v.weight", 128, 256, i));
        }
        CHECK(packed.vector("blk.0.attn_v.bias") == source_vector(model, "blk.0.attn_v.bias", 128));
        CHECK(packed.row("blk.0.attn_output.weight", 1) ==
              source_row(model, "blk.0.attn_output.weight", 256, 256, 1));
        CHECK(packed.vector("blk.0.attn_norm.weight") ==
              source_vector(model, "blk.0.attn_norm.weight", 256));
        CHECK(verify("out.axm", packed.file.bytes()).text() == "");
    }
}

TEST_CASE("where pairs are neighbours already, every row and element stays") {
    TinyModel model;
    model.type = TensorType::q8_0;
    model.qkv_bias = model.other_bias = true;
    const Packed packed(model.build(), {});
    for (size_t i = 0; i < 256; i++) {
        CHECK(packed.row("blk.0.attn_q.weight", i) ==
              source_row(model, "blk.0.attn_q.weight", 256, 256, i));
    }
    for (const auto& [name, n] :
         {std::pair("blk.0.attn_q.bias", 256), std::pair("blk.0.attn_k.bias", 128),
          std::pair("blk.0.attn_v.bias", 128), std::pair("blk.0.attn_output.bias", 256),
          std::pair("blk.0.ffn_gate.bias", 512), std::pair("blk.0.ffn_up.bias", 512),
          std::pair("blk.0.ffn_down.bias", 256)}) {
        CAPTURE(name);
        CHECK(packed.vector(name) == source_vector(model, name, size_t(n)));
    }
}

TEST_CASE("of a head that is rotated in part, only that part is reordered") {
    TinyModel model;
    model.architecture = "phi3";
    model.type = TensorType::q8_0;
    model.qkv_bias = true;
    model.extra = [](gguf::Builder& b) { b.u32("phi3.rope.dimension_count", 48); };
    const Packed packed(model.build(), {});
    CHECK(packed.weights.config.rope[0].n_dims == 48);
    CHECK(packed.weights.rope_freqs.n_cols == 24);
    CHECK(half_split(1, 64, 48) == 24);
    CHECK(half_split(47, 64, 48) == 47);
    CHECK(half_split(48, 64, 48) == 48);
    const std::vector<float> bias = source_vector(model, "blk.0.attn_k.bias", 128);
    const std::vector<float> stored = packed.vector("blk.0.attn_k.bias");
    for (size_t i = 0; i < 128; i++) {
        CAPTURE(i);
        CHECK(packed.row("blk.0.attn_k.weight", i) ==
              source_row(model, "blk.0.attn_k.weight", 128, 256, half_split(i, 64, 48)));
        CHECK(stored[i] == bias[half_split(i, 64, 48)]);
    }
}

TEST_CASE("fused tensors are stored as the separate ones would be, byte for byte") {
    for (const std::string architecture : {"phi3", "qwen2", "llama"}) {
        for (const TensorType type : {TensorType::f32, TensorType::q8_0, TensorType::q4_k}) {
            CAPTURE(architecture, gguf::tensor_type_name(uint32_t(type)));
            TinyModel model;
            model.architecture = architecture;
            model.type = type;
            model.n_layer = 2;
            model.qkv_bias = true;
            const Packed separate(model.build(), {});
            model.fused_qkv = model.fused_up = true;
            const std::vector<uint8_t> bytes = model.build();
            CHECK(gguf::File::parse("in.gguf", bytes).value().tensor("blk.1.attn_q.weight") ==
                  nullptr);
            const Packed fused(bytes, {});
            check_same_tensors(separate, fused);
            CHECK(fused.row("blk.1.ffn_gate.weight", 3) ==
                  separate.row("blk.1.ffn_gate.weight", 3));
        }
    }
}

TEST_CASE("fused weights may have separate biases") {
    TinyModel model;
    model.architecture = "qwen2";
    model.qkv_bias = true;
    const Packed separate(model.build(), {});
    model.qkv_bias = false;
    model.fused_qkv = true;
    model.extra = [&model](gguf::Builder& b) {
        for (const auto& [name, n] :
             {std::pair("blk.0.attn_q.bias", uint64_t{256}), std::pair("blk.0.attn_k.bias", 128ul),
              std::pair("blk.0.attn_v.bias", 128ul)}) {
            const uint64_t dims[] = {n};
            b.tensor(name, TensorType::f32, dims, model.data(name, TensorType::f32, n));
        }
    };
    check_same_tensors(separate, Packed(model.build(), {}));
}

TEST_CASE("a fused tensor of another size, or beside the separate one, is refused by name") {
    const auto with = [](TinyModel model, const std::string& name, std::vector<uint64_t> dims) {
        model.extra = [name, dims](gguf::Builder& b) {
            uint64_t n = 1;
            for (const uint64_t dim : dims) n *= dim;
            b.tensor(name, TensorType::f32, dims, std::vector<uint8_t>(size_t(n) * 4));
        };
        return model;
    };
    TinyModel no_q;
    no_q.architecture = "phi3";
    no_q.left_out = "blk.0.attn_q.weight";
    refuses(with(no_q, "blk.0.attn_qkv.weight", {256, 511}),
            {"tensor \"blk.0.attn_qkv.weight\" shape at offset",
             "found [256, 511], allowed [256, 512] by the keys"});
    refuses(with(no_q, "blk.0.attn_qkv.weight", {128, 512}),
            {"found [128, 512], allowed [256, 512] by the keys"});
    refuses(no_q, {"tensor \"blk.0.attn_q.weight\" is missing"});
    refuses(with({}, "blk.0.attn_qkv.weight", {256, 512}),
            {"tensor \"blk.0.attn_qkv.weight\" at offset",
             "found a tensor that llama's forward pass does not use (unknown)"});
    TinyModel biased;
    biased.architecture = "qwen2";
    refuses(with(biased, "blk.0.attn_qkv.bias", {513}),
            {"tensor \"blk.0.attn_qkv.bias\" shape at offset",
             "found [513, 1], allowed [512, 1] by the keys"});
    // An up projection of twice its rows holds the gate only where there is no gate.
    TinyModel two_gates;
    two_gates.left_out = "blk.0.ffn_up.weight";
    refuses(with(two_gates, "blk.0.ffn_up.weight", {256, 1024}),
            {"tensor \"blk.0.ffn_up.weight\" shape at offset",
             "found [256, 1024], allowed [256, 512] by the keys"});
    TinyModel no_gate;
    no_gate.left_out = "blk.0.ffn_gate.weight";
    refuses(no_gate, {"tensor \"blk.0.ffn_gate.weight\" is missing"});
}

TEST_CASE("each expert has an extent of its own with its rows of the three tensors") {
    for (const TensorType type : {TensorType::q8_0, TensorType::q4_k}) {
        TinyModel model;
        model.architecture = "qwen3moe";
        model.type = type;
        model.n_layer = 2;
        model.qk_norms = true;
        model.n_experts = 5;
        model.n_experts_used = 2;
        model.extra = [](gguf::Builder& b) { b.u32("qwen3moe.expert_feed_forward_length", 512); };
        const Packed packed(model.build(), {});
        const FileLayout& layout = packed.weights.layout;
        REQUIRE(layout.extents.size() == 6 + 2 * (1 + 5));
        CHECK(packed.weights.config.layer(1).n_expert == 5);
        CHECK(packed.weights.config.layer(1).n_ff_expert == 512);
        CHECK(packed.weights.config.layer(1).n_ff == 0);
        for (size_t layer = 0; layer < 2; layer++) {
            for (size_t expert = 0; expert < 5; expert++) {
                CAPTURE(layer, expert);
                const uint32_t i_extent = layout.find(ExtentKind::expert, layer, expert);
                REQUIRE(i_extent == 5 + 6 * layer + 1 + expert);
                REQUIRE(packed.weights.entries_of(i_extent).size() == 3);
                const std::string blk = "blk." + std::to_string(layer) + ".";
                const std::string number = "[" + std::to_string(expert) + "]";
                for (const auto& [stem, rows, cols] :
                     {std::tuple("ffn_gate_exps.weight", 512, 256),
                      std::tuple("ffn_up_exps.weight", 512, 256),
                      std::tuple("ffn_down_exps.weight", 256, 512)}) {
                    const std::string name = blk + stem;
                    CHECK(packed.entry(name + number).extent == i_extent);
                    CHECK(packed.entry(name + number).n_rows == uint64_t(rows));
                    const size_t n_rows = size_t(rows) * 5;
                    for (const size_t i : {size_t{0}, size_t{17}, size_t(rows - 1)}) {
                        CHECK(packed.row(name + number, i) ==
                              source_row(model, name, n_rows, size_t(cols),
                                         expert * size_t(rows) + i));
                    }
                }
            }
            CHECK(layout.find(ExtentKind::expert, layer, 5) == format::kNone);
        }
        CHECK(verify("out.axm", packed.file.bytes()).text() == "");
        // Decoding reads two of five experts.
        uint64_t layers = 0, expert = 0;
        for (const format::TensorEntry& e : packed.weights.entries) {
            const format::Extent& extent = layout.extents[e.extent];
            if (extent.kind == ExtentKind::layer) layers += e.bytes;
            if (extent.kind == ExtentKind::expert && extent.layer == 0 && extent.expert == 0)
                expert += e.bytes;
        }
        CHECK(packed.weights.bytes_per_token() == layers + 2 * 2 * expert +
                                                      packed.weights.output_norm.bytes +
                                                      packed.weights.output.bytes);
        const uint64_t attention = 2 * 256 * 256 + 2 * 128 * 256, router = 5 * 256;
        CHECK(packed.weights.macs_per_token() ==
              2 * (attention + router + 2 * 3 * 512 * 256) + 40 * 256);
    }
}

TEST_CASE("a router is stored in F32 whatever it comes in") {
    for (const TensorType type :
         {TensorType::f32, TensorType::f16, TensorType::bf16, TensorType::q8_0}) {
        CAPTURE(gguf::tensor_type_name(uint32_t(type)));
        TinyModel model;
        model.n_experts = 4;
        model.n_experts_used = 1;
        model.router_type = type;
        ConvertOptions options;
        options.type = StoredType::q4;
        const Packed packed(model.build(), options);
        const TensorView router = packed.weights.layer(0)[Role::router];
        CHECK(router.type == StoredType::f32);
        CHECK(router.n_rows == 4);
        CHECK(router.n_cols == 256);
        const std::vector<uint8_t> bytes = model.data("blk.0.ffn_gate_inp.weight", type, 4 * 256);
        std::vector<float> expected(4 * 256);
        dequantize(type, bytes.data(), expected.size(), expected.data());
        CHECK(packed.vector("blk.0.ffn_gate_inp.weight") == expected);
        CHECK(packed.entry("blk.0.ffn_gate_inp.weight").source_type == uint32_t(type));
        CHECK(packed.entry("blk.0.ffn_gate_inp.weight").max_error == 0);
    }
    // One expert's router is a single row.
    TinyModel one;
    one.n_experts = one.n_experts_used = 1;
    const Packed packed(one.build(), {});
    CHECK(packed.weights.layer(0)[Role::router].n_rows == 1);
    CHECK(packed.vector("blk.0.ffn_gate_inp.weight") ==
          source_vector(one, "blk.0.ffn_gate_inp.weight", 256));
}

TEST_CASE("experts of the wrong shape or number are refused") {
    TinyModel model;
    model.n_experts = 4;
    model.n_experts_used = 2;
    model.misshapen = "blk.0.ffn_up_exps.weight";
    refuses(model, {"tensor \"blk.0.ffn_up_exps.weight\" shape at offset",
                    "found [256, 2560], allowed [256, 2048] by the keys"});
    model.misshapen = "blk.0.ffn_gate_inp.weight";
    refuses(model, {"tensor \"blk.0.ffn_gate_inp.weight\" shape at offset",
                    "found [256, 5], allowed [256, 4] by the keys"});
    model.misshapen.clear();
    model.left_out = "blk.0.ffn_down_exps.weight";
    refuses(model, {"tensor \"blk.0.ffn_down_exps.weight\" is missing"});
    TinyModel dense;
    dense.extra = [](gguf::Builder& b) {
        const uint64_t dims[] = {256, 4};
        b.tensor("blk.0.ffn_gate_inp.weight", TensorType::f32, dims, std::vector<uint8_t>(4096));
    };
    refuses(dense, {"tensor \"blk.0.ffn_gate_inp.weight\" at offset", "(unknown)"});
}

TEST_CASE("a tensor that a family's forward pass does not use is refused by name") {
    const auto with = [](const std::string& architecture, const std::string& name) {
        TinyModel model;
        model.architecture = architecture;
        model.qk_norms = architecture.starts_with("qwen3");
        model.extra = [name](gguf::Builder& b) {
            const uint64_t dims[] = {256};
            b.tensor(name, TensorType::f32, dims, std::vector<uint8_t>(1024));
        };
        return model;
    };
    refuses(with("qwen2", "blk.0.attn_output.bias"),
            {"tensor \"blk.0.attn_output.bias\" at offset",
             "found a tensor that qwen2's forward pass does not use (a bias), "
             "allowed the tensors llama.cpp has for it"});
    refuses(with("llama", "blk.0.attn_q_norm.weight"), {"llama's forward pass", "(unknown)"});
    refuses(with("llama", "blk.0.post_ffw_norm.weight"), {"(unknown)"});
    refuses(with("qwen3", "blk.1.attn_norm.weight"), {"\"blk.1.attn_norm.weight\" at offset"});
    refuses(with("llama", "cls.weight"), {"tensor \"cls.weight\" at offset", "(unknown)"});
    refuses(with("llama", "output_norm.bias"), {"tensor \"output_norm.bias\"", "(a bias)"});
    // Old converters wrote down what the keys say anyway.
    for (const std::string name :
         {"blk.0.attn_rot_embd.weight", "blk.0.rope_freqs.weight", "rotary_emb.inv_freq"}) {
        const Packed packed(with("llama", name).build(), {});
        CHECK(packed.weights.entries.size() == 12);
    }
}

TEST_CASE("a norm that a family needs is refused by name when it is missing or misshapen") {
    for (const auto& [architecture, name] :
         {std::pair("llama", "blk.0.attn_norm.weight"), std::pair("llama", "blk.0.ffn_norm.weight"),
          std::pair("qwen3", "blk.0.attn_q_norm.weight"),
          std::pair("qwen3", "blk.0.attn_k_norm.weight"),
          std::pair("gemma2", "blk.0.post_attention_norm.weight"),
          std::pair("gemma2", "blk.0.post_ffw_norm.weight"),
          std::pair("gemma3", "blk.0.attn_q_norm.weight")}) {
        CAPTURE(architecture, name);
        TinyModel model;
        model.architecture = architecture;
        model.post_norms = model.architecture.starts_with("gemma");
        model.qk_norms = model.architecture == "qwen3" || model.architecture == "gemma3";
        TinyModel bent = model;
        bent.left_out = name;
        refuses(bent, {"tensor \"" + std::string(name) + "\" is missing"});
        bent = model;
        bent.misshapen = name;
        refuses(bent, {"tensor \"" + std::string(name) + "\" shape at offset", "by the keys"});
    }
}

TEST_CASE("the manifest tells layers, experts, pieces and the file's id") {
    TinyModel model;
    model.n_layer = 2;
    model.n_experts = 3;
    model.n_experts_used = 2;
    model.n_vocab = 6000;
    const Packed packed(model.build(), {});
    const nlohmann::ordered_json json = manifest(packed.weights);
    CHECK(json["format_version"] == 2);
    CHECK(json["id"].get<std::string>().size() == 32);
    CHECK(json["merkle_root"].get<std::string>().size() == 64);
    CHECK(json["merkle_root"].get<std::string>().starts_with(json["id"].get<std::string>()));
    REQUIRE(json["layers"].size() == 2);
    CHECK(json["layers"][1]["n_expert"] == 3);
    CHECK(json["layers"][1]["n_ff_expert"] == 512);
    CHECK(json["config"]["n_expert_used"] == 2);
    REQUIRE(json["extents"].size() == 6 + 2 * 4);
    CHECK(json["extents"][4]["kind"] == "embedding");
    CHECK(json["extents"][4]["n_pieces"] == 2);  // 6000 x 256 in q8: 1.6 MB
    CHECK_FALSE(json["extents"][4].contains("layer"));
    CHECK(json["extents"][9]["kind"] == "layer");
    CHECK(json["extents"][9]["layer"] == 1);
    CHECK_FALSE(json["extents"][9].contains("expert"));
    CHECK(json["extents"][12]["kind"] == "expert");
    CHECK(json["extents"][12]["layer"] == 1);
    CHECK(json["extents"][12]["expert"] == 2);
    CHECK(json["extents"][12]["offset"] == packed.weights.layout.extents[12].offset);
    CHECK(json["extents"][12]["bytes"] == packed.weights.layout.extents[12].bytes);
    const auto& last_expert = json["tensors"][json["tensors"].size() - 2];
    CHECK(last_expert["name"] == "blk.1.ffn_down_exps.weight[2]");
    CHECK(last_expert["role"] == "ffn_down_exps.weight");
    CHECK(last_expert["layer"] == 1);
    CHECK(last_expert["expert"] == 2);
    const auto& norm = json["tensors"][json["tensors"].size() - 1];
    CHECK(norm["name"] == "output_norm.weight");
    CHECK(norm["layer"].is_null());
    CHECK(norm["expert"].is_null());
    CHECK(describe(packed.weights).find("n_ff 512 x 3 experts, 2 used") != std::string::npos);
    CHECK(describe(packed.weights).find("id " + json["id"].get<std::string>()) !=
          std::string::npos);
}
