// SPDX-License-Identifier: MIT
// Rotary tables from a GGUF: linear scaling, Llama 3's factors, YaRN and longrope, against the
// formulas of the papers in binary64.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "packer/families.h"
#include "packer/rope.h"
#include "test/unit/tiny_gguf.h"

using namespace axiom;
using namespace axiom::packer;
using namespace axiom::test;
using format::kNone;

namespace {

constexpr double kPi = 3.14159265358979323846;

double plain(double base, size_t i, size_t n_dims) {
    return std::pow(base, -2.0 * double(i) / double(n_dims));
}

// Peng et al. 2023, section 3.2: a dimension that turns 32 times or more over the original context
// stays, one that turns less than once is slowed by the factor, a ramp lies between. Its ends are
// whole dimensions, as in the authors' code.
std::vector<double> yarn(double base, size_t n_dims, double n_ctx, double factor) {
    const auto dimension = [&](double n_turns) {
        return double(n_dims) * std::log(n_ctx / (n_turns * 2 * kPi)) / (2 * std::log(base));
    };
    const double low = std::max(0.0, std::floor(dimension(32)));
    const double high = std::min(double(n_dims - 1), std::ceil(dimension(1)));
    std::vector<double> freqs;
    for (size_t i = 0; i < n_dims / 2; i++) {
        const double slow = std::clamp((double(i) - low) / std::max(high - low, 0.001), 0.0, 1.0);
        freqs.push_back(plain(base, i, n_dims) * (slow / factor + (1 - slow)));
    }
    return freqs;
}

void check_close(const std::vector<double>& found, const std::vector<double>& expected) {
    REQUIRE(found.size() == expected.size());
    for (size_t i = 0; i < found.size(); i++) {
        CAPTURE(i);
        CHECK(found[i] == Approx(expected[i]).epsilon(1e-13).margin(0));
    }
}

TinyModel model_of(const std::string& architecture) {
    TinyModel model;
    model.architecture = architecture;
    model.n_embd = 128;  // heads of 32
    model.n_ff = 64;
    model.n_vocab = 16;
    return model;
}

struct Factors {
    const char* name;
    std::vector<float> values;
};
TinyModel with(TinyModel model, std::vector<Factors> tensors,
               std::function<void(gguf::Builder&)> keys = nullptr) {
    model.extra = [tensors = std::move(tensors), keys = std::move(keys)](gguf::Builder& b) {
        for (const Factors& f : tensors) {
            const uint64_t dims[] = {f.values.size()};
            b.tensor(f.name, TensorType::f32, dims, bytes_of(f.values));
        }
        if (keys) keys(b);
    };
    return model;
}

std::vector<float> counted(float first, float step, size_t n = 16) {
    std::vector<float> values;
    for (size_t i = 0; i < n; i++) values.push_back(first + step * float(i));
    return values;
}

Status read(const TinyModel& model, ModelKeys* keys) {
    const std::vector<uint8_t> bytes = model.build();
    const Result<gguf::File> file = gguf::File::parse("in.gguf", bytes);
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

}  // namespace

TEST_CASE("frequencies of a base, divided by a factor and by each pair's own") {
    const std::vector<double> freqs = rope_frequencies(10000, 8, {}, {});
    check_close(freqs, {1, 0.1, 0.01, 0.001});
    RopeScaling four;
    four.factor = 4;
    check_close(rope_frequencies(10000, 8, four, {}), {0.25, 0.025, 0.0025, 0.00025});
    check_close(rope_frequencies(10000, 8, {}, {1, 2, 4, 8}), {1, 0.05, 0.0025, 0.000125});
    check_close(rope_frequencies(10000, 8, four, {1, 2, 4, 8}),
                {0.25, 0.0125, 0.000625, 0.00003125});
    CHECK(rope_magnitude({}) == 1);
    CHECK(rope_magnitude(four) == 1);
    four.attn_factor = 1.5;
    CHECK(rope_magnitude(four) == 1.5);
}

TEST_CASE("YaRN's frequencies and magnitude are the paper's") {
    struct Case {
        double base;
        uint32_t n_dims, n_ctx;
        double factor;
    };
    // The first three stand for Qwen2.5, a long Llama and a short context; in the last two the
    // ramp begins below the first pair, or ends above the last dimension.
    for (const Case& c :
         {Case{1000000, 128, 32768, 4}, Case{500000, 128, 8192, 16}, Case{10000, 32, 128, 2},
          Case{10000, 64, 16, 8}, Case{2, 16, 16777216, 4}}) {
        CAPTURE(c.base, c.n_dims, c.n_ctx, c.factor);
        RopeScaling scaling;
        scaling.yarn = true;
        scaling.factor = c.factor;
        scaling.n_ctx_original = c.n_ctx;
        const std::vector<double> expected = yarn(c.base, c.n_dims, c.n_ctx, c.factor);
        check_close(rope_frequencies(c.base, c.n_dims, scaling, {}), expected);
        CHECK(rope_magnitude(scaling) == Approx(1 + 0.1 * std::log(c.factor)).epsilon(1e-15));
        scaling.attn_factor = 0.5;
        CHECK(rope_magnitude(scaling) == Approx(0.5 + 0.05 * std::log(c.factor)).epsilon(1e-15));
        // A pair's own factor divides both ends of the ramp.
        std::vector<float> halves(c.n_dims / 2, 2.0f);
        std::vector<double> half = expected;
        for (double& freq : half) freq /= 2;
        check_close(rope_frequencies(c.base, c.n_dims, scaling, halves), half);
    }
    // Where the ramp stands, by hand: 32 dimensions of base 10000 over 4096 positions.
    // dimension(32) = 32 ln(4096 / 201.06) / (2 ln 10000) = 5.2, dimension(1) = 11.3.
    RopeScaling scaling;
    scaling.yarn = true;
    scaling.factor = 8;
    scaling.n_ctx_original = 4096;
    const std::vector<double> freqs = rope_frequencies(10000, 32, scaling, {});
    for (size_t i = 0; i < 16; i++) {
        CAPTURE(i);
        const double slow = i <= 5 ? 0 : i >= 12 ? 1 : (double(i) - 5) / 7;
        CHECK(freqs[i] == Approx(plain(10000, i, 32) * (1 - slow + slow / 8)).epsilon(1e-13));
    }
    // llama.cpp's magnitude of a factor up to 1 is 1.
    scaling.factor = 1;
    CHECK(rope_magnitude(scaling) == 1);
    scaling.factor = 0.5;
    CHECK(rope_magnitude(scaling) == 1);
    scaling.factor = 8;
    scaling.yarn = false;
    CHECK(rope_magnitude(scaling) == 1);
}

TEST_CASE("scaling is what the file says: none, linear, YaRN, by its new key or its old one") {
    const auto first = [](const std::string& type, std::function<void(gguf::Builder&)> keys) {
        TinyModel model = model_of("llama");
        model.scaling_type = type;
        return keys_of(with(model, {}, std::move(keys)));
    };
    const auto factor = [](float value) {
        return [value](gguf::Builder& b) { b.f32("llama.rope.scaling.factor", value); };
    };
    const auto old = [](float value) {
        return [value](gguf::Builder& b) { b.f32("llama.rope.scale_linear", value); };
    };
    CHECK(first("", nullptr).rope.freqs[0][0] == 1);
    CHECK(first("", factor(4)).rope.freqs[0][0] == 0.25);  // linear, if nothing is said
    CHECK(first("linear", factor(4)).rope.freqs[0][0] == 0.25);
    CHECK(first("linear", factor(0.5f)).rope.freqs[0][0] == 2);
    CHECK(first("linear", factor(0)).rope.freqs[0][0] == 1);  // 0 stands for none
    CHECK(first("linear", old(2)).rope.freqs[0][0] == 0.5);
    CHECK(first("linear", [&](gguf::Builder& b) {
              old(2)(b);
              factor(8)(b);
          }).rope.freqs[0][0] == 0.125);
    CHECK(first("none", factor(4)).rope.freqs[0][0] == 1);
    const ModelKeys yarned = first("yarn", [](gguf::Builder& b) {
        b.f32("llama.rope.scaling.factor", 4).f32("llama.rope.scaling.attn_factor", 2);
        b.u32("llama.rope.scaling.original_context_length", 64);
    });
    check_close(yarned.rope.freqs[0], yarn(500, 32, 64, 4));
    CHECK(yarned.rope.tables[0].magnitude == float(2 * (1 + 0.1 * std::log(4.0))));
    CHECK(yarned.config.rope[0].magnitude == yarned.rope.tables[0].magnitude);
    // Without the original context it is the trained one, 128.
    check_close(first("yarn", factor(4)).rope.freqs[0], yarn(500, 32, 128, 4));
    CHECK(first("linear", [](gguf::Builder& b) { b.f32("llama.rope.scaling.attn_factor", 2); })
              .rope.tables[0]
              .magnitude == 2);

    const auto refused = [](const std::string& type, std::function<void(gguf::Builder&)> keys) {
        TinyModel model = model_of("llama");
        model.scaling_type = type;
        return refusal(with(model, {}, std::move(keys)));
    };
    CHECK(refused("su", nullptr)
              .ends_with("found \"su\", allowed \"none\", \"linear\", \"yarn\" or \"longrope\""));
    CHECK(refused("linear", factor(-1)).find("found -1.0") != std::string::npos);
    CHECK(refused("linear", factor(NAN)).find("\"llama.rope.scaling.factor\"") !=
          std::string::npos);
    CHECK(refused("linear", factor(65537)).find("found 65537.0") != std::string::npos);
    CHECK(refused("linear", factor(0.0009f)).ends_with("allowed 0, or 1/1024..65536"));
    CHECK(refused("linear", old(65537)).find("\"llama.rope.scale_linear\"") != std::string::npos);
    CHECK(first("linear", factor(65536)).rope.freqs[0][0] == 1.0 / 65536);
    CHECK(first("linear", factor(1.0f / 1024)).rope.freqs[0][0] == 1024);
    const auto attn = [](float value) {
        return [value](gguf::Builder& b) { b.f32("llama.rope.scaling.attn_factor", value); };
    };
    CHECK(refused("yarn", attn(0)).find("\"llama.rope.scaling.attn_factor\"") != std::string::npos);
    CHECK(refused("yarn", attn(257)).find("\"llama.rope.scaling.attn_factor\"") !=
          std::string::npos);
    CHECK(first("linear", attn(256)).rope.tables[0].magnitude == 256);
}

TEST_CASE("Llama 3's factors divide each pair's frequency, in every context") {
    const std::vector<float> factors = counted(1, 0.5f);
    const ModelKeys keys = keys_of(with(model_of("llama"), {{"rope_freqs.weight", factors}}));
    REQUIRE(keys.rope.tables.size() == 1);
    CHECK(keys.rope.tables[0].n_dims == 32);
    CHECK(keys.rope.tables[0].max_ctx == 0);
    CHECK(keys.rope.tables[0].longer == kNone);
    std::vector<double> expected;
    for (size_t i = 0; i < 16; i++) expected.push_back(plain(500, i, 32) / double(factors[i]));
    check_close(keys.rope.freqs[0], expected);
}

TEST_CASE("longrope has a table for short contexts and one for longer ones") {
    const std::vector<float> shorter = counted(1, 0.25f), longer = counted(2, 3);
    // phi3 takes the factors whatever the scaling is called, the others where it is longrope.
    for (const std::string architecture : {"phi3", "llama"}) {
        CAPTURE(architecture);
        TinyModel model = model_of(architecture);
        if (architecture == "llama") model.scaling_type = "longrope";
        const ModelKeys keys = keys_of(with(
            model, {{"rope_factors_long.weight", longer}, {"rope_factors_short.weight", shorter}},
            [&](gguf::Builder& b) {
                b.u32(model.key("rope.scaling.original_context_length"), 4096);
                b.f32(model.key("rope.scaling.attn_factor"), 1.25f);
            }));
        REQUIRE(keys.rope.tables.size() == 2);
        const format::RopeTable& first = keys.rope.tables[0];
        CHECK(first.n_dims == 32);
        CHECK(first.magnitude == 1.25f);
        CHECK(first.max_ctx == 4096);
        CHECK(first.longer == 1);
        CHECK(keys.rope.tables[1].n_dims == 32);
        CHECK(keys.rope.tables[1].magnitude == 1.25f);
        CHECK(keys.rope.tables[1].max_ctx == 0);
        CHECK(keys.rope.tables[1].longer == kNone);
        std::vector<double> of_short, of_long;
        for (size_t i = 0; i < 16; i++) {
            of_short.push_back(plain(500, i, 32) / double(shorter[i]));
            of_long.push_back(plain(500, i, 32) / double(longer[i]));
        }
        check_close(keys.rope.freqs[0], of_short);
        check_close(keys.rope.freqs[1], of_long);
        CHECK(keys.layers[0].rope == 0);
        const ModelConfig config = keys.model();
        CHECK(config.rope_table(0, 4096) == 0);
        CHECK(config.rope_table(0, 4097) == 1);
    }
    // Without the original context the trained one divides short from long.
    const ModelKeys trained =
        keys_of(with(model_of("phi3"), {{"rope_factors_long.weight", longer},
                                        {"rope_factors_short.weight", shorter}}));
    CHECK(trained.rope.tables[0].max_ctx == 128);
    // One of the two alone: the other contexts have no factors.
    const ModelKeys only_long =
        keys_of(with(model_of("phi3"), {{"rope_factors_long.weight", longer}}));
    REQUIRE(only_long.rope.freqs.size() == 2);
    CHECK(only_long.rope.freqs[0][3] == Approx(plain(500, 3, 32)).epsilon(1e-14));
    CHECK(only_long.rope.freqs[1][3] == Approx(plain(500, 3, 32) / 11).epsilon(1e-14));
    // None: one table.
    CHECK(keys_of(model_of("phi3")).rope.tables.size() == 1);
}

TEST_CASE("rotary factors of the wrong shape or size are refused") {
    const auto refused = [](std::vector<float> values) {
        return refusal(with(model_of("llama"), {{"rope_freqs.weight", std::move(values)}}));
    };
    const std::string fifteen = refused(counted(1, 1, 15));
    CHECK(fifteen.starts_with("in.gguf: tensor \"rope_freqs.weight\" shape at offset 0x"));
    CHECK(fifteen.ends_with(": found [15, 1], allowed [16], half the rotated dimensions"));
    CHECK(refused(counted(1, 1, 17)).find("found [17, 1]") != std::string::npos);
    for (const float bad : {0.0f, -1.0f, NAN, 65537.0f, 1.0f / 65537, INFINITY}) {
        CAPTURE(bad);
        std::vector<float> values = counted(1, 1);
        values[5] = bad;
        const std::string text = refused(values);
        CHECK(text.starts_with("in.gguf: tensor \"rope_freqs.weight\" element 5 at offset 0x"));
        CHECK(text.ends_with("allowed 1/65536..65536"));
    }
    std::vector<float> limits = counted(1, 1);
    limits[0] = 1.0f / 65536;
    limits[15] = 65536;
    const ModelKeys keys = keys_of(with(model_of("llama"), {{"rope_freqs.weight", limits}}));
    CHECK(keys.rope.freqs[0][0] == 65536);
    TinyModel two_rows = model_of("llama");
    two_rows.extra = [](gguf::Builder& b) {
        const uint64_t dims[] = {16, 2};
        b.tensor("rope_freqs.weight", TensorType::f32, dims, std::vector<uint8_t>(128, 0x3f));
    };
    CHECK(refusal(two_rows).find("found [16, 2], allowed [16]") != std::string::npos);
}

TEST_CASE("factors that a family has no use for are refused as any other tensor is") {
    const std::vector<float> factors = counted(1, 1);
    for (const char* name : {"rope_factors_long.weight", "rope_factors_short.weight"}) {
        refuses(with(model_of("llama"), {{name, factors}}),
                {std::string("tensor \"") + name + "\" at offset", "(unknown)"});
    }
    TinyModel longrope = model_of("llama");
    longrope.scaling_type = "longrope";
    refuses(with(longrope, {{"rope_freqs.weight", factors}}),
            {"tensor \"rope_freqs.weight\" at offset", "(unknown)"});
    // Used ones are not.
    const Packed packed(with(model_of("llama"), {{"rope_freqs.weight", factors}}).build(), {});
    CHECK(packed.weights.entries.size() == 12);
}

TEST_CASE("tables of different widths are stored side by side, short rows ending in zeros") {
    RopeSet set;
    CHECK(set.stored().empty());
    CHECK(set.add({4, 1, 0, kNone}, {1, 2}) == 0);
    CHECK(set.add({6, 1, 0, kNone}, {3, 4, 5}) == 1);
    CHECK(set.add({2, 1, 0, kNone}, {6}) == 2);
    CHECK(set.stored() == std::vector<double>{1, 2, 0, 3, 4, 5, 6, 0, 0});
    CHECK(set.tables.size() == 3);
    CHECK(set.tables[1].n_dims == 6);
}

TEST_CASE("rotary tables reach the packed file as they were read") {
    const std::vector<float> shorter = counted(1, 0.25f), longer = counted(2, 3);
    TinyModel model = model_of("phi3");
    model =
        with(model, {{"rope_factors_long.weight", longer}, {"rope_factors_short.weight", shorter}});
    const ModelKeys keys = keys_of(model);
    const Packed packed(model.build(), {});
    const TensorView stored = packed.weights.rope_freqs;
    REQUIRE(stored.n_rows == 2);
    REQUIRE(stored.n_cols == 16);
    for (size_t i = 0; i < 32; i++) CHECK(stored.f64()[i] == keys.rope.freqs[i / 16][i % 16]);
    CHECK(packed.weights.config.rope[0].max_ctx == 128);
    CHECK(packed.weights.source->n_rope_tables == 2);
    // What no layer rotates by is not stored.
    TinyModel granite = model_of("granite");
    granite.extra = [](gguf::Builder& b) {
        b.f32("granite.logit_scale", 1).boolean("granite.rope.scaling.finetuned", false);
    };
    const Packed unrotated(granite.build(), {});
    CHECK_FALSE(unrotated.weights.rope_freqs);
    CHECK(unrotated.weights.config.rope.empty());
}
