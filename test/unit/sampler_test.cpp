// SPDX-License-Identifier: MIT
// The sampler: each step alone, and the draws.
#include "model/engine/sampler.h"

#include <cmath>
#include <limits>
#include <set>
#include <stdexcept>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom;

namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// Temperature 1 and every filter off.
Options plain(uint64_t seed = 1) {
    Options o;
    o.temperature = 1;
    o.top_k = 0;
    o.top_p = 1;
    o.min_p = 0;
    o.seed = seed;
    return o;
}

Options greedy() {
    Options o;
    o.temperature = 0;
    return o;
}

TokenId sample_once(const Options& o, const std::vector<float>& logits,
                    const std::vector<TokenId>& history = {}) {
    std::vector<Sampler::Candidate> scratch(logits.size());
    Sampler sampler(o, scratch);
    return sampler.sample(logits, history);
}

std::vector<size_t> counts(const Options& o, const std::vector<float>& logits, size_t n_draws,
                           const std::vector<TokenId>& history = {}) {
    std::vector<Sampler::Candidate> scratch(logits.size());
    Sampler sampler(o, scratch);
    std::vector<size_t> n(logits.size());
    for (size_t i = 0; i < n_draws; i++) n[sampler.sample(logits, history)]++;
    return n;
}

std::set<TokenId> drawn(const Options& o, const std::vector<float>& logits, size_t n_draws = 4000) {
    std::set<TokenId> ids;
    const std::vector<size_t> n = counts(o, logits, n_draws);
    for (size_t i = 0; i < n.size(); i++) {
        if (n[i]) ids.insert(TokenId(i));
    }
    return ids;
}

using Ids = std::set<TokenId>;

float log_of(double p) {
    return float(std::log(p));
}

}  // namespace

TEST_CASE("the generator is xoshiro256** seeded by SplitMix64") {
    // Reference: the published C of both, seed 0; the first word of SplitMix64(0) is
    // e220a8397b1dcdaf.
    Random r(0);
    CHECK(r.next() == 0x99ec5f36cb75f2b4u);
    CHECK(r.next() == 0xbf6e1f784956452au);
    CHECK(r.next() == 0x1a5f849d4933e6e0u);
}

TEST_CASE("uniform draws lie in [0, 1) and fill it") {
    Random r(7);
    double sum = 0, least = 1, most = 0;
    for (int i = 0; i < 10000; i++) {
        const double u = r.uniform();
        REQUIRE((u >= 0 && u < 1));
        sum += u;
        least = std::min(least, u);
        most = std::max(most, u);
    }
    // Standard deviation of the mean of 10000 uniforms: 1/sqrt(12*10000) = 0.0029; five of them.
    CHECK(sum / 10000 == Approx(0.5).margin(0.0145));
    CHECK(least < 0.01);
    CHECK(most > 0.99);
}

TEST_CASE("temperature 0 takes the largest logit, the lowest id among equals") {
    CHECK(sample_once(greedy(), {1, 3, 2}) == 1);
    CHECK(sample_once(greedy(), {-5, -3, -3, -4}) == 1);
    CHECK(sample_once(greedy(), {2, 2, 2}) == 0);
    CHECK(sample_once(greedy(), {7}) == 0);
}

TEST_CASE("what is not a number is never chosen") {
    CHECK(sample_once(greedy(), {kNan, -1, kNan, -2}) == 1);
    CHECK(sample_once(greedy(), {kNan, kNan}) == 0);
    CHECK(drawn(plain(), {kNan, 0, kNan, 0}) == Ids{1, 3});
}

TEST_CASE("infinite logits neither hang nor produce an id outside the vocabulary") {
    CHECK(sample_once(plain(), {0, kInfinity, 1}) == 1);
    CHECK(sample_once(plain(), {-kInfinity, -kInfinity}) == 0);
    CHECK(drawn(plain(), {-kInfinity, 0, 0}) == Ids{1, 2});
}

