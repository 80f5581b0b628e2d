// SPDX-License-Identifier: MIT
// A GGUF's keys -> the configuration of the packed file, for every architecture: what is required,
// what is taken when it is missing and said, what is ignored and said, what is refused.
#include <cmath>
#include <string>
#include <vector>

#include "packer/families.h"
#include "test/unit/tiny_gguf.h"

using namespace axiom;
using namespace axiom::packer;
using namespace axiom::test;
using format::kNone;
using format::Role;
using format::role_bit;

namespace {

const std::vector<std::string> kArchitectures = {"llama",    "smollm3",   "qwen2",  "qwen3",
                                                 "qwen3moe", "gemma2",    "gemma3", "phi3",
                                                 "granite",  "granitemoe"};

// The smallest model of an architecture with every key that llama.cpp requires.
TinyModel family(const std::string& architecture) {
    TinyModel model;
    model.architecture = architecture;
    model.n_embd = 64;
    model.n_ff = 96;
    model.n_vocab = 16;
    const bool gemma = architecture.starts_with("gemma"), moe = architecture.ends_with("moe");
    model.post_norms = gemma;
    model.qk_norms = architecture.starts_with("qwen3") || architecture == "gemma3";
    if (moe) {
        model.n_experts = 4;
        model.n_experts_used = 2;
    }
    if (architecture == "phi3") model.fused_up = model.fused_qkv = true;
    if (architecture.starts_with("granite"))
        model.extra = [=](gguf::Builder& b) { b.f32(architecture + ".logit_scale", 8.0f); };
    return model;
}

// What a model's extra() already adds stays.
void add(TinyModel& model, std::function<void(gguf::Builder&)> more) {
    model.extra = [before = model.extra, more = std::move(more)](gguf::Builder& b) {
        if (before) before(b);
        more(b);
    };
}
void add_u32(TinyModel& model, const std::string& stem, uint32_t value) {
    add(model, [key = model.key(stem), value](gguf::Builder& b) { b.u32(key, value); });
}
void add_f32(TinyModel& model, const std::string& stem, float value) {
    add(model, [key = model.key(stem), value](gguf::Builder& b) { b.f32(key, value); });
}
void add_integers(TinyModel& model, const std::string& stem, std::vector<int32_t> values) {
    model.without_keys.insert(stem);
    add(model, [key = model.key(stem), values](gguf::Builder& b) { b.integers(key, values); });
}
// Replaces what the model says by itself.
void set_u32(TinyModel& model, const std::string& stem, uint32_t value) {
    model.without_keys.insert(stem);
    add_u32(model, stem, value);
}
void set_f32(TinyModel& model, const std::string& stem, float value) {
    model.without_keys.insert(stem);
    add_f32(model, stem, value);
}

Status read(const TinyModel& model, ModelKeys* keys) {
    const std::vector<uint8_t> bytes = model.build();
    const Result<gguf::File> file = gguf::File::parse("in.gguf", bytes);
    INFO(file.status().text());
    REQUIRE(file.ok());
    return read_model_keys(file.value(), keys);
}
ModelKeys keys_of(const TinyModel& model) {
    ModelKeys keys;
    const Status s = read(model, &keys);
    INFO(s.text());
    REQUIRE(s.ok());
    return keys;
}
std::string refusal(const TinyModel& model) {
    ModelKeys keys;
    const Status s = read(model, &keys);
    REQUIRE_FALSE(s.ok());
    return std::string(s.text());
}
// The whole message but for the offset in the file.
void check_refused(const TinyModel& model, const std::string& stem, const std::string& rest) {
    const std::string text = refusal(model);
    CAPTURE(text);
    CHECK(text.starts_with("in.gguf: key \"" + model.key(stem) + "\" at offset 0x"));
    CHECK(text.ends_with(": found " + rest));
}
void check_missing(const TinyModel& model, const std::string& stem) {
    CHECK(refusal(model) == "in.gguf: key \"" + model.key(stem) + "\" is missing");
}

std::string missing_note(const TinyModel& model, const std::string& stem,
                         const std::string& taken) {
    return "key " + model.key(stem) + " is missing; taken: " + taken +
           ", as llama.cpp does for this architecture";
}
std::string ignored_note(const TinyModel& model, const std::string& stem) {
    return "key " + model.key(stem) + " is ignored, as llama.cpp does for this architecture";
}

// "wg": layers with a window and without.
std::string windows(const ModelKeys& keys, uint32_t n) {
    std::string text;
    for (const LayerConfig& layer : keys.layers) {
        CHECK((layer.window == 0 || layer.window == n));
        text += layer.window != 0 ? 'w' : 'g';
    }
    return text;
}

}  // namespace

