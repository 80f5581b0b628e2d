// SPDX-License-Identifier: MIT
// Many prompts, answered side by side: requests come from a source at any time, share passes, and leave
// each with a line of JSON. What one is answered, and its logits hash, are what a run of it alone gives.
#pragma once

#include <cstdint>

#include "model/report/prompts.h"
#include "model/run/run.h"

namespace axiom {

// `n_text_bytes`: of the longest prompt.
Result<MemoryNeed> serve_memory(const Weights& weights, const Options& options, size_t n_workers,
                                uint64_t n_text_bytes);

// Answers all requests, each in a line through machine.write as soon as it is done, until there will
// be no more; while there is none the loop's tasks are polled. A request that cannot be answered gets
// a line that says why, and the others go on. `record` is filled as by generate(), with the totals.
// Stopped by a person: interrupted; requests that were under way are answered with what they have.
// `n_text_bytes`: of the longest text that a request brings with it.
Status serve(const Machine& machine, const Weights& weights, const Options& options,
             RequestSource& source, uint64_t n_text_bytes, Record* record);

}  // namespace axiom
