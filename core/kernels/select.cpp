// SPDX-License-Identifier: MIT
// The kernel sets there are, and which of them the CPU may run.
#include <string_view>

#include "core/kernels.h"
#include "core/status.h"

namespace axiom {
namespace {

constexpr size_t kNSets = 5;

}  // namespace

const char* kv_type_name(KvType type) {
    switch (type) {
        case KvType::f16:
            return "f16";
        case KvType::q8_0:
            return "q8_0";
    }
    AXIOM_PANIC("type of keys and values");
}

Matmul matmul_for(const Kernels& kernels, StoredType type, const Reading& reading) {
    const MatmulFn fn = kernels.matmul[uint32_t(type)];
    AXIOM_CHECK(fn != nullptr);
    return {fn, reading};
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

}  // namespace axiom