TEST_CASE("an architecture that is not ours is refused with a list of those that are") {
    TinyModel model;
    model.architecture = "mamba";
    const std::string text = refusal(model);
    CHECK(text.starts_with("in.gguf: key \"general.architecture\" at offset 0x"));
    CHECK(text.ends_with(": found \"mamba\", allowed " + supported_architectures()));
    ModelKeys keys;
    CHECK(read(model, &keys).code() == Code::unsupported);
    for (const std::string& architecture : kArchitectures)
        CHECK((supported_architectures() + ",").find(architecture + ",") != std::string::npos);
    CHECK(supported_architectures().starts_with("llama, smollm3, qwen2, qwen3, qwen3moe, "));

    const std::vector<uint8_t> empty = gguf::Builder().build();
    const Result<gguf::File> file = gguf::File::parse("in.gguf", empty);
    CHECK(read_model_keys(file.value(), &keys).text() ==
          "in.gguf: key \"general.architecture\" is missing");
}

TEST_CASE("every architecture is read from the keys that llama.cpp requires of it") {
    for (const std::string& architecture : kArchitectures) {
        CAPTURE(architecture);
        const ModelKeys keys = keys_of(family(architecture));
        CHECK(keys.config.n_embd == 64);
        CHECK(keys.config.n_ctx_train == 128);
        CHECK(keys.config.n_layer == 1);
        CHECK(keys.config.n_vocab == 16);
        CHECK(keys.config.rms_eps == 1e-6f);
        CHECK(std::string(keys.config.architecture) == architecture);
        REQUIRE(keys.layers.size() == 1);
        const LayerConfig& layer = keys.layers[0];
        CHECK(layer.kind == format::LayerKind::attention);
        CHECK(layer.n_head == 4);
        CHECK(layer.n_head_kv == 2);
        CHECK(layer.head_dim == 16);
        CHECK(layer.rope == (architecture == "gemma2" ? 1 : 0));
        const bool gemma = architecture.starts_with("gemma");
        const bool granite = architecture.starts_with("granite");
        const bool moe = architecture.ends_with("moe");
        CHECK(keys.half_split ==
              !(architecture == "llama" || architecture == "smollm3" || granite));
        CHECK((layer.activation == format::Activation::gelu_tanh) == gemma);
        CHECK(keys.config.embedding_scale == (gemma ? 8.0f : 1.0f));  // the root of 64
        CHECK(keys.config.logit_scale == (granite ? 0.125f : 1.0f));
        CHECK(keys.config.residual_scale == 1);
        CHECK(keys.config.expert_scale == 1);
        CHECK(layer.attn_scale == 0.25f);
        CHECK(layer.attn_softcap == (architecture == "gemma2" ? 50.0f : 0.0f));
        CHECK(keys.config.final_softcap == (architecture == "gemma2" ? 30.0f : 0.0f));
        CHECK(layer.window == (architecture == "gemma2" ? 4096 : 0));
        CHECK(layer.n_expert == (moe ? 4 : 0));
        CHECK(layer.n_ff == (moe ? 0 : 96));
        CHECK(layer.n_ff_expert == (!moe ? 0 : architecture == "qwen3moe" ? 48 : 96));
        CHECK(keys.config.n_expert_used == (moe ? 2 : 0));
        CHECK(keys.config.expert_normalize == (moe ? 1 : 0));
        CHECK(keys.config.expert_gating == format::ExpertGating::softmax);
        CHECK(layer.norm_whole_qk == 0);
        uint64_t tensors = format::kAttentionRoles | role_bit(Role::attn_norm) |
                           role_bit(Role::ffn_norm) |
                           (moe ? format::kExpertRoles : format::kDenseRoles);
        if (gemma) tensors |= role_bit(Role::attn_post_norm) | role_bit(Role::ffn_post_norm);
        if (architecture.starts_with("qwen3") || architecture == "gemma3")
            tensors |= role_bit(Role::attn_q_norm) | role_bit(Role::attn_k_norm);
        CHECK(layer.tensors == tensors);
        if (architecture != "gemma2") CHECK(keys.notes.empty());
    }
}

TEST_CASE("a key that llama.cpp requires is refused by name when it is missing") {
    for (const std::string& architecture : kArchitectures) {
        CAPTURE(architecture);
        for (const std::string stem :
             {"block_count", "context_length", "embedding_length", "attention.head_count",
              "attention.layer_norm_rms_epsilon", "feed_forward_length"}) {
            TinyModel model = family(architecture);
            model.without_keys.insert(stem);
            check_missing(model, stem);
            ModelKeys keys;
            CHECK(read(model, &keys).code() == Code::not_found);
        }
    }
    for (const std::string architecture : {"granite", "granitemoe"}) {
        TinyModel model = family(architecture);
        model.extra = nullptr;
        check_missing(model, "logit_scale");
    }
    for (const std::string architecture : {"llama", "qwen3moe", "granitemoe"}) {
        TinyModel model = family(architecture);
        model.n_experts = 4;
        model.n_experts_used = 0;
        check_missing(model, "expert_used_count");
    }
    TinyModel dense = family("qwen3moe");
    dense.n_experts = dense.n_experts_used = 0;
    const std::string text = refusal(dense);
    CHECK(text.starts_with("in.gguf: key \"qwen3moe.expert_count\" at offset 0x"));
    CHECK(text.ends_with(": found 0, allowed 1 or more for this architecture"));
    TinyModel no_embedding = family("llama");
    no_embedding.left_out = "token_embd.weight";
    CHECK(refusal(no_embedding) == "in.gguf: tensor \"token_embd.weight\" is missing");
}

