// SPDX-License-Identifier: MIT
#include "core/kernels/balance.h"

#include "core/kernels/trial.h"

namespace axiom {
namespace {

struct Balance {
    const Kernels& kernels;
    const void* weights;
    QuantizedActs acts;
    uint64_t best[Team::kMaxWorkers];
};

// All workers at once, as they will work. The best of many short trials is the one undisturbed.
void time_worker(const Worker& worker, void* context) {
    Balance& b = *static_cast<Balance*>(context);
    alignas(64) float y[trial::kRows];
    b.best[worker.rank] =
        trial::best_time(b.kernels, StoredType::q4, b.weights, b.acts, 1, y, 3 * trial::kTicks);
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
    trial::fill_weights(scratch);
    Balance b{kernels, scratch, trial::quantize_acts(kernels, scratch, 1), {}};
    team.run(time_worker, &b);
    uint32_t speeds[Team::kMaxWorkers];
    const double ratio = speeds_from_times({b.best, team.size()}, {speeds, team.size()});
    team.set_speeds({speeds, team.size()});
    return ratio;
}

}  // namespace axiom