TEST_CASE("draws follow the softmax") {
    const std::vector<size_t> n = counts(plain(3), {log_of(0.5), log_of(0.3), log_of(0.2)}, 20000);
    // Five standard deviations of a share: 5*sqrt(0.25/20000) = 0.018.
    CHECK(double(n[0]) / 20000 == Approx(0.5).margin(0.018));
    CHECK(double(n[1]) / 20000 == Approx(0.3).margin(0.018));
    CHECK(double(n[2]) / 20000 == Approx(0.2).margin(0.018));
}

TEST_CASE("temperature flattens and sharpens the softmax") {
    Options o = plain(5);
    o.temperature = 2;  // p ~ sqrt: 0.9 and 0.1 become 3/4 and 1/4
    const std::vector<size_t> n = counts(o, {log_of(0.9), log_of(0.1)}, 20000);
    CHECK(double(n[0]) / 20000 == Approx(0.75).margin(0.018));
    o.temperature = 0.01f;  // ratio 9^100
    CHECK(drawn(o, {log_of(0.9), log_of(0.1)}) == Ids{0});
}

TEST_CASE("top-k keeps the k likeliest, the lower id at a tie") {
    Options o = plain();
    o.top_k = 2;
    CHECK(drawn(o, {1, 3, 2, 0}) == Ids{1, 2});
    CHECK(drawn(o, {5, 5, 5, 5}) == Ids{0, 1});
    o.top_k = 1;
    CHECK(drawn(o, {1, 3, 2, 0}) == Ids{1});
    o.top_k = 100;
    CHECK(drawn(o, {1, 1, 1}) == Ids{0, 1, 2});
}

TEST_CASE("top-p keeps the fewest that reach p") {
    const std::vector<float> logits = {log_of(0.1), log_of(0.5), log_of(0.25), log_of(0.15)};
    Options o = plain();
    o.top_p = 0.45f;
    CHECK(drawn(o, logits) == Ids{1});
    o.top_p = 0.6f;
    CHECK(drawn(o, logits) == Ids{1, 2});
    o.top_p = 0.8f;
    CHECK(drawn(o, logits) == Ids{1, 2, 3});
}

TEST_CASE("top-p of 0 keeps the likeliest") {
    Options o = plain();
    o.top_p = 0;
    CHECK(drawn(o, {0, 1, 2}) == Ids{2});
}

TEST_CASE("top-p looks at the probabilities before temperature") {
    Options o = plain();
    o.top_p = 0.6f;
    o.temperature = 50;  // nearly flat: after it, two of three would not reach 0.7
    CHECK(drawn(o, {log_of(0.7), log_of(0.2), log_of(0.1)}) == Ids{0});
}

TEST_CASE("min-p drops what is less likely than a share of the likeliest") {
    const std::vector<float> logits = {log_of(0.5), log_of(0.3), log_of(0.15), log_of(0.05)};
    Options o = plain();
    o.min_p = 0.55f;  // threshold 0.275
    CHECK(drawn(o, logits) == Ids{0, 1});
    o.min_p = 0.2f;  // threshold 0.1
    CHECK(drawn(o, logits) == Ids{0, 1, 2});
    o.min_p = 1;
    CHECK(drawn(o, logits) == Ids{0});
}

TEST_CASE("the repeat penalty divides positive logits and multiplies others") {
    Options o = greedy();
    o.repeat_penalty = 2;
    CHECK(sample_once(o, {4, 3}, {0}) == 1);       // 2 against 3
    CHECK(sample_once(o, {4, 1.9f}, {0}) == 0);    // 2 against 1.9
    CHECK(sample_once(o, {-1, -1.5f}, {0}) == 1);  // -2 against -1.5
    CHECK(sample_once(o, {-1, -2.5f}, {0}) == 0);  // -2 against -2.5
}

TEST_CASE("a token seen often is penalised once") {
    Options o = greedy();
    o.repeat_penalty = 2;
    CHECK(sample_once(o, {4, 1.9f}, {0, 0, 0, 0}) == 0);
}

