// SPDX-License-Identifier: MIT
// What this machine can do at most, measured: sequential read bandwidth and 8-bit dot products,
// with a given number of threads.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/host_machine.h"
#include "bench/peak_loops.h"
#include "core/cpu_features.h"

namespace axiom::peak {

struct Dot {
    std::string instruction;
    size_t n_threads = 0;
    double best_gmac_per_s = 0, median_gmac_per_s = 0;  // 8-bit multiply-adds, all threads together
};

struct Read {
    std::string loop;  // the fastest of those tried: "avx512, 4 streams, prefetch 1024"
    size_t n_threads = 0;
    host::PageSize pages = host::PageSize::huge;
    uint64_t n_bytes = 0;       // of the buffer, read once a pass
    uint64_t n_huge_bytes = 0;  // of it, what Linux really put into 2 MiB pages
    double best_gb_per_s = 0, median_gb_per_s = 0;
};

// Every dot-product instruction that `features` allow.
std::vector<Dot> measure_dots(const CpuFeatures& features, size_t n_threads);

// Tries every loop (vector width, number of streams, prefetch distance) that `features` allow over
// a buffer of n_bytes, which must be larger than the caches, and times the fastest again.
Result<Read> measure_read(const CpuFeatures& features, size_t n_threads, host::PageSize pages,
                          uint64_t n_bytes);

const char* page_name(host::PageSize pages);  // "4k", "2m"

}  // namespace axiom::peak
