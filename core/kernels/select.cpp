// SPDX-License-Identifier: MIT
// Which kernel set to use: those the CPU may run, the fastest of them by trial.
#include <iterator>
#include <string_view>

#include "core/kernels/trial.h"
#include "core/status.h"

namespace axiom {
namespace {

constexpr size_t kNSets = 5;
constexpr StoredType kTrialTypes[] = {StoredType::q4, StoredType::q4m, StoredType::q8};

// One token (decode) and sixteen (prefill); a token of either kind counts the same.
uint64_t time_set(const Kernels& kernels, void* scratch) {
    float* const y = reinterpret_cast<float*>(static_cast<uint8_t*>(scratch) + trial::kResultsAt);
    uint64_t total = 0;
    for (const size_t n_tokens : {size_t{1}, trial::kMostTokens}) {
        const QuantizedActs acts = trial::quantize_acts(kernels, scratch, n_tokens);
        for (const StoredType type : kTrialTypes) {
            const uint64_t best = trial::best_time(kernels, type, scratch, acts, n_tokens, y,
                                                   trial::kTicks / std::size(kTrialTypes));
            total += best * (trial::kMostTokens / n_tokens);
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
    trial::fill_weights(scratch);
    const Kernels* fastest = nullptr;
    uint64_t fastest_ticks = 0;
    const std::span<const KernelSet> sets = kernel_sets(features);
    for (size_t i = 0; i < sets.size(); i++) {
        const uint64_t best = sets[i].usable ? time_set(*sets[i].kernels, scratch) : 0;
        if (i < ticks.size()) ticks[i] = best;
        if (!sets[i].usable || (fastest != nullptr && best >= fastest_ticks)) continue;
        fastest = sets[i].kernels;
        fastest_ticks = best;
    }
    return fastest;
}

}  // namespace axiom
