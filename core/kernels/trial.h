// SPDX-License-Identifier: MIT
// The small matmul by which cores are compared: 64 rows x 1024 columns, which the second-level cache
// holds.
#pragma once

#include <cstring>

#include "core/clock.h"
#include "core/kernels.h"
#include "core/kernels/balance.h"

namespace axiom::trial {

inline constexpr size_t kRows = 64;
inline constexpr size_t kCols = 1024;
inline constexpr size_t kMostTokens = 16;
// A trial lasts about a millisecond: long enough for the clock to settle that wide vectors lower,
// and for whatever else disturbs to pass. Its best repetition counts.
inline constexpr uint64_t kTicks = 3000000;
inline constexpr int kLeastRepeats = 5;

// What lies in the scratch, all of it 64-byte aligned: weights, activations, results.
inline constexpr size_t kActsAt =
    kRows / kGroupRows * group_bytes(StoredType::q8, kCols / kBlockCols);  // the largest type
inline constexpr size_t kResultsAt = kActsAt + quantized_acts_bytes(kCols, kMostTokens);
static_assert(kResultsAt + kMostTokens * kRows * sizeof(float) <= kBalanceScratchBytes);

// Zero weights would do for integer speed, but zero times anything is no trial for float units under
// emulation: 0x3c bytes are the nibbles 12 and 3, the q8 value 60 and the f16 scale 1.06.
inline void fill_weights(void* scratch) {
    memset(scratch, 0x3c, kActsAt);
}

inline QuantizedActs quantize_acts(const Kernels& kernels, void* scratch, size_t n_tokens) {
    const QuantizedActs acts =
        quantized_acts_in(static_cast<uint8_t*>(scratch) + kActsAt, kCols, n_tokens);
    float x[kCols];
    for (size_t i = 0; i < kCols; i++) x[i] = float(int(i * 37 % 101) - 50) * 0.02f;
    for (size_t t = 0; t < n_tokens; t++)
        kernels.quantize(x, kCols, acts, t, 0, kCols / kBlockCols);
    return acts;
}

// The best time of the matmul in `ticks` ticks; y: [n_tokens, kRows], 64-byte aligned.
inline uint64_t best_time(const Kernels& kernels, StoredType type, const void* weights,
                          const QuantizedActs& acts, size_t n_tokens, float* y, uint64_t ticks) {
    uint64_t best = ~uint64_t{0};
    const uint64_t start = ticks_now();
    for (int i = 0; i < kLeastRepeats || ticks_now() - start < ticks; i++) {
        const uint64_t begin = ticks_now();
        matmul_for(kernels, type)(weights, acts, n_tokens, y, kRows, 0, kRows);
        const uint64_t took = ticks_now() - begin;
        best = took < best ? took : best;
    }
    return best;
}

}  // namespace axiom::trial
