// SPDX-License-Identifier: MIT
#include "packer/requant.h"

#include <algorithm>
#include <cmath>

namespace axiom::packer {
namespace {

constexpr uint16_t kHalfInfinity = 0x7c00;

bool finite_half(uint16_t bits) {
    return (bits & kHalfInfinity) != kHalfInfinity;
}

// The f16 nearest to `scale`, but never zero for a scale that is not: a block of tiny weights would
// vanish.
uint16_t half_scale(float scale) {
    uint16_t bits = f32_to_f16(scale);
    if ((bits & 0x7fff) == 0 && scale != 0) bits |= 1;
    return bits;
}

bool quantize_q8(const float* w, BlockSource* block, size_t row) {
    float largest = 0;
    for (size_t i = 0; i < kBlockCols; i++) largest = std::max(largest, std::fabs(w[i]));
    uint16_t bits = half_scale(largest / 127);
    // Among subnormal halves rounding can lose enough that 127 steps no longer reach the largest
    // weight.
    if (finite_half(bits) && largest > 127.5f * f16_to_f32(bits)) bits++;
    if (!finite_half(bits)) return false;
    block->scale[row] = bits;
    const float scale = f16_to_f32(bits);
    for (size_t i = 0; i < kBlockCols; i++) {
        const float q = scale == 0 ? 0 : std::nearbyint(w[i] / scale);
        block->q[row][i] = int16_t(std::clamp(q, -127.0f, 127.0f));
    }
    return true;
}

// A quantization of 32 weights to 0..top, w ~ scale * (q - zero) + minimum. Sums run in eight lanes
// so that the compiler can use vectors; packing a large model is mostly these loops.
constexpr size_t kLanes = 8;

float fold(const float (&lanes)[kLanes]) {
    float sum = 0;
    for (const float lane : lanes) sum += lane;
    return sum;
}

struct Fit {
    uint16_t scale = 0, minimum = 0;
    float q[kBlockCols] = {};  // whole numbers 0..top
    float squared_error = INFINITY;
};

// The best q for a given scale and minimum, and the error that leaves.
void round_to(const float* __restrict w, float zero, float top, Fit* __restrict fit) {
    const float scale = f16_to_f32(fit->scale), minimum = f16_to_f32(fit->minimum);
    const float inverse = scale == 0 ? 0 : 1 / scale;
    float sums[kLanes] = {};
    for (size_t i = 0; i < kBlockCols; i += kLanes) {
        for (size_t j = 0; j < kLanes; j++) {
            float level = (w[i + j] - minimum) * inverse + zero + 0.5f;
            level = level > 0.0f ? level : 0.0f;
            level = level < top + 0.5f ? level : top + 0.5f;
            level = float(int(level));
            fit->q[i + j] = level;
            const float off = (level - zero) * scale + minimum - w[i + j];
            sums[j] += off * off;
        }
    }
    fit->squared_error = fold(sums);
}

void keep_better(const Fit& candidate, Fit* best) {
    if (finite_half(candidate.scale) && finite_half(candidate.minimum) &&
        candidate.squared_error < best->squared_error) {
        *best = candidate;
    }
}

// Scale (and minimum) by least squares for the integers of `fit`, then the integers once more.
Fit refit_signed(const float* w, float zero, const Fit& fit) {
    float wq[kLanes] = {}, qq[kLanes] = {};
    for (size_t i = 0; i < kBlockCols; i += kLanes) {
        for (size_t j = 0; j < kLanes; j++) {
            const float q = fit.q[i + j] - zero;
            wq[j] += w[i + j] * q;
            qq[j] += q * q;
        }
    }
    Fit out = fit;
    if (fold(qq) == 0) return out;
    out.scale = half_scale(fold(wq) / fold(qq));
    round_to(w, zero, 2 * zero - 1, &out);
    return out;
}

Fit refit_q4m(const float* w, const Fit& fit) {
    float w_lanes[kLanes] = {}, q_lanes[kLanes] = {}, wq_lanes[kLanes] = {}, qq_lanes[kLanes] = {};
    for (size_t i = 0; i < kBlockCols; i += kLanes) {
        for (size_t j = 0; j < kLanes; j++) {
            const float q = fit.q[i + j];
            w_lanes[j] += w[i + j];
            q_lanes[j] += q;
            wq_lanes[j] += w[i + j] * q;
            qq_lanes[j] += q * q;
        }
    }
    const float n = float(kBlockCols);
    const float sum_w = fold(w_lanes), sum_q = fold(q_lanes);
    const float determinant = n * fold(qq_lanes) - sum_q * sum_q;
    Fit out = fit;
    if (determinant == 0) return out;
    const float slope = (n * fold(wq_lanes) - sum_q * sum_w) / determinant;
    out.scale = half_scale(slope);
    out.minimum = f32_to_f16((sum_w - slope * sum_q) / n);
    round_to(w, 0, 15, &out);
    return out;
}

// q4 (zero 8) and q5 (zero 16) reach from -zero to zero - 1 scales, so the sign of the scale says
// which extreme gets the one step more.
Fit fit_signed(const float* w, float zero, Search search) {
    float extreme = 0;
    for (size_t i = 0; i < kBlockCols; i++) {
        if (std::fabs(w[i]) > std::fabs(extreme)) extreme = w[i];
    }
    Fit best;
    const auto attempt = [&](float steps) {
        Fit fit;
        fit.scale = half_scale(extreme / steps);
        round_to(w, zero, 2 * zero - 1, &fit);
        keep_better(fit, &best);
        if (search == Search::rms) keep_better(refit_signed(w, zero, fit), &best);
    };
    attempt(-zero);
    if (search == Search::rms) {
        for (const float more : {-1.0f, -0.5f, 0.5f, 1.0f, 1.5f, 2.0f}) attempt(-zero - more);
        for (const float less : {1.5f, 1.0f, 0.5f, 0.0f}) attempt(zero - less);
    }
    return best;
}

Fit fit_q4m(const float* w, Search search) {
    const float low = *std::min_element(w, w + kBlockCols);
    const float range = *std::max_element(w, w + kBlockCols) - low;
    Fit best;
    // Cutting a share off either end costs the extremes and serves the rest.
    const auto attempt = [&](float cut_low, float cut_high) {
        Fit fit;
        fit.minimum = f32_to_f16(low + cut_low * range);
        fit.scale = half_scale(range * (1 - cut_low - cut_high) / 15);
        round_to(w, 0, 15, &fit);
        keep_better(fit, &best);
        if (search == Search::rms) keep_better(refit_q4m(w, fit), &best);
    };
    attempt(0, 0);
    if (search == Search::rms) {
        for (const float cut_low : {0.0f, 0.05f, 0.1f}) {
            for (const float cut_high : {0.0f, 0.05f, 0.1f}) attempt(cut_low, cut_high);
        }
    }
    return best;
}

}  // namespace

bool quantize_32(StoredType type, Search search, const float* weights, BlockSource* block,
                 size_t row) {
    if (type == StoredType::q8) return quantize_q8(weights, block, row);
    const Fit fit = type == StoredType::q4m
                        ? fit_q4m(weights, search)
                        : fit_signed(weights, type == StoredType::q4 ? 8 : 16, search);
    if (!(fit.squared_error < INFINITY)) return false;
    for (size_t i = 0; i < kBlockCols; i++) block->q[row][i] = int16_t(fit.q[i]);
    block->scale[row] = fit.scale;
    block->minimum[row] = fit.minimum;
    return true;
}

void zero_32(StoredType type, BlockSource* block, size_t row) {
    const int16_t zero = type == StoredType::q4    ? 8
                         : type == StoredType::q5  ? 16
                         : type == StoredType::q6k ? 32
                                                   : 0;
    std::fill_n(block->q[row], kBlockCols, zero);
    block->scale[row] = 0;
    block->minimum[row] = 0;
    block->small[0][row] = block->small[1][row] = 0;
}

}  // namespace axiom::packer
