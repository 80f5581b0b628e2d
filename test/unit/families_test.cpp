// SPDX-License-Identifier: MIT
// Every model family against llama.cpp: random-weight GGUFs of awkward shapes, and the logits that
// llama.cpp computes from the same weights in F32 (test/golden/families).
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "packer/convert.h"
#include "packer/files.h"
#include "packer/rope.h"
#include "packer/writer.h"
#include "test/unit/catch.h"
#include "test/unit/engine.h"
#include "test/unit/families.h"
#include "test/unit/streamed.h"

using namespace axiom;
using test::build_path;
using test::FamilyCase;
using test::FamilyGolden;

namespace {

// A case's GGUF, planned; the plan may be changed before it is packed.
struct Model {
    explicit Model(const FamilyCase& c)
        : n_ctx(c.n_ctx), name(c.stem()), gguf(test::AlignedBytes::read(build_path(c.gguf()))) {
        Result<gguf::File> parsed = gguf::File::parse(name, gguf.span());
        INFO(parsed.status().text());
        REQUIRE(parsed.ok());
        file = std::move(parsed.value());
        Result<packer::Plan> planned = packer::plan_from_gguf(file, {});
        INFO(planned.status().text());
        REQUIRE(planned.ok());
        plan = std::move(planned.value());
    }
    size_t n_ctx;
    std::string name;  // which the file views
    test::AlignedBytes gguf;
    gguf::File file;
    packer::Plan plan;
};

struct Packed {
    explicit Packed(const packer::Plan& plan) {
        const std::string path = (std::filesystem::temp_directory_path() /
                                  ("axiom-family-" + std::to_string(getpid()) + ".axm"))
                                     .string();
        const Status written = packer::write_packed(plan, path, {}, nullptr);
        INFO(written.text());
        REQUIRE(written.ok());
        bytes = test::AlignedBytes::read(path);
        std::filesystem::remove(path);
        Result<Weights> opened = Weights::open("family.axm", bytes.span());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        weights = opened.value();
    }
    test::AlignedBytes bytes;
    Weights weights;
};

const Kernels& fastest_kernels();

std::vector<float> logits_of(const Weights& weights, const FamilyGolden& g, size_t n_ctx,
                             KvType kv_type = KvType::f16) {
    constexpr size_t kAtOnce = 64;
    test::Engine engine(weights, fastest_kernels(), 2, n_ctx, kAtOnce, kv_type);
    std::vector<float> all;
    engine.run(g.tokens, kAtOnce, [&](size_t, std::span<const float> logits) {
        all.insert(all.end(), logits.begin(), logits.end());
    });
    return all;
}

// ---- features switched off, in the plan that is packed ---------------------------------------

void drop(packer::Plan& plan, uint64_t roles) {
    for (LayerConfig& layer : plan.layers) layer.tensors &= ~roles;
    std::erase_if(plan.tensors, [&](const packer::PlannedTensor& tensor) {
        return (roles & format::role_bit(tensor.role)) != 0;
    });
}

// Rotary table i turns by `freqs` (as many pairs as it has, or more: then it is wider).
void set_freqs(packer::Plan& plan, size_t i_table, const std::vector<double>& freqs) {
    plan.config.rope[i_table].n_dims = uint32_t(2 * freqs.size());
    const size_t n_pairs = plan.model().rope_pairs();
    for (packer::PlannedTensor& tensor : plan.tensors) {
        if (tensor.role != Role::rope_freqs) continue;
        const size_t n_old = size_t(tensor.n_cols);
        tensor.n_cols = n_pairs;
        plan.fill = [=, fill = plan.fill](const packer::PlannedTensor& t, uint64_t begin,
                                          uint64_t end, uint8_t* out,
                                          packer::ErrorStats* errors) -> Status {
            if (t.role != Role::rope_freqs) return fill(t, begin, end, out, errors);
            std::vector<double> old(t.n_rows * n_old), now(t.n_rows * n_pairs);
            Status status = fill(t, begin, end, reinterpret_cast<uint8_t*>(old.data()), errors);
            for (size_t row = 0; row < t.n_rows; row++)
                std::copy_n(&old[row * n_old], n_old, &now[row * n_pairs]);
            std::copy(freqs.begin(), freqs.end(), now.begin() + ptrdiff_t(i_table * n_pairs));
            memcpy(out, now.data(), now.size() * sizeof(double));
            return status;
        };
    }
}

double key_number(const Model& model, const std::string& stem, double fallback) {
    const std::string key = std::string(model.plan.architecture()) + "." + stem;
    const Result<double> value = model.file.f64(key, fallback);
    REQUIRE(value.ok());
    return value.value();
}

// Frequencies by the base alone, or with linear scaling.
std::vector<double> plain_freqs(const Model& model, size_t i_table, double factor = 1) {
    packer::RopeScaling scaling;
    scaling.factor = factor;
    return packer::rope_frequencies(key_number(model, "rope.freq_base", 10000),
                                    model.plan.config.rope[i_table].n_dims, scaling, {});
}

using SwitchOff = void (*)(Model& model);
const std::map<std::string, SwitchOff> kSwitches = {
    {"attn_norm", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_norm)); }},
    {"ffn_norm", [](Model& m) { drop(m.plan, format::role_bit(Role::ffn_norm)); }},
    {"q_norm", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_q_norm)); }},
    {"k_norm", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_k_norm)); }},
    {"attn_post_norm", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_post_norm)); }},
    {"ffn_post_norm", [](Model& m) { drop(m.plan, format::role_bit(Role::ffn_post_norm)); }},
    {"q_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_q_bias)); }},
    {"k_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_k_bias)); }},
    {"v_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_v_bias)); }},
    {"attn_output_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::attn_output_bias)); }},
    {"gate_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::ffn_gate_bias)); }},
    {"up_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::ffn_up_bias)); }},
    {"down_bias", [](Model& m) { drop(m.plan, format::role_bit(Role::ffn_down_bias)); }},
    {"shared_expert",
     [](Model& m) {
         drop(m.plan, format::kDenseRoles);
         for (LayerConfig& l : m.plan.layers) l.n_ff = 0;
     }},
    {"rope",
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.rope = format::kNone;
     }},
    {"layers_without_rope",
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.rope = 0;
     }},
    {"rope_freqs", [](Model& m) { set_freqs(m.plan, 0, plain_freqs(m, 0)); }},
    {"rope_scaling", [](Model& m) { set_freqs(m.plan, 0, plain_freqs(m, 0)); }},
    {"global_rope_scaling", [](Model& m) { set_freqs(m.plan, 0, plain_freqs(m, 0)); }},
    {"longrope",
     [](Model& m) {
         set_freqs(m.plan, 0, plain_freqs(m, 0));
         set_freqs(m.plan, 1, plain_freqs(m, 1));
     }},
    {"yarn_ramp",
     [](Model& m) {
         set_freqs(m.plan, 0, plain_freqs(m, 0, key_number(m, "rope.scaling.factor", 1)));
     }},
    {"rope_magnitude",
     [](Model& m) {
         for (format::RopeTable& table : m.plan.config.rope) table.magnitude = 1;
     }},
    {"partial_rotation",  // the other pairs turn like the last of those that should
     [](Model& m) {
         for (size_t i = 0; i < m.plan.config.n_rope_tables; i++) {
             std::vector<double> freqs = plain_freqs(m, i);
             freqs.resize(m.plan.layers[0].head_dim / 2, freqs.back());
             set_freqs(m.plan, i, freqs);
         }
     }},
    {"other_longrope",
     [](Model& m) {
         m.plan.config.rope[0].max_ctx = m.n_ctx > m.plan.config.rope[0].max_ctx ? 1u << 20 : 1;
     }},
    {"local_rope",  // the other layers' table in layers with a window
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.rope = 0;
     }},
    {"global_rope",  // and the other way round
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.rope = 1;
     }},
    {"window",
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.window = 0;
     }},
    {"window_pattern",  // a window in every layer
     [](Model& m) {
         uint32_t n = 0;
         for (const LayerConfig& l : m.plan.layers) n = std::max(n, l.window);
         for (LayerConfig& l : m.plan.layers) l.window = n;
     }},
    {"ignored_window",  // applied although llama.cpp does not
     [](Model& m) {
         const std::string key = std::string(m.plan.architecture()) + ".attention.sliding_window";
         for (LayerConfig& l : m.plan.layers) l.window = uint32_t(m.file.u64(key).value());
     }},
    {"attn_softcap",
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.attn_softcap = 0;
     }},
    {"final_softcap", [](Model& m) { m.plan.config.final_softcap = 0; }},
    {"embedding_scale", [](Model& m) { m.plan.config.embedding_scale = 1; }},
    {"residual_scale", [](Model& m) { m.plan.config.residual_scale = 1; }},
    {"logit_scale", [](Model& m) { m.plan.config.logit_scale = 1; }},
    {"attention_scale",
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.attn_scale = 1 / std::sqrt(float(l.head_dim));
     }},
    {"gelu",
     [](Model& m) {
         for (LayerConfig& l : m.plan.layers) l.activation = format::Activation::silu;
     }},
    {"normalized_routes", [](Model& m) { m.plan.config.expert_normalize = 0; }},
    {"output_bias",
     [](Model& m) {
         m.plan.config.output_bias = 0;
         drop(m.plan, format::role_bit(Role::output_bias));
     }},
};