TEST_CASE("numbers of a GGUF are refused one beyond their limits, and no sooner") {
    struct Limit {
        std::string stem;
        uint32_t low, high;
    };
    const Limit limits[] = {{"block_count", 1, 1024},
                            {"context_length", 1, 16777216},
                            {"embedding_length", 1, 65536},
                            {"attention.head_count", 1, 1024},
                            {"attention.head_count_kv", 1, 1024},
                            {"feed_forward_length", 1, 1048576},
                            {"rope.dimension_count", 1, 1024},
                            {"rope.scaling.original_context_length", 1, 16777216},
                            {"attention.key_length", 1, 1024},
                            {"attention.value_length", 1, 1024},
                            {"expert_count", 0, 1024}};
    for (const Limit& limit : limits) {
        CAPTURE(limit.stem);
        const std::string allowed = std::to_string(limit.low) + ".." + std::to_string(limit.high);
        const auto refused = [&](uint64_t value) {
            TinyModel model = family("llama");
            set_u32(model, limit.stem, uint32_t(value));
            check_refused(model, limit.stem, std::to_string(value) + ", allowed " + allowed);
        };
        if (limit.low > 0) refused(limit.low - 1);
        refused(limit.high + 1);
        refused(0xffffffff);
        for (const uint32_t value : {limit.low, limit.high}) {
            TinyModel model = family("llama");
            set_u32(model, limit.stem, value);
            ModelKeys keys;
            const Status s = read(model, &keys);
            CHECK(s.text().find("allowed " + allowed) == std::string_view::npos);
        }
    }
    for (const float eps : {0.0f, 0.6f, -1e-6f, NAN}) {
        TinyModel model = family("llama");
        set_f32(model, "attention.layer_norm_rms_epsilon", eps);
        const std::string text = refusal(model);
        CHECK(text.find("key \"llama.attention.layer_norm_rms_epsilon\" at offset") !=
              std::string::npos);
    }
    TinyModel model = family("llama");
    set_f32(model, "attention.layer_norm_rms_epsilon", 0.5f);
    CHECK(keys_of(model).config.rms_eps == 0.5f);
    set_u32(model, "embedding_length", 72);
    check_refused(model, "embedding_length", "72, allowed a multiple of 16");
}

TEST_CASE("a key of the wrong type is refused") {
    TinyModel model = family("llama");
    set_f32(model, "block_count", 1.0f);
    CHECK(refusal(model).ends_with("found f32, allowed an integer"));
    model = family("llama");
    set_u32(model, "attention.layer_norm_rms_epsilon", 1);
    CHECK(refusal(model).ends_with("found u32, allowed f32 or f64"));
    model = family("llama");
    add_integers(model, "context_length", {1, 2});
    CHECK(refusal(model).ends_with("found array of i32, allowed an integer"));
    model = family("llama");
    add_u32(model, "rope.scaling.type", 1);
    CHECK(refusal(model).ends_with("found u32, allowed string"));
}

TEST_CASE("a vocabulary of more tokens than the format has room for is refused") {
    TinyModel model = family("llama");
    model.left_out = "token_embd.weight";
    const auto embedding = [](uint64_t n) {
        return [n](gguf::Builder& b) {
            const uint64_t dims[] = {1, n};
            b.tensor("token_embd.weight", TensorType::f32, dims,
                     std::vector<uint8_t>(size_t(n) * sizeof(float)));
        };
    };
    model.extra = embedding(format::kMaxVocab + 1);
    CHECK(refusal(model).ends_with(": found 2097153, allowed 1..2097152"));
    model.extra = embedding(format::kMaxVocab);
    CHECK(keys_of(model).config.n_vocab == 2097152);
}

TEST_CASE("without head_count_kv every head has its own keys") {
    TinyModel model = family("llama");
    model.without_keys.insert("attention.head_count_kv");
    CHECK(keys_of(model).layers[0].n_head_kv == 4);
    model.n_layer = 2;
    add_integers(model, "attention.head_count", {4, 2});
    const ModelKeys keys = keys_of(model);
    CHECK(keys.layers[0].n_head_kv == 4);
    CHECK(keys.layers[1].n_head_kv == 2);
}

