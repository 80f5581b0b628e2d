// SPDX-License-Identifier: MIT
// Sampling: the order and the meaning of each step are llama.cpp's; the draws are our own.
#include "model/engine/sampler.h"

#include <algorithm>
#include <bit>

#include "core/mathf.h"
#include "core/status.h"

namespace axiom {
namespace {

using Candidate = Sampler::Candidate;

constexpr float kMinusInfinity = -__builtin_huge_valf();
// Marks an id whose logit has been penalised; above every id (format::kMaxVocab is 2^21).
constexpr TokenId kPenalised = 1u << 31;

// A total order, so that the result does not depend on how the library sorts.
bool likelier(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
}

// Not-a-number would break that order; it is never chosen.
float ordered(float logit) {
    return logit == logit ? logit : kMinusInfinity;
}

TokenId likeliest(std::span<const Candidate> candidates) {
    const Candidate* best = &candidates[0];
    for (const Candidate& c : candidates) {
        if (c.logit > best->logit) best = &c;
    }
    return best->id;
}

// Each token of the window once, however often it occurs: positive logits are divided, others
// multiplied (Keskar et al. 2019, CTRL, section 4.1, as llama.cpp has it). candidates[i].id == i.
void penalise(std::span<Candidate> candidates, std::span<const TokenId> window, float penalty) {
    for (const TokenId id : window) {
        AXIOM_CHECK(id < candidates.size());
        Candidate& c = candidates[id];
        if (c.id & kPenalised) continue;
        c.id |= kPenalised;
        c.logit = c.logit <= 0 ? c.logit * penalty : c.logit / penalty;
    }
    for (const TokenId id : window) candidates[id].id = id;
}

// Moves the candidates whose bit is set to the front, in order, and says how many they are.
size_t keep_allowed(std::span<Candidate> candidates, std::span<const uint64_t> allowed) {
    AXIOM_CHECK(allowed.size() >= (candidates.size() + 63) / 64);
    size_t n = 0;
    for (const Candidate& c : candidates) {
        if (allowed[c.id / 64] >> (c.id % 64) & 1) candidates[n++] = c;
    }
    AXIOM_CHECK(n != 0);
    return n;
}

// Sorted candidates -> how many are kept: the fewest whose probability reaches top_p, at least one.
size_t keep_top_p(std::span<const Candidate> candidates, float top_p) {
    const float max = candidates[0].logit;
    float sum = 0;
    for (const Candidate& c : candidates) sum += exp_f32(c.logit - max);
    float cumulative = 0;
    for (size_t i = 0; i < candidates.size(); i++) {
        cumulative += exp_f32(candidates[i].logit - max) / sum;
        if (cumulative >= top_p) return i + 1;
    }
    return candidates.size();
}

// Sorted candidates -> how many are at least min_p times as likely as the first.
size_t keep_min_p(std::span<const Candidate> candidates, float min_p) {
    const float least = candidates[0].logit + float(log_f64(double(min_p)));
    size_t n = 1;
    while (n < candidates.size() && candidates[n].logit >= least) n++;
    return n;
}

// One draw from the softmax of the sorted candidates at this temperature.
TokenId draw(std::span<const Candidate> candidates, float temperature, double uniform) {
    const float max = candidates[0].logit;
    const auto weight = [&](const Candidate& c) {
        return double(exp_f32((c.logit - max) / temperature));
    };
    double sum = 0;
    for (const Candidate& c : candidates) sum += weight(c);
    double left = uniform * sum;
    for (const Candidate& c : candidates) {
        left -= weight(c);
        if (left < 0) return c.id;
    }
    return candidates[0].id;  // rounding left a crumb
}

}  // namespace

Random::Random(uint64_t seed) {
    for (uint64_t& word : s_) {
        seed += 0x9e3779b97f4a7c15;
        uint64_t z = seed;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
        z = (z ^ z >> 27) * 0x94d049bb133111eb;
        word = z ^ z >> 31;
    }
}

uint64_t Random::next() {
    const uint64_t result = std::rotl(s_[1] * 5, 7) * 9;
    const uint64_t t = s_[1] << 17;
    s_[2] ^= s_[0];
    s_[3] ^= s_[1];
    s_[1] ^= s_[2];
    s_[0] ^= s_[3];
    s_[2] ^= t;
    s_[3] = std::rotl(s_[3], 45);
    return result;
}

double Random::uniform() {
    return double(next() >> 11) * 0x1p-53;
}

Sampler::Sampler(const Options& options, std::span<Candidate> candidates)
    : options_(options), candidates_(candidates), random_(options.seed) {}

TokenId Sampler::sample(std::span<const float> logits, std::span<const TokenId> history,
                        std::span<const uint64_t> allowed) {
    AXIOM_CHECK(!logits.empty() && logits.size() <= candidates_.size());
    std::span<Candidate> candidates = candidates_.first(logits.size());
    for (size_t i = 0; i < logits.size(); i++) candidates[i] = {ordered(logits[i]), TokenId(i)};

    const size_t n_window = std::min(history.size(), size_t{options_.repeat_last_n});
    if (options_.repeat_penalty != 1.0f) {
        penalise(candidates, history.last(n_window), options_.repeat_penalty);
    }
    if (!allowed.empty()) candidates = candidates.first(keep_allowed(candidates, allowed));
    if (options_.temperature <= 0) return likeliest(candidates);

    const size_t n_top = options_.top_k == 0 ? candidates.size()
                                             : std::min(candidates.size(), size_t{options_.top_k});
    std::partial_sort(candidates.begin(), candidates.begin() + ptrdiff_t(n_top), candidates.end(),
                      likelier);
    candidates = candidates.first(n_top);
    // Differences of infinities mean nothing: the first is then the answer.
    const float max = candidates[0].logit;
    if (!(max - max == 0)) return candidates[0].id;

    if (options_.top_p < 1) candidates = candidates.first(keep_top_p(candidates, options_.top_p));
    if (options_.min_p > 0) candidates = candidates.first(keep_min_p(candidates, options_.min_p));
    return draw(candidates, options_.temperature, random_.uniform());
}

}  // namespace axiom