const Kernels& fastest_kernels() {
    const Kernels* fastest = &kScalarKernels;
    for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
        if (set.usable) fastest = set.kernels;
    }
    return *fastest;
}

// Weights in memory, and which experts each pass asked for.
class Watched final : public WeightSource {
  public:
    explicit Watched(const Weights& weights) : layers_(weights.config.n_layer) {
        resident_.bind(weights, layers_);
    }
    Status acquire(size_t i, const LayerWeights** layer) override {
        return resident_.acquire(i, layer);
    }
    void release(size_t i) override { resident_.release(i); }
    Status acquire_experts(size_t i, std::span<const uint32_t> experts,
                           ExpertWeights* out) override {
        chosen.emplace_back(experts.begin(), experts.end());
        return resident_.acquire_experts(i, experts, out);
    }

    std::vector<std::vector<uint32_t>> chosen;  // by pass and layer

  private:
    std::vector<LayerWeights> layers_;
    ResidentWeights resident_;
};

}  // namespace

TEST_CASE("every family's logits are as near to F32 as llama.cpp's own", "[families]") {
    for (const FamilyCase& c : FamilyCase::read_all()) {
        const FamilyGolden g = FamilyGolden::read(c);
        const Model model(c);
        const Packed packed(model.plan);
        const double error = g.error(c, logits_of(packed.weights, g, c.n_ctx));
        INFO(c.stem() << ": error " << error << ", llama.cpp's own " << c.own_error);
        CHECK(error <= 1.15 * c.own_error);
        CHECK(error >= 0.1 * c.own_error);  // activations of 8 bits cost something
    }
}

