// SPDX-License-Identifier: MIT
// --perplexity: how well the model predicts a text.
// Must not know: sampling, prompts or templates.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/run/run.h"

namespace axiom {

Result<MemoryNeed> perplexity_memory(const Weights& weights, const Options& options,
                                     size_t n_workers, uint64_t n_text_bytes);

// Perplexity of a text as llama.cpp's llama-perplexity computes it: chunks of options.n_ctx
// (default 512) tokens, each from an empty cache with BOS first where the model wants it, scoring
// positions n_ctx/2 .. n_ctx-2 of each chunk. Writes progress and the result through machine.write.
Status perplexity(const Machine& machine, const Weights& weights, const Options& options,
                  std::string_view text, Record* record, double* out);

}  // namespace axiom
