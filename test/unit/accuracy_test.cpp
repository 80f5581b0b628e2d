// SPDX-License-Identifier: MIT
// The numbers against llama.cpp on the same weights and text: test/golden/logits (README there).
#include <cmath>
#include <cstring>
#include <sstream>

#include "core/cpu_features.h"
#include "test/unit/engine.h"

using namespace axiom;
using namespace axiom::test;

namespace {

// The layout is in make_logits.py.
struct Golden {
    struct Tokens {
        std::vector<uint32_t> id;
        std::vector<float> logprob;
    };
    struct Position {
        Tokens top;    // most probable first
        float rest;    // the probability of all others together
        Tokens drawn;  // from the others by their probabilities
    };
    std::vector<uint32_t> tokens;
    std::vector<float> next_logprob;
    std::vector<Position> positions;

    static Golden read(const std::string& path) {
        std::ifstream in(path, std::ios::binary);
        INFO(path);
        REQUIRE(in.good());
        const auto get = [&](auto* to, size_t count) {
            in.read(reinterpret_cast<char*>(to), std::streamsize(count * sizeof *to));
            REQUIRE(in.good());
        };
        const auto get_tokens = [&](size_t count) {
            Tokens t{std::vector<uint32_t>(count), std::vector<float>(count)};
            get(t.id.data(), count);
            get(t.logprob.data(), count);
            return t;
        };
        char magic[8];
        get(magic, sizeof magic);
        REQUIRE(memcmp(magic, "AXGOLD2", 8) == 0);
        uint32_t n, n_top, n_drawn;
        get(&n, 1);
        get(&n_top, 1);
        get(&n_drawn, 1);
        Golden g;
        g.tokens.resize(n);
        g.next_logprob.resize(n - 1);
        get(g.tokens.data(), n);
        get(g.next_logprob.data(), n - 1);
        for (uint32_t i = 0; i + 1 < n; i++) {
            Position p;
            p.top = get_tokens(n_top);
            get(&p.rest, 1);
            p.drawn = get_tokens(n_drawn);
            g.positions.push_back(std::move(p));
        }
        return g;
    }
};

// Sums over positions.
struct Agreement {
    double nll = 0, nll_golden = 0, divergence = 0;
    size_t n_same_top = 0, n_scored = 0;

    void add(const Golden& golden, size_t position, std::span<const float> logits) {
        const size_t best = size_t(std::max_element(logits.begin(), logits.end()) - logits.begin());
        double sum = 0;
        for (const float l : logits) sum += std::exp(double(l) - double(logits[best]));
        const double log_sum = std::log(sum);
        const auto logprob = [&](uint32_t id) {
            return double(logits[id]) - double(logits[best]) - log_sum;
        };
        nll -= logprob(golden.tokens[position + 1]);
        nll_golden -= double(golden.next_logprob[position]);

        // KL(golden || ours): exact over the most probable tokens. Over the others, with r = p / q,
        // sum p log r = sum p (log r + 1/r - 1) + sum p - sum q. The sum in the middle is the mean
        // of its bracket, which is never negative, over draws from p; the last two are known.
        const Golden::Position& p = golden.positions[position];
        double our_rest = 1;
        for (size_t i = 0; i < p.top.id.size(); i++) {
            const double ours = logprob(p.top.id[i]);
            divergence += std::exp(double(p.top.logprob[i])) * (double(p.top.logprob[i]) - ours);
            our_rest -= std::exp(ours);
        }
        double brackets = 0;
        for (size_t i = 0; i < p.drawn.id.size(); i++) {
            const double log_ratio = double(p.drawn.logprob[i]) - logprob(p.drawn.id[i]);
            brackets += log_ratio + std::exp(-log_ratio) - 1;
        }
        divergence += double(p.rest) * (brackets / double(p.drawn.id.size()) + 1) - our_rest;
        n_same_top += best == p.top.id[0];
        n_scored++;
    }
    void add(const Agreement& other) {
        nll += other.nll;
        nll_golden += other.nll_golden;
        divergence += other.divergence;
        n_same_top += other.n_same_top;
        n_scored += other.n_scored;
    }