TEST_CASE("with keys and values of 8 bits every family's logits are still near F32", "[families]") {
    // llama.cpp has no figure for this: its q8_0 wants heads of whole blocks of 32, and none of these are.
    // Queries, keys and values are each off by half a step of 8 bits more, as the activations are that
    // matrices are multiplied by. Independent errors add as squares: the cache's is to be no more than
    // llama.cpp's own of everything else. Measured: 0.20 (granite-moe q4_k) to 0.86 (llama-yarn q8_0) of it.
    for (const FamilyCase& c : FamilyCase::read_all()) {
        const FamilyGolden g = FamilyGolden::read(c);
        const Model model(c);
        const Packed packed(model.plan);
        const double halves = g.error(c, logits_of(packed.weights, g, c.n_ctx));
        const double bytes = g.error(c, logits_of(packed.weights, g, c.n_ctx, KvType::q8_0));
        const double added = std::sqrt(std::max(0.0, bytes * bytes - halves * halves));
        INFO(c.stem() << ": error " << bytes << ", with f16 " << halves
                      << ", llama.cpp's own with F32 " << c.own_error);
        CHECK(added <= c.own_error);
        CHECK(added >= 0.1 * c.own_error);  // 8 bits cost something
    }
}

TEST_CASE("a family without one of its features is wrong", "[families]") {
    for (const FamilyCase& c : FamilyCase::read_all()) {
        if (c.format != "q8_0") continue;  // the features are the same in the other
        const FamilyGolden g = FamilyGolden::read(c);
        const Model whole(c);
        const double error = g.error(c, logits_of(Packed(whole.plan).weights, g, c.n_ctx));
        for (const auto& [feature, expected] : c.without) {
            if (feature == "output_norm") continue;  // no family is without
            INFO(c.stem() << " without " << feature);
            REQUIRE(kSwitches.contains(feature));
            Model model(c);
            kSwitches.at(feature)(model);
            const double without = g.error(c, logits_of(Packed(model.plan).weights, g, c.n_ctx));
            INFO("error " << without << ", with it " << error << ", expected about " << expected);
            CHECK(without >= 3 * error);
            CHECK(without >= 0.8 * expected);
            CHECK(without <= 1.25 * expected);
        }
    }
}