TEST_CASE("heads, keys and widths may differ from layer to layer") {
    TinyModel model = family("llama");
    model.n_layer = 3;
    add_integers(model, "attention.head_count", {4, 8, 2});
    add_integers(model, "attention.head_count_kv", {4, 2, 1});
    add_integers(model, "feed_forward_length", {96, 32, 1048576});
    const ModelKeys keys = keys_of(model);
    const uint32_t n_head[] = {4, 8, 2}, n_head_kv[] = {4, 2, 1}, n_ff[] = {96, 32, 1048576};
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(keys.layers[i].n_head == n_head[i]);
        CHECK(keys.layers[i].n_head_kv == n_head_kv[i]);
        CHECK(keys.layers[i].n_ff == n_ff[i]);
        CHECK(keys.layers[i].head_dim == 16);  // by the first layer, as llama.cpp has it
        CHECK(keys.layers[i].kv_layer == i);
    }
    TinyModel other = model;
    other.extra = nullptr;
    other.without_keys.clear();
    const auto with = [&](const std::string& stem, std::vector<int32_t> values) {
        TinyModel bent = other;
        add_integers(bent, stem, std::move(values));
        return bent;
    };
    check_refused(with("attention.head_count_kv", {1, 2}), "attention.head_count_kv",
                  "an array of 2, allowed a number, or one for each of 3 layers");
    check_refused(with("attention.head_count_kv", {1, 2, 4, 4}), "attention.head_count_kv",
                  "an array of 4, allowed a number, or one for each of 3 layers");
    check_refused(with("attention.head_count_kv", {1, 3, 4}), "attention.head_count_kv",
                  "3, allowed a divisor of head_count 4");
    check_refused(with("attention.head_count_kv", {1, 0, 4}), "attention.head_count_kv",
                  "0, allowed 1..1024 for each layer");
    check_refused(with("attention.head_count", {4, 4, -1}), "attention.head_count",
                  "-1, allowed 1..1024 for each layer");
    check_refused(with("feed_forward_length", {1, 1, 1048577}), "feed_forward_length",
                  "1048577, allowed 1..1048576 for each layer");
}

TEST_CASE("the width of a head follows from the embedding unless the file says it") {
    TinyModel model = family("llama");
    add_u32(model, "attention.key_length", 32);
    add_u32(model, "attention.value_length", 32);
    CHECK(keys_of(model).layers[0].head_dim == 32);
    CHECK(keys_of(model).layers[0].attn_scale == 1.0f / std::sqrt(32.0f));
    set_u32(model, "embedding_length", 80);  // 4 heads of 32 beside an embedding of 80
    CHECK(keys_of(model).layers[0].head_dim == 32);

    model = family("llama");
    add_u32(model, "attention.key_length", 32);
    check_refused(model, "attention.value_length", "16, allowed key_length, 32");
    model = family("llama");
    add_u32(model, "attention.value_length", 32);
    check_refused(model, "attention.value_length", "32, allowed key_length, 16");
    model = family("llama");
    add_u32(model, "attention.key_length", 17);
    add_u32(model, "attention.value_length", 17);
    check_refused(model, "attention.key_length",
                  "17, allowed an even number (rotary positions turn pairs)");
    model = family("llama");
    set_u32(model, "attention.head_count", 3);
    set_u32(model, "attention.head_count_kv", 3);
    check_refused(model, "attention.head_count", "3, allowed a divisor of embedding_length 64");
    model = family("llama");
    set_u32(model, "embedding_length", 8192);
    check_refused(model, "embedding_length", "8192, allowed 1..1024 times head_count 4");
    model = family("llama");
    add_u32(model, "attention.key_length", 32);
    add_u32(model, "attention.value_length", 32);
    set_u32(model, "attention.head_count", 65);
    check_refused(model, "attention.head_count", "65, allowed at most embedding_length 64");
    model = family("llama");
    add_u32(model, "attention.key_length", 32);
    add_u32(model, "attention.value_length", 32);
    set_u32(model, "attention.head_count", 64);
    CHECK(keys_of(model).layers[0].n_head == 64);
}

TEST_CASE("rotated dimensions are the whole head, but for phi3") {
    for (const std::string architecture : {"llama", "qwen2", "phi3"}) {
        CAPTURE(architecture);
        TinyModel model = family(architecture);
        add_u32(model, "rope.dimension_count", 16);
        CHECK(keys_of(model).rope.tables[0].n_dims == 16);
        const bool part = architecture == "phi3";
        for (const uint32_t n : {8u, 2u}) {
            TinyModel fewer = family(architecture);
            add_u32(fewer, "rope.dimension_count", n);
            if (part) {
                CHECK(keys_of(fewer).rope.tables[0].n_dims == n);
            } else {
                check_refused(fewer, "rope.dimension_count",
                              std::to_string(n) + ", allowed the head's 16");
            }
        }
        for (const uint32_t n : {7u, 18u}) {
            TinyModel wrong = family(architecture);
            add_u32(wrong, "rope.dimension_count", n);
            check_refused(wrong, "rope.dimension_count",
                          std::to_string(n) + (part ? ", allowed an even number up to the head's 16"
                                                    : ", allowed the head's 16"));
        }
    }
}

