// SPDX-License-Identifier: MIT
#include "core/kernels/choose.h"

#include "core/clock.h"
#include "core/kernels/balance.h"
#include "core/status.h"

namespace axiom {
namespace {

constexpr size_t kFewTokens = QuantizedActs::kTileWidth;
constexpr size_t kMaxSets = 8;
// Both ways of reading for a few tokens, see Reading::n_tokens, and how many they are tried with: in the
// middle of those that the answer is for.
constexpr uint32_t kTokensRead[] = {Reading::kMostTokens, 1};
constexpr size_t kTokensTried = 3;
// The first, which is the faster one wherever it was measured, is given up for more than noise only.
constexpr double kClearly = 1.05;
// The best of so many trials counts: whatever else the machine does makes one slower, never faster.
constexpr int kRounds = 2;

constexpr Reading kReadings[] = {{4, 2048}, {1, 8192}, {1, 0},    {2, 2048}, {4, 0},
                                 {2, 0},    {1, 2048}, {2, 8192}, {4, 8192}};

// Rows of one product: as many groups as are ever read side by side; with several tokens one group
// is work enough.
constexpr size_t unit_groups(size_t n_tokens) {
    return n_tokens <= Reading::kMostTokens ? 4 : 1;
}
constexpr size_t kResultFloats = kFewTokens * kGroupRows;
static_assert(kResultFloats >= Reading::kMostTokens * 4 * kGroupRows);

// What one worker has of a trial, on lines of its own. It goes on through the weights where the last
// trial stopped, so that they come from memory as they do in a pass.
struct alignas(64) Walker {
    size_t i_matrix = 0, group = 0;
    double bytes_per_tick = 0;
};

struct Trials {
    Team& team;
    std::span<const TrialMatrix> matrices;
    Walker* walkers;  // [workers]
    float* results;   // [workers, kResultFloats]
    uint8_t* acts;    // of one token, then of kFewTokens
    size_t most_cols;

    const Kernels* kernels = nullptr;
    Reading reading{};
    size_t n_tokens = 1;
    uint64_t ticks = 0;

