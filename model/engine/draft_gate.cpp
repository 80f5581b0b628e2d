// SPDX-License-Identifier: MIT
#include "model/engine/draft_gate.h"

#include <algorithm>

namespace axiom {
namespace {

constexpr double kNewShare = 0.125;  // of a running mean
constexpr size_t kTry = 4;           // drafts of a pass that is to find out what they cost

double blend(double mean, double value) {
    return mean + (value - mean) * kNewShare;
}

}  // namespace

size_t DraftGate::choose(size_t most) {
    // Without a pass of one token there is nothing to compare with.
    if (most == 0 || one_ticks_ <= 0) return 0;
    if (draft_ticks_ < 0) return std::min(most, kTry);
    // Tokens a tick, of a pass with k drafts: 1 + right + right^2 + ... + right^k come of it.
    size_t best = 0;
    double tokens = 1, chance = 1, most_rate = 1 / one_ticks_;
    for (size_t k = 1; k <= most; k++) {
        chance *= right_;
        tokens += chance;
        const double rate = tokens / (one_ticks_ + double(k) * draft_ticks_);
        if (rate <= most_rate) continue;
        most_rate = rate;
        best = k;
    }
    if (best != 0) {
        n_passed_over_ = 0;
    } else if (n_passed_over_++ == kPassedOver) {
        n_passed_over_ = 0;
        best = 1;
    }
    return best;
}

void DraftGate::took(size_t n_drafts, uint64_t ticks) {
    const double t = double(ticks);
    if (n_drafts == 0) {
        one_ticks_ = one_ticks_ <= 0 ? t : blend(one_ticks_, t);
        return;
    }
    const double each = t > one_ticks_ ? (t - one_ticks_) / double(n_drafts) : 0;
    draft_ticks_ = draft_ticks_ < 0 ? each : blend(draft_ticks_, each);
}

void DraftGate::judged(bool accepted) {
    right_ = blend(right_, accepted ? 1 : 0);
}

}  // namespace axiom
