// SPDX-License-Identifier: MIT
// One run, from options to record: tokenizer, chat template, memory plan, prefill, decode,
// telemetry. The EFI image and axiom-host call it with a Machine; everything they differ in is in
// there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "model/run/run.h"

namespace axiom {

// What the run needs that `options` ask for: generate(), perplexity(), or bench() of model/run/bench.h.
// `n_text_bytes`: of the text that perplexity() will be given.
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
// machine.write. The record's spans view into slab memory.
Status generate(const Machine& machine, const Weights& weights, const Options& options,
                Record* record);

// Perplexity of a text as llama.cpp's llama-perplexity computes it: chunks of options.n_ctx
// (default 512) tokens, each from an empty cache with BOS first where the model wants it, scoring
// positions n_ctx/2 .. n_ctx-2 of each chunk. Writes progress and the result through machine.write.
Status perplexity(const Machine& machine, const Weights& weights, const Options& options,
                  std::string_view text, Record* record, double* out);

}  // namespace axiom