TEST_CASE("a rotary base that is missing is llama.cpp's, and said") {
    for (const std::string& architecture : kArchitectures) {
        CAPTURE(architecture);
        TinyModel model = family(architecture);
        model.without_keys.insert("rope.freq_base");
        const ModelKeys keys = keys_of(model);
        REQUIRE_FALSE(keys.notes.empty());
        CHECK(keys.notes[0] == missing_note(model, "rope.freq_base", "10000"));
        REQUIRE_FALSE(keys.rope.freqs.empty());
        CHECK(keys.rope.freqs[0][1] == Approx(std::pow(10000.0, -2.0 / 16)).epsilon(1e-14));
    }
    TinyModel model = family("llama");
    for (const float base : {0.5f, 1.1e12f, NAN}) {
        set_f32(model, "rope.freq_base", base);
        CHECK(refusal(model).find("key \"llama.rope.freq_base\" at offset") != std::string::npos);
        model = family("llama");
    }
}

TEST_CASE("smollm3 leaves every fourth layer without rotary positions") {
    TinyModel model = family("smollm3");
    model.n_layer = 9;
    const ModelKeys keys = keys_of(model);
    for (size_t i = 0; i < 9; i++) {
        CAPTURE(i);
        CHECK(keys.layers[i].rope == (i == 3 || i == 7 ? kNone : 0));
    }
    CHECK(keys.config.n_rope_tables == 1);
}

TEST_CASE("gemma2 has llama.cpp's window, pattern and caps where a file says nothing") {
    TinyModel model = family("gemma2");
    model.n_layer = 5;
    const ModelKeys keys = keys_of(model);
    CHECK(windows(keys, 4096) == "wgwgw");
    for (const LayerConfig& layer : keys.layers) {
        CHECK(layer.attn_softcap == 50.0f);
        CHECK(layer.rope == (layer.window != 0 ? 1 : 0));
    }
    CHECK(keys.config.final_softcap == 30.0f);
    REQUIRE(keys.rope.tables.size() == 2);
    CHECK(keys.rope.freqs[0] == keys.rope.freqs[1]);  // the same base
    const std::vector<std::string> notes = {
        missing_note(model, "attention.sliding_window", "4096"),
        missing_note(model, "attention.sliding_window_pattern",
                     "a period of 2, its last layer without a window"),
        missing_note(model, "attn_logit_softcapping", "50.0"),
        missing_note(model, "final_logit_softcapping", "30.0")};
    CHECK(keys.notes == notes);
}

TEST_CASE("gemma2 takes window, pattern, caps and the windows' base from the file") {
    TinyModel model = family("gemma2");
    model.n_layer = 5;
    add_u32(model, "attention.sliding_window", 7);
    add_u32(model, "attention.sliding_window_pattern", 3);
    add_f32(model, "attn_logit_softcapping", 20.0f);
    add_f32(model, "final_logit_softcapping", 10.0f);
    add_f32(model, "rope.freq_base_swa", 100.0f);
    const ModelKeys keys = keys_of(model);
    CHECK(windows(keys, 7) == "wwgww");
    CHECK(keys.layers[2].attn_softcap == 20.0f);
    CHECK(keys.config.final_softcap == 10.0f);
    CHECK(keys.rope.freqs[0][1] == Approx(std::pow(500.0, -0.125)).epsilon(1e-14));
    CHECK(keys.rope.freqs[1][1] == Approx(std::pow(100.0, -0.125)).epsilon(1e-14));
    CHECK(keys.notes.empty());
    TinyModel none = family("gemma2");
    add_u32(none, "attention.sliding_window", 0);
    check_refused(none, "attention.sliding_window", "0, allowed 1..16777216");
    none = family("gemma2");
    add_u32(none, "attention.sliding_window", 16777217);
    check_refused(none, "attention.sliding_window", "16777217, allowed 1..16777216");
}

TEST_CASE("linear scaling holds for gemma2's windows as well, for gemma3's not") {
    for (const std::string architecture : {"gemma2", "gemma3"}) {
        CAPTURE(architecture);
        TinyModel model = family(architecture);
        model.scaling_type = "linear";
        model.scaling_factor = 8;
        add_u32(model, "attention.sliding_window", 16);
        const ModelKeys keys = keys_of(model);
        REQUIRE(keys.rope.freqs.size() == 2);
        CHECK(keys.rope.freqs[0][0] == 0.125);
        CHECK(keys.rope.freqs[1][0] == (architecture == "gemma2" ? 0.125 : 1.0));
    }
}

