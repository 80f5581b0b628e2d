// SPDX-License-Identifier: MIT
// The numbers against llama.cpp on the same weights and text: test/golden/logits (README there).
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/cpu_features.h"
#include "test/unit/engine.h"

using namespace axiom;
using namespace axiom::test;

namespace {

// The layout is in make_logits.py.
struct Golden {
    std::vector<uint32_t> tokens;
    std::vector<float> next_logprob;
    uint32_t n_top = 0;
    struct Top {
        std::vector<uint32_t> id;
        std::vector<float> logprob;
    };
    std::vector<Top> positions;

    static Golden read(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        REQUIRE(in.good());
        char magic[8];
        in.read(magic, sizeof magic);
        REQUIRE(memcmp(magic, "AXGOLD1", 8) == 0);
        Golden g;
        uint32_t n = 0;
        const auto get = [&](auto* to, size_t count) {
            in.read(reinterpret_cast<char*>(to), std::streamsize(count * sizeof *to));
            REQUIRE(in.good());
        };
        get(&n, 1);
        get(&g.n_top, 1);
        g.tokens.resize(n);
        g.next_logprob.resize(n - 1);
        get(g.tokens.data(), n);
        get(g.next_logprob.data(), n - 1);
        g.positions.resize(n - 1);
        for (Top& top : g.positions) {
            top.id.resize(g.n_top);
            top.logprob.resize(g.n_top);
            get(top.id.data(), g.n_top);
            get(top.logprob.data(), g.n_top);
        }
        return g;
    }
};

}  // namespace

TEST_CASE("SmolLM2's next-token distributions agree with llama.cpp's on ordinary text", "[slow]") {
    const AlignedBytes file = AlignedBytes::read(build_path("models/default.axm"));
    const Result<Weights> weights = Weights::open("default.axm", file.span());
    INFO(weights.status().text());
    REQUIRE(weights.ok());
    const CpuFeatures features = decode_features(read_cpu_words());
    // Every set has the same bits (kernels_test, engine_test); the fastest saves minutes.
    const Kernels& kernels = features.avx512_vnni ? kAvx512Kernels
                             : features.avx2      ? kAvx2Kernels
                                                  : kScalarKernels;

    double nll = 0, nll_golden = 0, divergence = 0;
    size_t n_same_top = 0, n_scored = 0;
    for (const char* text : {"story", "article"}) {
        const Golden golden = Golden::read(std::string("test/golden/logits/") + text + ".bin");
        REQUIRE(golden.tokens.size() >= 512);
        Engine engine(weights.value(), kernels, 1, golden.tokens.size(), 64);
        engine.run(golden.tokens, 64, [&](size_t position, std::span<const float> logits) {
            if (position >= golden.positions.size()) return;
            const size_t best =
                size_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
            double sum = 0;
            for (const float l : logits) sum += std::exp(double(l) - double(logits[best]));
            const auto logprob = [&](uint32_t id) {
                return double(logits[id]) - double(logits[best]) - std::log(sum);
            };
            nll -= logprob(golden.tokens[position + 1]);
            nll_golden -= double(golden.next_logprob[position]);
            // KL(golden || ours) over the golden's most probable tokens, the rest as one event: a
            // lower bound of the divergence over the whole vocabulary (README beside the data).
            const Golden::Top& top = golden.positions[position];
            double rest = 1, our_rest = 1;
            for (size_t i = 0; i < golden.n_top; i++) {
                const double p = std::exp(double(top.logprob[i]));
                divergence += p * (double(top.logprob[i]) - logprob(top.id[i]));
                rest -= p;
                our_rest -= std::exp(logprob(top.id[i]));
            }
            if (rest > 1e-9) divergence += rest * std::log(rest / std::max(our_rest, 1e-12));
            n_same_top += best == top.id[0];
            n_scored++;
        });
    }
    const double perplexity = std::exp(nll / double(n_scored));
    const double perplexity_golden = std::exp(nll_golden / double(n_scored));
    const double mean_divergence = divergence / double(n_scored);
    const double top1 = double(n_same_top) / double(n_scored);
    INFO("perplexity " << perplexity << " against " << perplexity_golden << ", mean KL "
                       << mean_divergence << ", top-1 agreement " << top1 << " over " << n_scored
                       << " positions");
    CHECK(std::fabs(perplexity / perplexity_golden - 1) <= 0.01);
    CHECK(mean_divergence <= 0.01);
    CHECK(mean_divergence >= -1e-6);  // a divergence below zero would mean a wrong computation
    CHECK(top1 >= 0.95);
}
