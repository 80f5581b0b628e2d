// SPDX-License-Identifier: MIT
#include "core/kernels/balance.h"

#include <cstring>

#include "core/clock.h"

namespace axiom {
namespace {

// One token times a small matrix, which the second-level cache holds.
constexpr StoredType kType = StoredType::q4;
constexpr size_t kRows = 64;
constexpr size_t kCols = 1024;
// A trial lasts some milliseconds: long enough for the clock to settle that wide vectors lower, and for
// whatever else disturbs to pass. Its best repetition counts.
constexpr uint64_t kTicks = 9000000;
constexpr int kLeastRepeats = 5;

// What lies in the scratch, all of it 64-byte aligned: weights, then activations.
constexpr size_t kActsAt = kRows / kGroupRows * group_bytes(kType, kCols / kBlockCols);
static_assert(kActsAt + quantized_acts_bytes(kCols, 1) <= kBalanceScratchBytes);

struct Balance {
    const Kernels& kernels;
    const void* weights;
    QuantizedActs acts;
    uint64_t best[Team::kMaxWorkers];
};

// Zero weights would do for integer speed, but zero times anything is no trial for float units under
// emulation: 0x3c bytes are the nibbles 12 and 3 and the f16 scale 1.06.
void fill_weights(void* scratch) {
    memset(scratch, 0x3c, kActsAt);
}

QuantizedActs quantize_acts(const Kernels& kernels, void* scratch) {
    const QuantizedActs acts =
        quantized_acts_in(static_cast<uint8_t*>(scratch) + kActsAt, kCols, 1);
    float x[kCols];
    for (size_t i = 0; i < kCols; i++) x[i] = trial_activation(i);
    kernels.quantize(x, kCols, acts, 0, 0, kCols / kBlockCols);
    return acts;
}

// All workers at once, as they will work. The best of many short trials is the one undisturbed.
void time_worker(const Worker& worker, void* context) {
    Balance& b = *static_cast<Balance*>(context);
    const Matmul multiply = matmul_for(b.kernels, kType);
    alignas(64) float y[kRows];
    uint64_t best = ~uint64_t{0};
    const uint64_t start = ticks_now();
    for (int i = 0; i < kLeastRepeats || ticks_now() - start < kTicks; i++) {
        const uint64_t begin = ticks_now();
        multiply(b.weights, b.acts, 1, y, kRows, 0, kRows);
        const uint64_t took = ticks_now() - begin;
        best = took < best ? took : best;
    }
    b.best[worker.rank] = best;
}

}  // namespace

double speeds_from_times(std::span<const uint64_t> ticks, std::span<uint32_t> speeds) {
    uint64_t fastest = ~uint64_t{0}, slowest = 1;
    for (const uint64_t t : ticks) {
        fastest = t < fastest ? t : fastest;
        slowest = t > slowest ? t : slowest;
    }
    fastest = fastest == 0 ? 1 : fastest;
    const double ratio = double(fastest) / double(slowest);
    for (size_t i = 0; i < ticks.size(); i++) {
        const double speed = 100.0 * double(fastest) / double(ticks[i] == 0 ? 1 : ticks[i]);
        speeds[i] = ratio >= kSameSpeed ? 1 : speed < 1 ? 1 : uint32_t(speed + 0.5);
    }
    return ratio;
}

double balance_team(Team& team, const Kernels& kernels, void* scratch) {
    if (team.size() == 1) return 1;
    fill_weights(scratch);
    Balance b{kernels, scratch, quantize_acts(kernels, scratch), {}};
    team.run(time_worker, &b);
    uint32_t speeds[Team::kMaxWorkers];
    const double ratio = speeds_from_times({b.best, team.size()}, {speeds, team.size()});
    team.set_speeds({speeds, team.size()});
    return ratio;
}

}  // namespace axiom
