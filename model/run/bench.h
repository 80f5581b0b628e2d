// SPDX-License-Identifier: MIT
// --bench: forward passes over fixed token ids, timed as llama-bench times them. Nothing is
// sampled, and nothing is hashed inside the timed part.
// Must not know: tokenizers, texts, or which platform prints the records.
#pragma once

#include <cstddef>

#include "model/run/run.h"

namespace axiom {

// Tests, llama-bench's meaning: "pp N" feeds one prompt of N tokens to an empty cache, n_batch
// tokens a pass, with the logits of the last one; "tg N" runs N passes of one token each, with
// logits, from a cache of n_depth tokens that were fed outside the timed part. With n_sequences a
// pass is of one token of each, and each has tokens and a cache of its own (what llama-batched-bench
// calls npl).
// Lists give every combination, number of workers by number of workers: "pp N" for each N, "tg N" for
// each number of sequences, depth and N. "pp" has neither depth nor more sequences. Workers beyond
// those there are do not count, and what would then be tested twice is left out.

// The context the tests need, or -c if that is longer; bad_option where -c or the model allow less.
Result<uint64_t> bench_context(const Weights& weights, const Options& options);

// Bytes the slab must hold; a bench has one context, so least and wanted are the same.
Result<MemoryNeed> bench_memory(const Weights& weights, const Options& options, size_t n_workers);

using RecordSink = void (*)(void* context, const Record& record);

// Runs every test of options.bench: warm-up repetitions, then the timed ones. `record` brings what
// only the platform knows; `done` gets it after each test, filled: test, n_prompt or n_gen,
// test_samples_ns of each repetition, token, layer and boundary times of all of them, what was
// streamed in the last one, logits_hash of its last logits (of every sequence, in order), and
//   gb_per_s    tg: Weights::bytes_per_token() (every layer and the output matrix, once; no
//               activations, no cache) over the mean time of a pass
//   gmac_per_s  multiply-adds with weights that one repetition needs, over its mean time; pp counts
//               the output matrix once, since one row of logits is computed
// Interrupted: `done` gets what was measured so far, and the code is interrupted. The record's
// spans view into slab memory.
Status bench(const Machine& machine, const Weights& weights, const Options& options, Record* record,
             RecordSink done, void* done_context);

}  // namespace axiom
