// SPDX-License-Identifier: MIT
// What one core was kept from while it did nothing else: a JSON line for machines, a table for people.
// Must not know: how noise is measured.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/counters.h"
#include "core/histogram.h"
#include "core/status.h"
#include "model/report/json_writer.h"

namespace axiom {

// Of all cores alike.
struct NoiseFacts {
    Status outcome;
    std::string_view build_commit, backend, cpu_info, machine, test_time;  // as in Record
    uint64_t tsc_hz = 0;
    uint32_t n_threads = 0;   // cores that were measured at once
    double threshold_ns = 0;  // the shortest gap that counts
    uint64_t fwq_work = 0;    // steps of a quantum
};

struct CoreNoise {
    uint32_t core = 0;  // by the platform's numbering
    // Between two readings of the TSC, one right after the other.
    double gaps_duration_ns = 0;  // of the loop that looked
    double least_step_ns = 0;     // between two readings at best
    LogHistogram gaps;
    // Fixed work quanta: the same work again and again.
    double least_quantum_ns = 0;
    FineLogHistogram quanta;
    Counters counters;  // over all of it
};

// One line {"axiom":1,"kind":"noise",...}\n, of one core.
void print_json(const NoiseFacts& facts, const CoreNoise& core, TextSink write, void* context);
// All cores, fixed-width ASCII.
void print_table(const NoiseFacts& facts, std::span<const CoreNoise> cores, TextSink write,
                 void* context);

}  // namespace axiom