TEST_CASE("gemma3 has windows only where the file says their size") {
    TinyModel model = family("gemma3");
    model.n_layer = 7;
    for (const bool zero : {false, true}) {
        TinyModel plain = model;
        if (zero) add_u32(plain, "attention.sliding_window", 0);
        const ModelKeys keys = keys_of(plain);
        CHECK(windows(keys, 0) == "ggggggg");
        CHECK(keys.rope.tables.size() == 1);
        CHECK(keys.config.final_softcap == 0);
        CHECK(keys.notes.empty());
    }
    add_u32(model, "attention.sliding_window", 512);
    const ModelKeys keys = keys_of(model);
    CHECK(windows(keys, 512) == "wwwwwgw");
    REQUIRE(keys.rope.tables.size() == 2);
    CHECK(keys.config.n_rope_tables == 2);
    CHECK(keys.config.rope[1].n_dims == 16);
    CHECK(keys.rope.freqs[0][1] == Approx(std::pow(500.0, -0.125)).epsilon(1e-14));
    CHECK(keys.rope.freqs[1][1] == Approx(std::pow(10000.0, -0.125)).epsilon(1e-14));
    for (const LayerConfig& layer : keys.layers) CHECK(layer.rope == (layer.window != 0 ? 1 : 0));
    const std::vector<std::string> notes = {
        missing_note(model, "rope.freq_base_swa", "10000"),
        missing_note(model, "attention.sliding_window_pattern",
                     "a period of 6, its last layer without a window")};
    CHECK(keys.notes == notes);
    add_f32(model, "rope.freq_base_swa", 50.0f);
    add_f32(model, "final_logit_softcapping", 12.0f);
    add_u32(model, "attention.sliding_window_pattern", 2);
    const ModelKeys said = keys_of(model);
    CHECK(said.notes.empty());
    CHECK(said.config.final_softcap == 12.0f);
    CHECK(said.rope.freqs[1][1] == Approx(std::pow(50.0, -0.125)).epsilon(1e-14));
    CHECK(windows(said, 512) == "wgwgwgw");
}

TEST_CASE("a pattern of windows is a period, or a number or flag for every layer") {
    const auto with_period = [](uint32_t period) {
        TinyModel model = family("gemma3");
        model.n_layer = 4;
        add_u32(model, "attention.sliding_window", 16);
        add_u32(model, "attention.sliding_window_pattern", period);
        return model;
    };
    CHECK(windows(keys_of(with_period(0)), 16) == "wwww");
    CHECK(windows(keys_of(with_period(1)), 16) == "gggg");
    CHECK(windows(keys_of(with_period(3)), 16) == "wwgw");
    CHECK(windows(keys_of(with_period(1024)), 16) == "wwww");
    check_refused(with_period(1025), "attention.sliding_window_pattern", "1025, allowed 0..1024");

    const auto with_numbers = [](std::vector<int32_t> values) {
        TinyModel model = family("gemma3");
        model.n_layer = 4;
        add_u32(model, "attention.sliding_window", 16);
        add_integers(model, "attention.sliding_window_pattern", std::move(values));
        return model;
    };
    CHECK(windows(keys_of(with_numbers({0, 1, 1, 0})), 16) == "gwwg");
    check_refused(with_numbers({0, 1, 1}), "attention.sliding_window_pattern",
                  "an array of 3, allowed a number, or one for each of 4 layers");
    check_refused(with_numbers({0, 1, 2, 0}), "attention.sliding_window_pattern",
                  "2, allowed 0..1 for each layer");

    const auto with_flags = [](std::vector<uint8_t> values) {
        TinyModel model = family("gemma3");
        model.n_layer = 4;
        add_u32(model, "attention.sliding_window", 16);
        add(model, [values](gguf::Builder& b) {
            b.booleans("gemma3.attention.sliding_window_pattern", values);
        });
        return model;
    };
    CHECK(windows(keys_of(with_flags({1, 0, 0, 1})), 16) == "wggw");
    CHECK(keys_of(with_flags({1, 0, 0, 1})).notes.size() == 1);  // the base alone
    check_refused(with_flags({1, 0, 0, 1, 1}), "attention.sliding_window_pattern",
                  "an array of 5, allowed a flag for each of 4 layers");
    check_refused(with_flags({1, 0, 0}), "attention.sliding_window_pattern",
                  "an array of 3, allowed a flag for each of 4 layers");
}