    QuantizedActs acts_of(size_t n_cols, size_t tokens) const {
        uint8_t* const begin = acts + (tokens == 1 ? 0 : quantized_acts_bytes(most_cols, 1));
        return quantized_acts_in(begin, round_up(n_cols, kBlockCols), tokens);
    }
    void prepare();
    size_t multiply(const Worker& worker);
    void run(const Worker& worker);
    // Bytes of weights a tick, of all workers together.
    double rate(const Kernels& set, const Reading& way, size_t tokens);
    const Kernels* fastest_set(std::span<const KernelSet> sets, const Reading& way);
    Reading fastest_reading(const Kernels& set);
    double token_cost(const Kernels& set, const Reading& way);
};

// Activations of the widest matrix; those of a narrower one begin the same.
void Trials::prepare() {
    for (const size_t tokens : {size_t{1}, kFewTokens}) {
        const QuantizedActs out = acts_of(most_cols, tokens);
        for (size_t b = 0; b < out.n_cols / kBlockCols; b++) {
            float x[kBlockCols];
            for (size_t i = 0; i < kBlockCols; i++) x[i] = trial_activation(b * kBlockCols + i);
            const QuantizedActs block{out.block(0, b), kBlockCols, out.width};
            for (size_t t = 0; t < tokens; t++)
                kScalarKernels.quantize(x, kBlockCols, block, t, 0, 1);
        }
    }
}

// The next product of this worker's share of the matrices; how many bytes it read, 0 if it has no share
// of any.
size_t Trials::multiply(const Worker& worker) {
    Walker& at = walkers[worker.rank];
    // Once around: the matrix it is in may be walked over, and come again.
    for (size_t n_tried = 0; n_tried <= matrices.size(); n_tried++) {
        const TrialMatrix& m = matrices[at.i_matrix];
        const auto [begin, end] = worker.split((m.n_rows + kGroupRows - 1) / kGroupRows);
        const size_t first = at.group < begin ? begin : at.group;
        if (first >= end) {
            at.i_matrix = (at.i_matrix + 1) % matrices.size();
            at.group = 0;
            continue;
        }
        const size_t left = end - first, most = unit_groups(n_tokens);
        const size_t n = left < most ? left : most;
        const QuantizedActs x = acts_of(m.n_cols, n_tokens);
        const size_t group_stride = group_bytes(m.type, x.n_cols / kBlockCols);
        matmul_for(*kernels, m.type, reading)(
            static_cast<const uint8_t*>(m.data) + first * group_stride, x, n_tokens,
            results + worker.rank * kResultFloats, n * kGroupRows, 0, n * kGroupRows);
        at.group = first + n;
        return n * group_stride;
    }
    return 0;
}

void Trials::run(const Worker& worker) {
    multiply(worker);  // what is new to a core (code, translations) is not the set's fault
    const uint64_t begin = ticks_now();
    size_t n_bytes = 0;
    uint64_t took = 0;
    do {
        const size_t n = multiply(worker);
        took = ticks_now() - begin;
        if (n == 0) break;
        n_bytes += n;
    } while (took < ticks);
    walkers[worker.rank].bytes_per_tick = double(n_bytes) / double(took == 0 ? 1 : took);
}

double Trials::rate(const Kernels& set, const Reading& way, size_t tokens) {
    kernels = &set;
    reading = way;
    n_tokens = tokens;
    team.run([](const Worker& worker, void* t) { static_cast<Trials*>(t)->run(worker); }, this);
    double sum = 0;
    for (size_t i = 0; i < team.size(); i++) sum += walkers[i].bytes_per_tick;
    return sum;
}

void keep_larger(double* most, double value) {
    if (value > *most) *most = value;
}

const Kernels* Trials::fastest_set(std::span<const KernelSet> sets, const Reading& way) {
    double one[kMaxSets] = {}, few[kMaxSets] = {};
    for (int round = 0; round < kRounds; round++) {
        for (size_t i = 0; i < sets.size(); i++) {
            if (!sets[i].usable) continue;
            keep_larger(&one[i], rate(*sets[i].kernels, way, 1));
            keep_larger(&few[i], rate(*sets[i].kernels, way, kFewTokens));
        }
    }
    return sets[fastest_of({one, sets.size()}, {few, sets.size()})].kernels;
}

Reading Trials::fastest_reading(const Kernels& set) {
    double best[std::size(kReadings)] = {};
    for (int round = 0; round < kRounds; round++) {
        for (size_t i = 0; i < std::size(kReadings); i++)
            keep_larger(&best[i], rate(set, kReadings[i], 1));
    }
    size_t fastest = 0;
    for (size_t i = 1; i < std::size(kReadings); i++)
        if (best[i] > best[fastest]) fastest = i;
    Reading way = kReadings[fastest];
    way.n_tokens = 1;
    if (!set.reads_few_alike) return way;
    double best_few[std::size(kTokensRead)] = {};
    for (int round = 0; round < kRounds; round++) {
        for (size_t i = 0; i < std::size(kTokensRead); i++) {
            way.n_tokens = kTokensRead[i];
            keep_larger(&best_few[i], rate(set, way, kTokensTried));
        }
    }
    way.n_tokens = kTokensRead[best_few[1] > best_few[0] * kClearly];
    return way;
}

double Trials::token_cost(const Kernels& set, const Reading& way) {
    double best = 0;
    for (int round = 0; round < kRounds; round++) keep_larger(&best, rate(set, way, kFewTokens));
    return best > 0 ? 1 / (best * double(kFewTokens)) : 0;
}

}  // namespace

size_t fastest_of(std::span<const double> one, std::span<const double> few) {
    double best_one = 0, best_few = 0;
    for (const double rate : one) keep_larger(&best_one, rate);
    for (const double rate : few) keep_larger(&best_few, rate);
    size_t fastest = 0;
    double least = 0;
    for (size_t i = 0; i < one.size(); i++) {
        if (one[i] <= 0 || few[i] <= 0) continue;
        const double cost = best_one / one[i] + best_few / few[i];
        if (least != 0 && cost >= least) continue;
        least = cost;
        fastest = i;
    }
    return fastest;
}

std::span<const Reading> readings() {
    return kReadings;
}

size_t choice_scratch_bytes(size_t most_cols, size_t n_workers) {
    const size_t padded = round_up(most_cols, kBlockCols);
    return n_workers * (sizeof(Walker) + kResultFloats * sizeof(float)) +
           quantized_acts_bytes(padded, 1) + quantized_acts_bytes(padded, kFewTokens);
}

KernelChoice choose_kernels(Team& team, std::span<const KernelSet> sets,
                            std::span<const TrialMatrix> matrices, const ChoiceGiven& given,
                            uint64_t ticks, void* scratch) {
    AXIOM_CHECK(sets.size() <= kMaxSets);
    KernelChoice choice{given.kernels, given.reading};
    const bool choose_set = given.kernels == nullptr, choose_reading = given.reading.n_streams == 0;
    if (choose_reading) choice.reading = kReadings[0];
    if (choose_set) choice.kernels = sets[0].kernels;
    if (matrices.empty() || (!choose_set && !choose_reading && !given.wants_token_cost))
        return choice;

    uint8_t* const memory = static_cast<uint8_t*>(scratch);
    Walker* const walkers = reinterpret_cast<Walker*>(memory);
    for (size_t i = 0; i < team.size(); i++) walkers[i] = {};
    float* const results = reinterpret_cast<float*>(walkers + team.size());
    Trials trials{.team = team,
                  .matrices = matrices,
                  .walkers = walkers,
                  .results = results,
                  .acts = reinterpret_cast<uint8_t*>(results + team.size() * kResultFloats),
                  .most_cols = 0};
    for (const TrialMatrix& m : matrices) {
        const size_t n_cols = round_up(m.n_cols, kBlockCols);
        trials.most_cols = n_cols > trials.most_cols ? n_cols : trials.most_cols;
    }
    trials.prepare();
    size_t n_usable = 0;
    for (const KernelSet& set : sets) n_usable += set.usable;
    const size_t n_trials =
        kRounds * ((choose_set ? 2 * n_usable : 0) +
                   (choose_reading ? std::size(kReadings) + std::size(kTokensRead) : 0) +
                   given.wants_token_cost);
    trials.ticks = ticks / n_trials;

    if (choose_set) choice.kernels = trials.fastest_set(sets, choice.reading);
    if (choose_reading) choice.reading = trials.fastest_reading(*choice.kernels);
    if (given.wants_token_cost)
        choice.token_ticks_a_byte = trials.token_cost(*choice.kernels, choice.reading);
    return choice;
}

}  // namespace axiom
