// SPDX-License-Identifier: MIT
#include "packer/requant.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/status.h"
#include "packer/dequant.h"

namespace axiom::packer {
namespace {

using gguf::TensorType;

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

// A 4-bit quantization of 32 weights, w ~ scale * (q - zero) + minimum. Sums run in eight lanes so
// that the compiler can use vectors; packing a large model is mostly these loops.
constexpr size_t kLanes = 8;

float fold(const float (&lanes)[kLanes]) {
    float sum = 0;
    for (const float lane : lanes) sum += lane;
    return sum;
}

struct Fit {
    uint16_t scale = 0, minimum = 0;
    float q[kBlockCols] = {};  // whole numbers 0..15
    float squared_error = INFINITY;
};

// The best q for a given scale and minimum, and the error that leaves.
void round_to(const float* __restrict w, float zero, Fit* __restrict fit) {
    const float scale = f16_to_f32(fit->scale), minimum = f16_to_f32(fit->minimum);
    const float inverse = scale == 0 ? 0 : 1 / scale;
    float sums[kLanes] = {};
    for (size_t i = 0; i < kBlockCols; i += kLanes) {
        for (size_t j = 0; j < kLanes; j++) {
            float level = (w[i + j] - minimum) * inverse + zero + 0.5f;
            level = level > 0.0f ? level : 0.0f;
            level = level < 15.5f ? level : 15.5f;
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
Fit refit_q4(const float* w, const Fit& fit) {
    float wq[kLanes] = {}, qq[kLanes] = {};
    for (size_t i = 0; i < kBlockCols; i += kLanes) {
        for (size_t j = 0; j < kLanes; j++) {
            const float q = fit.q[i + j] - 8;
            wq[j] += w[i + j] * q;
            qq[j] += q * q;
        }
    }
    Fit out = fit;
    if (fold(qq) == 0) return out;
    out.scale = half_scale(fold(wq) / fold(qq));
    round_to(w, 8, &out);
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
    round_to(w, 0, &out);
    return out;
}

// q4 reaches from -8 to 7 scales, so the sign of the scale says which extreme gets the eighth step.
Fit fit_q4(const float* w, Search search) {
    float extreme = 0;
    for (size_t i = 0; i < kBlockCols; i++) {
        if (std::fabs(w[i]) > std::fabs(extreme)) extreme = w[i];
    }
    Fit best;
    const auto attempt = [&](float steps) {
        Fit fit;
        fit.scale = half_scale(extreme / steps);
        round_to(w, 8, &fit);
        keep_better(fit, &best);
        if (search == Search::rms) keep_better(refit_q4(w, fit), &best);
    };
    attempt(-8.0f);
    if (search == Search::rms) {
        for (const float steps :
             {-7.0f, -7.5f, -8.5f, -9.0f, -9.5f, -10.0f, 6.5f, 7.0f, 7.5f, 8.0f}) {
            attempt(steps);
        }
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
        round_to(w, 0, &fit);
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

uint16_t bits_at(const uint8_t* p) {
    uint16_t bits;
    memcpy(&bits, p, sizeof bits);
    return bits;
}

void copy_nibbles_32(const uint8_t* nibbles, int16_t* q) {
    for (size_t j = 0; j < 16; j++) {
        q[j] = nibbles[j] & 15;
        q[j + 16] = nibbles[j] >> 4;
    }
}

}  // namespace

bool quantize_32(StoredType type, Search search, const float* weights, BlockSource* block,
                 size_t row) {
    if (type == StoredType::q8) return quantize_q8(weights, block, row);
    const bool with_minimum = type == StoredType::q4m;
    const Fit fit = with_minimum ? fit_q4m(weights, search) : fit_q4(weights, search);
    if (!(fit.squared_error < INFINITY)) return false;
    for (size_t i = 0; i < kBlockCols; i++) block->q[row][i] = int16_t(fit.q[i]);
    block->scale[row] = fit.scale;
    block->minimum[row] = fit.minimum;
    return true;
}

StoredType natural_type(TensorType source) {
    switch (source) {
        case TensorType::q4_0:
            return StoredType::q4;
        case TensorType::q4_1:
        case TensorType::q4_k:
            return StoredType::q4m;
        default:
            return StoredType::q8;
    }
}

bool keeps_integers(TensorType source, StoredType stored) {
    return stored == natural_type(source) &&
           (stored != StoredType::q8 || source == TensorType::q8_0);
}

void copy_32(TensorType source, const uint8_t* row_data, size_t i_block, BlockSource* block,
             size_t row) {
    const gguf::BlockShape shape = gguf::block_shape(uint32_t(source));
    const uint8_t* const p = row_data + i_block * kBlockCols / shape.n_cols * shape.n_bytes;
    switch (source) {
        case TensorType::q4_0:
            block->scale[row] = bits_at(p);
            copy_nibbles_32(p + 2, block->q[row]);
            return;
        case TensorType::q4_1:
            block->scale[row] = bits_at(p);
            block->minimum[row] = bits_at(p + 2);
            copy_nibbles_32(p + 4, block->q[row]);
            return;
        case TensorType::q8_0:
            block->scale[row] = bits_at(p);
            for (size_t j = 0; j < kBlockCols; j++) block->q[row][j] = int8_t(p[2 + j]);
            return;
        case TensorType::q4_k: {
            const size_t sub = i_block % 8;
            const KScale k = k_scale(p + 4, sub);
            block->scale[row] = f32_to_f16(f16_to_f32(bits_at(p)) * float(k.scale));
            block->minimum[row] = f32_to_f16(-f16_to_f32(bits_at(p + 2)) * float(k.minimum));
            const uint8_t* bytes = p + 16 + sub / 2 * 32;
            for (size_t j = 0; j < kBlockCols; j++) {
                block->q[row][j] = int16_t(sub % 2 ? bytes[j] >> 4 : bytes[j] & 15);
            }
            return;
        }
        default:
            AXIOM_PANIC("copy_32: a type whose integers cannot be kept");
    }
}

void zero_32(StoredType type, BlockSource* block, size_t row) {
    const int16_t zero = type == StoredType::q4 ? 8 : 0;
    std::fill_n(block->q[row], kBlockCols, zero);
    block->scale[row] = 0;
    block->minimum[row] = 0;
}

}  // namespace axiom::packer
