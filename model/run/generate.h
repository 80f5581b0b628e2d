// SPDX-License-Identifier: MIT
// One prompt, from options to record: what it needs, whether it can run, and the run itself. The
// EFI image and axiom-host call it with a Machine; everything they differ in is in there.
#pragma once

#include <cstdint>
#include <span>

#include "model/run/run.h"

namespace axiom {

// What the run needs that `options` ask for: generate(), perplexity() of model/run/perplexity.h,
// bench() of model/run/bench.h, measure_noise() of model/run/noise.h, or serve() of
// model/run/serve.h. `n_text_bytes`: of the text that
// perplexity() will be given, or of the longest of --prompts.
Result<MemoryNeed> memory_needed(const Weights& weights, const Options& options, size_t n_workers,
                                 uint64_t n_text_bytes = 0);

// Everything about a run that can be found wrong before it starts: a kernel set these `features`
// (of the run, not of now) do not allow, context, tokenizer, chat template, a prompt that is empty
// or longer than the context. `scratch` is check_scratch_bytes() long, 64-byte aligned, and free
// again afterwards. For when there still is somebody to return to.
uint64_t check_scratch_bytes(const Weights& weights, const Options& options);
Status check_run(const Weights& weights, const Options& options, const CpuFeatures& features,
                 std::span<uint8_t> scratch);

// Runs one prompt. Fills `record` except what only the platform knows (backend, machine, load,
// boot phases, test_time, build_commit), also when it fails part-way. Streams text through
// machine.write. The record's spans view into slab memory. Stopped by a person: interrupted, with
// a record of what was done so far.
Status generate(const Machine& machine, const Weights& weights, const Options& options,
                Record* record);

}  // namespace axiom