TEST_CASE("the largest gemmas scale queries by the embedding's share of a head") {
    const auto scale = [](const std::string& architecture, uint32_t n_layer) {
        TinyModel model = family(architecture);
        model.n_layer = n_layer;
        add_u32(model, "attention.key_length", 32);
        add_u32(model, "attention.value_length", 32);
        const ModelKeys keys = keys_of(model);
        CHECK(keys.layers.front().attn_scale == keys.layers.back().attn_scale);
        return keys.layers.front().attn_scale;
    };
    CHECK(scale("gemma2", 45) == 1.0f / std::sqrt(32.0f));
    CHECK(scale("gemma2", 46) == 0.25f);  // 64 / 4 heads
    CHECK(scale("gemma2", 62) == 1.0f / std::sqrt(32.0f));
    CHECK(scale("gemma3", 46) == 1.0f / std::sqrt(32.0f));
    CHECK(scale("gemma3", 62) == 0.25f);
}

TEST_CASE("a window that llama.cpp ignores is ignored, and said") {
    for (const std::string architecture : {"llama", "qwen2", "qwen3", "phi3", "granite"}) {
        CAPTURE(architecture);
        TinyModel model = family(architecture);
        add_u32(model, "attention.sliding_window", 2047);
        const ModelKeys keys = keys_of(model);
        CHECK(windows(keys, 0) == "g");
        const std::vector<std::string> notes = {ignored_note(model, "attention.sliding_window")};
        CHECK(keys.notes == notes);
        TinyModel zero = family(architecture);
        add_u32(zero, "attention.sliding_window", 0);
        CHECK(keys_of(zero).notes.empty());
    }
}

TEST_CASE("granite's multipliers come from the file, and 0 is none") {
    for (const std::string architecture : {"granite", "granitemoe"}) {
        CAPTURE(architecture);
        TinyModel model = family(architecture);
        add_f32(model, "residual_scale", 0.25f);
        add_f32(model, "embedding_scale", 12.0f);
        add_f32(model, "attention.scale", 0.5f);
        const ModelKeys keys = keys_of(model);
        CHECK(keys.config.logit_scale == 0.125f);  // the file has the divisor
        CHECK(keys.config.residual_scale == 0.25f);
        CHECK(keys.config.embedding_scale == 12.0f);
        CHECK(keys.layers[0].attn_scale == 0.5f);
        TinyModel zeros = family(architecture);
        zeros.extra = nullptr;
        for (const std::string stem :
             {"logit_scale", "residual_scale", "embedding_scale", "attention.scale"}) {
            add_f32(zeros, stem, 0.0f);
        }
        const ModelKeys none = keys_of(zeros);
        // What the packed file would not be opened with is not packed.
        TinyModel negative = family(architecture);
        add_f32(negative, "attention.scale", -0.5f);
        CHECK(refusal(negative).find("key \"" + negative.key("attention.scale")) !=
              std::string::npos);
        TinyModel tiny = family(architecture);
        tiny.extra = nullptr;
        add_f32(tiny, "logit_scale", -9e-7f);
        CHECK(refusal(tiny).ends_with("allowed 0, or a divisor of at least 1/1000000"));
        CHECK(none.config.logit_scale == 1);
        CHECK(none.config.residual_scale == 1);
        CHECK(none.config.embedding_scale == 1);
        CHECK(none.layers[0].attn_scale == 0.25f);
    }
}

TEST_CASE("granite's switch turns rotary positions off") {
    for (const bool on : {true, false}) {
        TinyModel model = family("granite");
        add(model, [on](gguf::Builder& b) { b.boolean("granite.rope.scaling.finetuned", on); });
        const ModelKeys keys = keys_of(model);
        CHECK(keys.layers[0].rope == (on ? 0 : kNone));
        CHECK(keys.config.n_rope_tables == (on ? 1 : 0));
        CHECK(keys.rope.tables.size() == (on ? 1 : 0));
    }
    TinyModel model = family("granite");
    add_u32(model, "rope.scaling.finetuned", 0);
    CHECK(refusal(model).ends_with("found u32, allowed bool"));
}

TEST_CASE("experts: how many, how many are used, how wide") {
    TinyModel model = family("llama");
    model.n_experts = 8;
    model.n_experts_used = 8;
    const ModelKeys all = keys_of(model);
    CHECK(all.layers[0].n_expert == 8);
    CHECK(all.layers[0].n_ff_expert == 96);
    CHECK(all.layers[0].n_ff == 0);
    CHECK(all.config.n_expert_used == 8);
    model.n_experts_used = 9;
    check_refused(model, "expert_used_count", "9, allowed 1..8");
    model.n_experts = 40;
    model.n_experts_used = 33;
    check_refused(model, "expert_used_count", "33, allowed 1..32");
    model.n_experts_used = 32;
    CHECK(keys_of(model).config.n_expert_used == 32);
    model.n_experts_used = 0;
    add_u32(model, "expert_used_count", 0);
    check_refused(model, "expert_used_count", "0, allowed 1..32");
    for (const std::string architecture :
         {"smollm3", "qwen2", "qwen3", "gemma2", "gemma3", "phi3"}) {
        TinyModel dense = family(architecture);
        dense.n_experts = 2;
        check_refused(dense, "expert_count",
                      "2 (mixture of experts), allowed 0 (a dense model) for this architecture");
        ModelKeys keys;
        CHECK(read(dense, &keys).code() == Code::unsupported);
    }
}