TEST_CASE("one hash for every family, whatever computes it", "[families][sweep]") {
    const KvType kv_type = GENERATE(KvType::f16, KvType::q8_0);
    const struct { size_t n_workers, n_at_once; } ways[] = {{1, 161}, {2, 7}, {3, 64}, {4, 1}};
    for (const FamilyCase& c : FamilyCase::read_all()) {
        const FamilyGolden g = FamilyGolden::read(c);
        const Model model(c);
        const Packed packed(model.plan);
        test::Engine reference(packed.weights, kScalarKernels, 1, c.n_ctx, 33, kv_type);
        const uint64_t hash = reference.hash(g.tokens, 33);
        size_t i_way = 0;
        for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
            if (!set.usable) continue;
            const auto& way = ways[i_way++ % std::size(ways)];
            test::Engine engine(packed.weights, *set.kernels, way.n_workers, c.n_ctx, way.n_at_once,
                                kv_type);
            INFO(c.stem() << ", " << kv_type_name(kv_type) << ", " << set.kernels->name << ", "
                          << way.n_workers << " workers, " << way.n_at_once << " at once");
            CHECK(engine.hash(g.tokens, way.n_at_once) == hash);
        }
    }
}

TEST_CASE("one hash for every family, whatever of it stays in memory and whatever is streamed",
          "[families][sweep]") {
    for (const FamilyCase& c : FamilyCase::read_all()) {
        const FamilyGolden g = FamilyGolden::read(c);
        const Model model(c);
        const Packed packed(model.plan);
        test::Engine reference(packed.weights, kScalarKernels, 1, c.n_ctx, 33);
        const uint64_t hash = reference.hash(g.tokens, 33);
        const test::Frame frame(packed.bytes.span());
        const uint64_t last = PoolShape::last(frame.weights.config);
        for (const uint64_t i : {uint64_t{0}, last / 2, last}) {
            test::FakeDisk disk(packed.bytes.span());
            disk.last_first = true;
            disk.n_polls_a_read = 3;
            test::StreamedEngine engine(frame, disk, PoolShape::at(frame.weights.config, i),
                                        fastest_kernels(),
                                        {.n_ctx = c.n_ctx,
                                         .n_batch = 33,
                                         .n_logit_rows = 33,
                                         .n_workers = 2,
                                         .n_return = c.n_ctx});
            INFO(c.stem() << ", residency " << i << " of " << last);
            REQUIRE(engine.started.ok());
            CHECK(engine->hash(g.tokens, i == last ? 1 : 20) == hash);
        }
    }
}

TEST_CASE("an expert that cannot be read, or is damaged, ends the pass with its place",
          "[families]") {
    for (const FamilyCase& c : FamilyCase::read_all()) {
        if (c.name != "llama-moe" || c.format != "q8_0") continue;
        const FamilyGolden g = FamilyGolden::read(c);
        const Packed packed(Model(c).plan);
        test::Engine reference(packed.weights, kScalarKernels, 1, c.n_ctx, 33);
        const uint64_t hash = reference.hash(g.tokens, 33);
        const test::Frame frame(packed.bytes.span());
        for (const bool damaged : {false, true}) {
            test::FakeDisk disk(packed.bytes.span());
            test::StreamedEngine engine(frame, disk, PoolShape::at(frame.weights.config, 0),
                                        fastest_kernels(),
                                        {.n_ctx = c.n_ctx,
                                         .n_batch = 33,
                                         .n_logit_rows = 33,
                                         .n_workers = 2,
                                         .n_return = c.n_ctx});
            REQUIRE(engine.started.ok());
            // All experts of a layer are used by a batch as large as this.
            (damaged ? disk.wrong_offset : disk.bad_offset) = frame.expert(1, 2).offset + 10;
            std::vector<Row> rows;
            for (size_t i = 0; i < 33; i++)
                rows.push_back({&engine->sequence(), i, g.tokens[i], true});
            const Status status = engine->transformer().forward(rows);
            INFO(status.text());
            REQUIRE(status.code() == (damaged ? Code::bad_format : Code::io));
            REQUIRE(std::string(status.text()).find("(expert 2 of layer 1 at 0x") !=
                    std::string::npos);
            REQUIRE(engine->sequence().length() == 0);
            disk.bad_offset = disk.wrong_offset = ~uint64_t{0};
            REQUIRE(engine->hash(g.tokens, 20) == hash);
        }
        return;
    }
    FAIL("no family with experts");
}

