// SPDX-License-Identifier: MIT
// Which kernel set to use: those the CPU may run, the fastest of them by trial.
#include <cstring>
#include <string_view>

#include "core/clock.h"
#include "core/kernels.h"
#include "core/status.h"

namespace axiom {
namespace {

constexpr size_t kNSets = 5;

// The trial: matmuls of 64 rows x 1024 columns, by one token (decode) and by 16 (prefill).
constexpr size_t kTrialRows = 64;
constexpr size_t kTrialCols = 1024;
constexpr size_t kTrialTokens[] = {1, 16};
constexpr StoredType kTrialTypes[] = {StoredType::q4, StoredType::q4m, StoredType::q8};
// A trial lasts about a millisecond: long enough for the clock to settle that wide vectors lower,
// and for whatever else disturbs to pass. Its best repetition counts.
constexpr uint64_t kTrialTicks = 3000000;
constexpr int kLeastRepeats = 5;
constexpr size_t kTrialWeightBytes =
    kTrialRows / kGroupRows * group_bytes(StoredType::q8, kTrialCols / kBlockCols);
constexpr size_t kTrialActBytes = quantized_acts_bytes(kTrialCols, 16);
static_assert(kTrialWeightBytes + kTrialActBytes + 16 * kTrialRows * 4 <= kSelectScratchBytes);

uint64_t best_time(const Kernels& kernels, uint8_t* scratch) {
    float* const y = reinterpret_cast<float*>(scratch + kTrialWeightBytes + kTrialActBytes);
    float x[kTrialCols];
    for (size_t i = 0; i < kTrialCols; i++) x[i] = float(int(i * 37 % 101) - 50) * 0.02f;
    uint64_t total = 0;
    for (const size_t n_tokens : kTrialTokens) {
        const QuantizedActs acts =
            quantized_acts_in(scratch + kTrialWeightBytes, kTrialCols, n_tokens);
        for (size_t t = 0; t < n_tokens; t++)
            kernels.quantize(x, kTrialCols, acts, t, 0, kTrialCols / kBlockCols);
        for (const StoredType type : kTrialTypes) {
            uint64_t best = ~uint64_t{0};
            const uint64_t start = ticks_now();
            for (int i = 0; i < kLeastRepeats || ticks_now() - start < kTrialTicks / 3; i++) {
                const uint64_t begin = ticks_now();
                matmul_for(kernels, type)(scratch, acts, n_tokens, y, kTrialRows, 0, kTrialRows);
                const uint64_t took = ticks_now() - begin;
                best = took < best ? took : best;
            }
            total += best * (kTrialTokens[1] / n_tokens);  // a token of either kind counts the same
        }
    }
    return total;
}

}  // namespace

MatmulFn matmul_for(const Kernels& kernels, StoredType type) {
    const MatmulFn fn = kernels.matmul[uint32_t(type)];
    AXIOM_CHECK(fn != nullptr);
    return fn;
}

std::span<const KernelSet> kernel_sets(const CpuFeatures& features) {
    static constinit KernelSet sets[kNSets] = {{&kScalarKernels, true},
                                               {&kSseKernels, false},
                                               {&kAvx2Kernels, false},
                                               {&kAvxVnniKernels, false},
                                               {&kAvx512Kernels, false}};
    sets[1].usable = features.ssse3 && features.sse41;
    sets[2].usable = features.avx2;
    sets[3].usable = features.avx_vnni;
    sets[4].usable = features.avx512_vnni;
    return sets;
}

const Kernels* find_kernels(const char* name, size_t n_name, const CpuFeatures& features,
                            bool* usable) {
    for (const KernelSet& set : kernel_sets(features)) {
        if (std::string_view(set.kernels->name) != std::string_view(name, n_name)) continue;
        *usable = set.usable;
        return set.kernels;
    }
    return nullptr;
}

const Kernels* select_kernels(const CpuFeatures& features, void* scratch,
                              std::span<uint64_t> ticks) {
    // Zero weights would do for integer speed, but zero times anything is no trial for float units
    // under emulation: 0x3c bytes are the nibbles 12 and 3, the q8 value 60 and the f16 scale 1.06.
    memset(scratch, 0x3c, kTrialWeightBytes);

    const Kernels* fastest = nullptr;
    uint64_t fastest_ticks = 0;
    const std::span<const KernelSet> sets = kernel_sets(features);
    for (size_t i = 0; i < sets.size(); i++) {
        const uint64_t best =
            sets[i].usable ? best_time(*sets[i].kernels, static_cast<uint8_t*>(scratch)) : 0;
        if (i < ticks.size()) ticks[i] = best;
        if (!sets[i].usable || (fastest != nullptr && best >= fastest_ticks)) continue;
        fastest = sets[i].kernels;
        fastest_ticks = best;
    }
    return fastest;
}

namespace {

struct Balance {
    const Kernels& kernels;
    const uint8_t* weights;
    QuantizedActs acts;
    uint64_t best[Team::kMaxWorkers];
};

// All workers at once, as they will work. The best of many short trials is the one undisturbed.
void time_worker(const Worker& worker, void* context) {
    Balance& b = *static_cast<Balance*>(context);
    alignas(64) float y[kTrialRows];
    uint64_t best = ~uint64_t{0};
    const uint64_t start = ticks_now();
    for (int i = 0; i < kLeastRepeats || ticks_now() - start < 3 * kTrialTicks; i++) {
        const uint64_t begin = ticks_now();
        matmul_for(b.kernels, StoredType::q4)(b.weights, b.acts, 1, y, kTrialRows, 0, kTrialRows);
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
    uint8_t* const bytes = static_cast<uint8_t*>(scratch);
    memset(bytes, 0x3c, kTrialWeightBytes);
    Balance b{kernels, bytes, quantized_acts_in(bytes + kTrialWeightBytes, kTrialCols, 1), {}};
    float x[kTrialCols];
    for (size_t i = 0; i < kTrialCols; i++) x[i] = float(int(i * 37 % 101) - 50) * 0.02f;
    kernels.quantize(x, kTrialCols, b.acts, 0, 0, kTrialCols / kBlockCols);
    team.run(time_worker, &b);
    uint32_t speeds[Team::kMaxWorkers];
    const double ratio = speeds_from_times({b.best, team.size()}, {speeds, team.size()});
    team.set_speeds({speeds, team.size()});
    return ratio;
}

}  // namespace axiom