TEST_CASE("the penalty looks at the last tokens only") {
    Options o = greedy();
    o.repeat_penalty = 2;
    o.repeat_last_n = 2;
    CHECK(sample_once(o, {4, 3, 0}, {0, 2, 2}) == 0);
    CHECK(sample_once(o, {4, 3, 0}, {2, 0, 2}) == 1);
    o.repeat_last_n = 0;
    CHECK(sample_once(o, {4, 3, 0}, {0, 0, 0}) == 0);
}

TEST_CASE("the penalty holds when drawing as well as when greedy") {
    Options o = plain();
    o.repeat_penalty = 2;
    // Logits 2 ln 3 and 0: halved, token 0 has odds 3 to 1.
    const std::vector<size_t> n = counts(o, {2 * log_of(3), 0}, 20000, {0});
    CHECK(double(n[0]) / 20000 == Approx(0.75).margin(0.018));
}

TEST_CASE("random numbers are xoshiro256** seeded by SplitMix64") {
    Random random(0);
    // Of an implementation of both papers in Python.
    for (const uint64_t expected : {0x99ec5f36cb75f2b4u, 0xbf6e1f784956452au, 0x1a5f849d4933e6e0u,
                                    0x6aa594f1262d2d2cu, 0xbba5ad4a1f842e59u})
        CHECK(random.next() == expected);
}

TEST_CASE("the same seed draws the same tokens and another seed others") {
    const std::vector<float> logits(50, 0.0f);
    const auto sequence = [&](uint64_t seed) {
        const Options o = plain(seed);
        std::vector<Sampler::Candidate> scratch(logits.size());
        Sampler sampler(o, scratch);
        std::vector<TokenId> ids;
        for (int i = 0; i < 20; i++) ids.push_back(sampler.sample(logits, {}));
        return ids;
    };
    CHECK(sequence(1) == sequence(1));
    CHECK(sequence(1) != sequence(2));
}

TEST_CASE("sampling leaves the logits as they were") {
    Options o = plain();
    o.repeat_penalty = 3;
    const std::vector<float> logits = {1, 2, 3};
    std::vector<float> given = logits;
    sample_once(o, given, {0, 1, 2});
    CHECK(given == logits);
}

TEST_CASE("a history token outside the vocabulary is a broken invariant") {
    Options o = greedy();
    o.repeat_penalty = 2;
    CHECK_THROWS_AS(sample_once(o, {1, 2}, {2}), std::logic_error);
    CHECK_THROWS_AS(sample_once(greedy(), {}), std::logic_error);
}

TEST_CASE("a mask leaves only the tokens whose bit is set, to the greedy and to draws") {
    std::vector<float> logits(130, 1.0f);
    logits[3] = 9, logits[64] = 8, logits[129] = 7, logits[128] = 2;
    std::vector<Sampler::Candidate> scratch(logits.size());
    const uint64_t allowed[] = {uint64_t{1} << 5, 0, 3};  // 5, 128 and 129
    Options o = greedy();
    CHECK(Sampler(o, scratch).sample(logits, {}, allowed) == 129);
    o.repeat_penalty = 100;
    const TokenId history[] = {129};
    CHECK(Sampler(o, scratch).sample(logits, history, allowed) == 128);

    o = plain();
    Sampler sampler(o, scratch);
    std::set<TokenId> ids;
    for (int i = 0; i < 4000; i++) ids.insert(sampler.sample(logits, {}, allowed));
    CHECK(ids == std::set<TokenId>{5, 128, 129});
    o.top_k = 2;
    ids.clear();
    for (int i = 0; i < 4000; i++) ids.insert(sampler.sample(logits, {}, allowed));
    CHECK(ids == std::set<TokenId>{128, 129});
    // Nothing allowed, and fewer bits than tokens, are broken invariants.
    const uint64_t none[3] = {};
    CHECK_THROWS_AS(sampler.sample(logits, {}, none), std::logic_error);
    CHECK_THROWS_AS(sampler.sample(logits, {}, std::span(allowed).first(2)), std::logic_error);
}