TEST_CASE("rejected drafts leave no trace in any family, however many are read at a time",
          "[families][sweep]") {
    const KvType kv_type = GENERATE(KvType::f16, KvType::q8_0);
    constexpr size_t kMost = 24, kPrompt = 20;
    for (const FamilyCase& c : FamilyCase::read_all()) {
        const FamilyGolden g = FamilyGolden::read(c);
        const Model model(c);
        const Packed packed(model.plan);
        test::Engine plain(packed.weights, kScalarKernels, 1, c.n_ctx, 33, kv_type);
        const uint64_t expected = plain.hash(g.tokens, 33);
        // As a run plans it: sequences can be returned by a pass with drafts, and no further.
        test::Engine engine(packed.weights, fastest_kernels(),
                            {.n_ctx = c.n_ctx,
                             .n_batch = kMost + 1,
                             .n_logit_rows = kMost + 1,
                             .n_workers = 2,
                             .n_sequences = 1,
                             .n_return = kMost + 1,
                             .kv_type = kv_type});
        Xxh64 hash;
        const auto see = [&](size_t row) {
            const std::span<const float> logits = engine.workspace().logits_row(row);
            hash.update(logits.data(), logits.size_bytes());
        };
        const std::span<const TokenId> tokens = g.tokens;
        engine.run(tokens.first(kPrompt), kPrompt, [&](size_t i, auto) { see(i); });
        Sequence& sequence = engine.sequence();
        for (size_t n_pass = 0; sequence.length() < tokens.size(); n_pass++) {
            const size_t begin = sequence.length();
            const size_t n_drafts = std::min(n_pass * 7 % (kMost + 1), tokens.size() - begin - 1);
            const size_t n_right = n_drafts * (n_pass % 3) / 2;  // none, half or all of them
            std::vector<Row> rows;
            for (size_t i = 0; i <= n_drafts; i++) {
                const TokenId right = tokens[begin + i];
                rows.push_back({.sequence = &sequence,
                                .position = begin + i,
                                .token = i <= n_right ? right : (right + 1) % g.n_vocab,
                                .wants_logits = true});
            }
            const Status status = engine.transformer().forward(rows);
            INFO(c.stem() << ": " << status.text());
            REQUIRE(status.ok());
            for (size_t i = 0; i <= n_right; i++) see(i);
            sequence.truncate(begin + n_right + 1);
        }
        INFO(c.stem() << ", " << kv_type_name(kv_type));
        CHECK(hash.digest() == expected);
    }
}

TEST_CASE("the router chooses the experts that the reference chooses", "[families]") {
    size_t n_cases = 0;
    for (const FamilyCase& c : FamilyCase::read_all()) {
        const FamilyGolden g = FamilyGolden::read(c);
        if (g.n_used == 0) continue;
        n_cases++;
        const Model model(c);
        const Packed packed(model.plan);
        Watched source(packed.weights);
        test::Engine engine(packed.weights, fastest_kernels(),
                            {.n_ctx = c.n_ctx, .n_workers = 2, .n_return = c.n_ctx}, &source);
        engine.run(g.tokens, 1, [](size_t, std::span<const float>) {});
        REQUIRE(source.chosen.size() == g.tokens.size() * g.n_layer);
        std::vector<uint8_t> chosen;
        std::vector<bool> used(packed.weights.config.layer(0).n_expert);
        for (const std::vector<uint32_t>& experts : source.chosen) {
            chosen.insert(chosen.end(), experts.begin(), experts.end());
            for (const uint32_t id : experts) used[id] = true;
        }
        INFO(c.stem());
        CHECK(g.same_routes(chosen) >= 0.97);
        CHECK(std::count(used.begin(), used.end(), false) == 0);
    }
    CHECK(n_cases >= 6);
}