    double perplexity() const { return std::exp(nll / double(n_scored)); }
    double perplexity_golden() const { return std::exp(nll_golden / double(n_scored)); }
    // Of our perplexity from the reference's, as a share of that.
    double distance() const { return std::fabs(perplexity() / perplexity_golden() - 1); }
    double mean_divergence() const { return divergence / double(n_scored); }
    double top1() const { return double(n_same_top) / double(n_scored); }
    std::string text() const {
        std::ostringstream out;
        out << "perplexity " << perplexity() << " against " << perplexity_golden() << ", mean KL "
            << mean_divergence() << ", top-1 agreement " << top1() << " over " << n_scored
            << " positions";
        return out.str();
    }
};

// Of `model` in the build folder with what test/golden/logits/NAME holds, one for each text.
std::vector<Agreement> agreements(const std::string& model, const std::string& name,
                                  const std::vector<std::string>& texts,
                                  KvType kv_type = KvType::f16) {
    const AlignedBytes file = AlignedBytes::read(build_path("models/" + model));
    const Result<Weights> weights = Weights::open(model, file.span());
    INFO(weights.status().text());
    REQUIRE(weights.ok());
    const CpuFeatures features = decode_features(read_cpu_words());
    // Every set has the same bits (kernels_test, engine_test); the fastest saves minutes.
    const Kernels& kernels = features.avx512_vnni ? kAvx512Kernels
                             : features.avx2      ? kAvx2Kernels
                                                  : kScalarKernels;
    std::vector<Agreement> result;
    for (const std::string& text : texts) {
        const Golden golden = Golden::read("test/golden/logits/" + name + "/" + text + ".bin");
        REQUIRE(golden.tokens.size() >= 512);
        Engine engine(weights.value(), kernels, 1, golden.tokens.size(), 64, kv_type);
        Agreement agreement;
        engine.run(golden.tokens, 64, [&](size_t position, std::span<const float> logits) {
            if (position < golden.positions.size()) agreement.add(golden, position, logits);
        });
        result.push_back(agreement);
    }
    return result;
}

Agreement together(const std::vector<Agreement>& parts) {
    Agreement all;
    for (const Agreement& part : parts) all.add(part);
    return all;
}

}  // namespace

TEST_CASE("SmolLM2's next-token distributions agree with llama.cpp's on ordinary text", "[slow]") {
    const Agreement all = together(agreements("default.axm", "smollm2", {"story", "article"}));
    INFO(all.text());
    CHECK(all.distance() <= 0.005);
    CHECK(all.mean_divergence() <= 0.005);
    CHECK(all.mean_divergence() >= 0);  // below would mean a wrong computation
    CHECK(all.top1() >= 0.95);
}

TEST_CASE("SmolLM2's next-token distributions hardly change with keys and values of 8 bits",
          "[slow]") {
    const Agreement all =
        together(agreements("default.axm", "smollm2", {"story", "article"}, KvType::q8_0));
    INFO(all.text());
    CHECK(all.distance() <= 0.005);
    CHECK(all.mean_divergence() <= 0.005);
    CHECK(all.mean_divergence() >= 0);
    CHECK(all.top1() >= 0.95);
}

// Hidden: make test-models runs it.
TEST_CASE("Qwen2.5-Coder's next-token distributions agree with llama.cpp's on prose and code",
          "[.][models][slow]") {
    const std::vector<std::string> texts = {"story", "article", "code"};
    const std::vector<Agreement> parts = agreements("qwen2.5-coder.axm", "qwen2.5-coder", texts);
    for (size_t i = 0; i < texts.size(); i++) {
        INFO(texts[i] << ": " << parts[i].text());
        CHECK(parts[i].distance() <= 0.005);
        CHECK(parts[i].mean_divergence() <= 0.005);
        CHECK(parts[i].mean_divergence() >= 0);
        CHECK(parts[i].top1() >= 0.95);
    }
    // A person wants the figures too when all is well.
    WARN(together(parts).text());
}
