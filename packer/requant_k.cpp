// SPDX-License-Identifier: MIT
// Floats -> rows of the K formats: one or two f16 scales for 256 weights, small integer scales
// below them. Must not know: how blocks are laid out.
#include <algorithm>
#include <cmath>

#include "packer/requant.h"

namespace axiom::packer {
namespace {

constexpr size_t kSubBlocks = kSuperBlocks * kBlockCols / 16;  // at most, q6k's

// The f16 such that `n_steps` of it reach `largest`, never zero for what is not; then the integers
// of `parts`, rounded. False if it does not fit binary16.
bool share_scale(const float* parts, size_t n, float n_steps, uint16_t* half, int* integers) {
    float largest = 0;
    for (size_t i = 0; i < n; i++) largest = std::max(largest, std::fabs(parts[i]));
    *half = f32_to_f16(largest / n_steps);
    if (*half == 0 && largest != 0) *half = 1;
    if ((*half & 0x7c00) == 0x7c00) return false;
    const float scale = f16_to_f32(*half);
    for (size_t i = 0; i < n; i++) {
        const float steps = scale == 0 ? 0 : std::nearbyint(parts[i] / scale);
        integers[i] = int(std::clamp(steps, -n_steps, n_steps));
    }
    return true;
}

int nearest(float w, float scale, int low, int high) {
    return scale == 0 ? 0 : int(std::clamp(std::nearbyint(w / scale), float(low), float(high)));
}

// w = (d * scale) * q - dmin * minimum, and so every sub-block's range is made to hold 0.
bool quantize_with_minimum(const float* w, int top, BlockSource (&blocks)[kSuperBlocks],
                           SuperScales* super, size_t row) {
    float scales[kSuperBlocks], minimums[kSuperBlocks];
    for (size_t b = 0; b < kSuperBlocks; b++) {
        const auto [low, high] = std::minmax_element(w + b * kBlockCols, w + (b + 1) * kBlockCols);
        minimums[b] = std::max(0.0f, -*low);
        scales[b] = std::max(0.0f, *high + minimums[b]) / float(top);
    }
    int scale[kSuperBlocks], minimum[kSuperBlocks];
    if (!share_scale(scales, kSuperBlocks, 255, &super->d[row], scale)) return false;
    if (!share_scale(minimums, kSuperBlocks, 255, &super->dmin[row], minimum)) return false;
    for (size_t b = 0; b < kSuperBlocks; b++) {
        blocks[b].small[0][row] = int16_t(scale[b]);
        blocks[b].small[1][row] = int16_t(minimum[b]);
        const float step = f16_to_f32(super->d[row]) * float(scale[b]);
        const float lowest = f16_to_f32(super->dmin[row]) * float(minimum[b]);
        for (size_t i = 0; i < kBlockCols; i++) {
            blocks[b].q[row][i] = int16_t(nearest(w[b * kBlockCols + i] + lowest, step, 0, top));
        }
    }
    return true;
}

// w = d * (scale * (q - 32)): the extreme weight of 16 gets the 32 steps that only one sign has.
bool quantize_q6k(const float* w, BlockSource (&blocks)[kSuperBlocks], SuperScales* super,
                  size_t row) {
    float scales[kSubBlocks];
    for (size_t sub = 0; sub < kSubBlocks; sub++) {
        float extreme = 0;
        for (size_t i = 0; i < 16; i++) {
            const float weight = w[sub * 16 + i];
            if (std::fabs(weight) > std::fabs(extreme)) extreme = weight;
        }
        scales[sub] = extreme / -32;
    }
    int scale[kSubBlocks];
    if (!share_scale(scales, kSubBlocks, 127, &super->d[row], scale)) return false;
    for (size_t sub = 0; sub < kSubBlocks; sub++) {
        BlockSource& block = blocks[sub / 2];
        block.small[sub % 2][row] = int16_t(scale[sub]);
        const float step = f16_to_f32(super->d[row]) * float(scale[sub]);
        for (size_t i = 0; i < 16; i++) {
            block.q[row][sub % 2 * 16 + i] = int16_t(32 + nearest(w[sub * 16 + i], step, -32, 31));
        }
    }
    return true;
}

}  // namespace

bool quantize_256(StoredType type, const float* weights, BlockSource (&blocks)[kSuperBlocks],
                  SuperScales* super, size_t row) {
    if (type == StoredType::q6k) return quantize_q6k(weights, blocks, super, row);
    return quantize_with_minimum(weights, type == StoredType::q4k ? 15 : 31, blocks, super, row);
}

}  // namespace axiom::packer
