// SPDX-License-Identifier: MIT
// What keeps a core from its work: on every core of the team at once, first a loop that reads the TSC and
// looks for gaps (as Linux's osnoise tracer does), then the same piece of work again and again (fixed work
// quanta, FWQ). Must not know: what interrupts.
#pragma once

#include <cstdint>
#include <span>

#include "core/status.h"
#include "model/report/noise_record.h"
#include "model/report/options.h"
#include "model/run/run.h"

namespace axiom {

// Bytes the slab must hold.
uint64_t noise_memory(size_t n_workers);

// Runs for options.noise_seconds, half of it each. `facts` brings what only the platform knows and is
// filled in; the cores are in slab memory. Between slices of kSliceSeconds, which are not measured,
// worker 0 polls the machine's tasks; Ctrl-C then ends it with what was measured, as interrupted.
inline constexpr double kSliceSeconds = 0.05;
Result<std::span<const CoreNoise>> measure_noise(const Machine& machine, const Options& options,
                                                 NoiseFacts* facts);

}  // namespace axiom
