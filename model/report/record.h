// SPDX-License-Identifier: MIT
// The benchmark record: what a run measured, as one JSON line for machines and one table for
// people. One field table gives names, units and order (a superset of llama-bench's JSON, DESIGN
// section 8). A value is printed only if it was measured: unset optionals are left out of the table
// and null in JSON.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>

#include "core/counters.h"
#include "core/histogram.h"
#include "core/slab.h"
#include "core/status.h"
#include "model/report/boot_phases.h"
#include "model/report/json_writer.h"

namespace axiom {

// Order statistics of times, in ns. What the number of samples does not support is not a number.
struct Percentiles {
    static constexpr double kUnsupported = std::numeric_limits<double>::quiet_NaN();
    uint64_t n = 0;
    double p50_ns = kUnsupported, p90_ns = kUnsupported, p99_ns = kUnsupported,
           p999_ns = kUnsupported;
    double max_ns = 0;
    const FineLogHistogram* histogram = nullptr;
};

struct SlabMark {
    std::string_view name;
    uint64_t object_bytes = 0, capacity = 0, high_water = 0;
};

// A layer of a model whose layers are streamed; means of the passes whose times are kept.
struct LayerCost {
    double compute_ns = 0, stall_ns = 0;
    double n_bytes = 0;   // read for it, a pass
    double gb_per_s = 0;  // at which they came; 0: none did
};

struct TaskCost {
    std::string_view name;
    uint64_t n_runs = 0;
    double total_ns = 0, max_ns = 0;
};

// Of a conversation: what one answer took.
struct TurnCost {
    uint32_t n_prompt = 0,
             n_reused = 0;  // tokens of the conversation so far: read, and not read again
    uint32_t n_gen = 0;
    double prefill_ns = 0, decode_ns = 0;
    std::string_view stop_reason;
};

// Of a machine whose memory is nearer to some processors than to others.
struct NodeShare {
    uint32_t domain = 0;  // as firmware numbers it
    uint32_t n_cpus = 0;
    uint64_t memory_bytes = 0, model_bytes = 0;  // of memory, of the model's place
};

struct Record {
    // what ran
    Status outcome;                // what status() and error() are derived from
    std::string_view stop_reason;  // why text ended: "length", "end_of_text", "stop_string",
                                   // "context_full"
    std::string_view build_commit;
    std::string_view backend;  // "uefi" or "linux"
    std::string_view cpu_info;
    std::string_view machine;  // "firmware vendor, revision" or the kernel's name
    std::string_view kernel_set;
    std::string_view kernel_choice;                                    // "timed" or "forced"
    uint32_t read_streams = 0, read_ahead_bytes = 0, read_tokens = 0;  // see Reading
    std::string_view read_choice;                                      // "timed" or "forced"
    double choice_ns = 0;                                              // what the timing took
    std::string_view test_time;  // ISO 8601 UTC, empty if the clock could not be read
    std::string_view model_filename;
    std::string_view model_name;
    std::string_view model_type;    // "llama 135M Q4_1"
    std::string_view axm_checksum;  // head checksum, hex
    std::string_view model_root;    // Merkle root, hex, where it vouched for the weights
    // uefi: "on", "off", "setup", "unknown"; the PCRs as they were when the run began, hex
    std::string_view secure_boot, tpm_options_pcr, tpm_model_pcr;
    uint64_t model_size = 0;  // bytes of tensors as stored
    uint64_t model_n_params = 0;
    uint32_t n_threads = 0, n_batch = 0, n_ctx = 0;
    std::string_view type_k, type_v;  // what keys and values are cached as
    uint32_t n_prompt = 0, n_gen = 0;
    // --chat: n_prompt and n_gen then are sums, n_prompt of tokens that were read
    uint32_t n_turns = 0;
    uint64_t n_reused = 0;                    // tokens of prompts that an earlier turn had read
    std::span<const TurnCost> turns;          // the first ones
    std::string_view draft;                   // as --draft takes it
    uint32_t n_drafted = 0, n_accepted = 0;   // of those generated after the first
    double tokens_per_pass = 0;               // of decoding
    uint32_t n_cpus = 0, n_cpus_started = 0;  // that firmware lists; that answered, with this one
    uint32_t n_siblings = 0;  // threads left out, since another one of their core computes
    std::span<const NodeShare> nodes;
    double rows_near =
        -1;  // part of the pages with rows that lie where these are read; below 0: not known
    double core_balance =
        0;  // slowest worker's speed over the fastest's; rows are shared so below kSameSpeed
    // The image's cores: clock over the nominal one with all of them busy, the mean before and after it was
    // raised and the slowest one's after
    std::string_view microcode;         // revision, hex
    std::string_view frequency_method;  // by which it was raised
    double frequency_before = 0, frequency_after = 0, frequency_slowest = 0;
    uint64_t tsc_hz = 0;
    std::string_view tsc_reference;  // what the counter was measured against
    uint64_t memory_bytes = 0;       // what the slab was given
    uint64_t huge_page_bytes = 0;    // linux: of weights and state, in 2 MiB pages after loading
    // prefill and decode apart; each the time of the whole of it
    double prefill_ns = 0, prefill_ts = 0;
    double decode_ns = 0, decode_ts = 0;  // n_gen - 1 passes (the first token comes from prefill)
    uint32_t n_decode = 0;
    std::span<const uint64_t> decode_samples_ns;  // one per decode pass
    double decode_stddev_ns = 0;
    double decode_gb_per_s = 0;    // weight bytes read per second
    double decode_mmac_per_s = 0;  // million multiply-adds per second
    Percentiles layer;             // of every layer of every pass: of decoding, of a test
    Percentiles boundary;
    Percentiles token;                           // each that was decoded
    Percentiles stall;                           // waiting for the weights of a layer
    double boundary_share = 0, stall_share = 0;  // of decode time, or of the test's
    // Streamed weights: of decode, of the test's last repetition, or of all passes.
    std::string_view stream;         // "on" or "off"
    uint32_t n_streamed_layers = 0;  // that do not stay
    uint64_t resident_bytes = 0;     // of the file, in memory for good
    uint64_t disk_bytes = 0;         // read
    double disk_gb_per_s = 0;        // over the whole time
    double disk_start_gb_per_s = 0;  // before the run, with nothing else to do
    double disk_share = 0;           // of that
    double disk_hidden = 0;          // of the time with reads under way, without waiting
    double disk_check_ns = 0;        // of all workers, for checksums
    uint64_t disk_retries = 0;
    uint32_t stream_m = 0;  // tokens of a pass that computes as long as its reading takes
    std::span<const LayerCost> layer_costs;
    double sample_ns = 0;  // sampler, per token
    std::span<const TaskCost> tasks;
    // --prompts (model/run/serve.h); n_prompt and n_gen then are sums
    uint32_t n_parallel = 0;  // slots; 0: no run of many sequences
    uint32_t n_prompts = 0;   // that came; each ended as one of:
    uint32_t n_ok = 0, n_failed = 0, n_cancelled = 0, n_interrupted = 0;
    uint64_t n_shared = 0;     // prompt tokens that another had read
    uint32_t n_preempted = 0;  // times a sequence had to be read again
    uint64_t n_passes = 0;
    uint64_t n_prompt_rows = 0, n_decode_rows = 0;  // of all passes
    double rows_per_pass = 0;
    double passes_ns = 0;      // all passes
    double serve_ts = 0;       // generated tokens a second, of the whole run
    uint32_t n_positions = 0;  // of keys and values, of all sequences
    // --bench (model/run/bench.h): one test, its repetitions
    std::string_view test;  // "pp128", "tg32", "tg32 @ d512", "tg32 x8 @ d512"
    uint32_t n_depth = 0, n_warmup = 0;
    uint32_t n_sequences = 0;    // side by side; n_prompt, n_gen and n_depth are of each
    uint32_t n_test_tokens = 0;  // of one repetition, all sequences together
    std::span<const uint64_t> test_samples_ns;  // one per repetition
    uint64_t weight_bytes_per_token = 0;        // what a pass of one token reads
    double gb_per_s = 0, gmac_per_s = 0;
    // boot phases, ns since power-on or program start; 0 = does not apply
    double phase_entry_ns = 0;  // firmware hand-off (TSC at efi_main)
    double phase_load_ns = 0;   // model read and verified (duration)
    uint64_t load_bytes = 0;
    double phase_exit_ns = 0;         // ExitBootServices done (since entry)
    double phase_first_token_ns = 0;  // since entry
    std::array<uint64_t, kNPhases>
        boot_phase_ns{};           // from power-on or program start to the first token
    std::string_view disturb;      // as --disturb was given
    uint64_t n_disturb_ticks = 0;  // of all workers, in this run or test
    bool has_disturb_ticks = false;
    Counters counters;  // of this run or test, of all cores
    std::span<const SlabMark> slabs;
    bool has_samples = true;   // samples are printed one by one, too
    uint64_t logits_hash = 0;  // XXH64 of every logits vector the sampler saw, in order; of a
                               // test: of the last repetition's last logits

    std::string_view status() const;  // "ok", "interrupted", "error"
    std::string_view error() const;   // the message of an error
};

// One line {"axiom":1,...}\n.
void print_json(const Record& record, TextSink write, void* context);
// The timing table, fixed-width ASCII.
void print_table(const Record& record, TextSink write, void* context);
// What of it fits on a screen beside the answer: facts, stages, and how the run ended.
void print_summary(const Record& record, TextSink write, void* context);
// The same for one test of --bench. Model, machine and kernels come first where the workers are not as
// many as in the test before; the first test (0 before) says too what the start took.
void print_test(const Record& record, uint32_t n_threads_before, TextSink write, void* context);

// The order statistics that the number of samples supports (least_samples()), by nearest rank, each at
// most one bin above the sample; the record that has them views the histogram.
Percentiles percentiles(const FineLogHistogram& times);

}  // namespace axiom