TEST_CASE("qwen3moe's experts are as wide as the file says, else a share of the block") {
    TinyModel model = family("qwen3moe");
    CHECK(keys_of(model).layers[0].n_ff_expert == 96 / 2);
    model.n_experts_used = 4;
    CHECK(keys_of(model).layers[0].n_ff_expert == 96 / 4);
    add_u32(model, "expert_feed_forward_length", 40);
    CHECK(keys_of(model).layers[0].n_ff_expert == 40);
    model.without_keys.insert("feed_forward_length");
    CHECK(keys_of(model).layers[0].n_ff_expert == 40);
    model = family("qwen3moe");
    model.n_layer = 2;
    add_integers(model, "expert_feed_forward_length", {16, 48});
    const ModelKeys keys = keys_of(model);
    CHECK(keys.layers[0].n_ff_expert == 16);
    CHECK(keys.layers[1].n_ff_expert == 48);
    model = family("qwen3moe");
    add_u32(model, "expert_feed_forward_length", 0);
    check_refused(model, "expert_feed_forward_length", "0, allowed 1..1048576");
}

TEST_CASE("a layer has the optional tensors that the file has for it") {
    const uint64_t qkv =
        role_bit(Role::attn_q_bias) | role_bit(Role::attn_k_bias) | role_bit(Role::attn_v_bias);
    const uint64_t others = role_bit(Role::attn_output_bias) | role_bit(Role::ffn_gate_bias) |
                            role_bit(Role::ffn_up_bias) | role_bit(Role::ffn_down_bias);
    for (const std::string& architecture : kArchitectures) {
        CAPTURE(architecture);
        TinyModel model = family(architecture);
        const uint64_t plain = keys_of(model).layers[0].tensors;
        model.qkv_bias = true;
        CHECK(keys_of(model).layers[0].tensors == (plain | qkv));
        model.qkv_bias = false;
        model.other_bias = true;
        const bool may = architecture == "llama" || architecture.starts_with("granite");
        CHECK(keys_of(model).layers[0].tensors == (plain | (may ? others : 0)));
    }
    TinyModel model = family("qwen2");
    model.n_layer = 2;
    add(model, [](gguf::Builder& b) {
        const uint64_t dims[] = {32};
        b.tensor("blk.1.attn_k.bias", TensorType::f32, dims, std::vector<uint8_t>(128));
    });
    const ModelKeys keys = keys_of(model);
    CHECK((keys.layers[0].tensors & qkv) == 0);
    CHECK((keys.layers[1].tensors & qkv) == role_bit(Role::attn_k_bias));
}

TEST_CASE("names are kept as far as they fit, whole characters only") {
    const auto config_of = [](const std::string& name, bool with_type, uint32_t type) {
        gguf::Builder b;
        b.string("general.architecture", "llama").string("general.name", name);
        if (with_type) b.u32("general.file_type", type);
        b.u32("llama.block_count", 1).u32("llama.context_length", 128);
        b.u32("llama.embedding_length", 64).u32("llama.feed_forward_length", 96);
        b.u32("llama.attention.head_count", 4);
        b.f32("llama.attention.layer_norm_rms_epsilon", 1e-6f);
        const uint64_t dims[] = {64, 4};
        b.tensor("token_embd.weight", TensorType::f32, dims, std::vector<uint8_t>(1024));
        const std::vector<uint8_t> bytes = b.build();
        ModelKeys keys;
        const gguf::File file = gguf::File::parse("in.gguf", bytes).value();
        REQUIRE(read_model_keys(file, &keys).ok());
        return keys.config;
    };
    const std::string long_name(70, 'x');
    CHECK(std::string(config_of(long_name, true, 7).name) == std::string(63, 'x'));
    CHECK(std::string(config_of(std::string(63, 'y'), true, 7).name) == std::string(63, 'y'));
    // A character of two bytes that ends at byte 64 is left out whole.
    const std::string umlauts = std::string(62, 'z') + "\xc3\xbc" + "ber";
    CHECK(std::string(config_of(umlauts, true, 7).name) == std::string(62, 'z'));
    CHECK(std::string(config_of("", true, 7).quantization) == "Q8_0");
    CHECK(config_of("", true, 7).file_type == 7);
    CHECK(std::string(config_of("", false, 0).quantization) == "unknown");
    CHECK(config_of("", false, 0).file_type == 0);
    CHECK(config_of("", false, 0).tied_output == 1);
}
