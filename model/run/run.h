// SPDX-License-Identifier: MIT
// What every kind of run starts from: the machine it is given, its kernel set, its memory and the
// engine in it, the facts and slab marks in its record. generate, perplexity and bench build on it.
// Must not know: tokens, texts or tests.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "core/counters.h"
#include "core/cpu_features.h"
#include "core/disk_reader.h"
#include "core/disturbance.h"
#include "core/kernels.h"
#include "core/kernels/choose.h"
#include "core/layer_loop.h"
#include "core/slab.h"
#include "core/status.h"
#include "core/team.h"
#include "model/engine/transformer.h"
#include "model/report/options.h"
#include "model/report/record.h"
#include "model/run/memory_plan.h"
#include "model/run/pass_size.h"
#include "model/run/pass_stats.h"
#include "model/weights/weight_source.h"
#include "model/weights/weights.h"

namespace axiom {

// What the engine is given by whoever runs it. Everything outlives the run.
struct Machine {
    Clock clock;
    CpuFeatures features;
    Team* team = nullptr;
    LayerLoop* loop = nullptr;       // with the platform's tasks added
    Slab* slab = nullptr;            // initialised; the run creates its classes
    DiskReader* disk = nullptr;      // of the packed file, where its layers are not in memory
    WeightSource* source = nullptr;  // of the layers in their place: tests
    // Set by a task: Ctrl-C. A conversation, which goes on after it, takes it back.
    std::atomic<bool>* interrupted = nullptr;

    // Text to the person, in order. May be called inside the loop of tokens (never inside a layer)
    // and must not wait there; what does not fit is kept or waited for outside of layers only.
    TextSink write = nullptr;
    void* write_context = nullptr;

    // Optional: lines about how a long run goes on, for a person only.
    TextSink note = nullptr;
    void* note_context = nullptr;
    // To `note`, or with the text where there is none.
    void remark(std::string_view text) const {
        note != nullptr ? note(note_context, text) : write(write_context, text);
    }

    // Optional: every logits vector the hash covers, as it is hashed (axiom-host --logits).
    void (*on_logits)(void* context, std::span<const float> logits) = nullptr;
    void* on_logits_context = nullptr;

    // Optional: where --trace goes, once a run or a test is over.
    TextSink trace = nullptr;
    void* trace_context = nullptr;
    CounterSource* counters = nullptr;  // optional
    TickSource* ticks = nullptr;        // where there is none, --disturb has no tick

    uint64_t entry_ticks = 0;      // where phase_first_token_ns counts from
    BootPhases* phases = nullptr;  // optional: goes on to the first token
};

// The kernel set --isa names, if these features allow it.
Result<const Kernels*> forced_kernels(const Options& options, const CpuFeatures& features);

// How much of many passes has been run, as a bar of dots and percentages that grows at its end, or a dot a
// second where nobody knows how many there will be, once they have taken two seconds: under emulation a long
// prompt takes minutes, and silence looks like a hang.
struct PassProgress {
    const Machine* machine = nullptr;
    std::string_view what;  // written before the bar
    uint64_t begin_ticks = 0;
    uint64_t n_layers = 0, n_layers_done = 0;
    uint64_t n_shown = 0;  // marks of the bar
    bool enabled = false;

    static void poll(void* context, uint64_t now);
    // So many layers, or of whatever else begin() was told the number.
    void show(uint64_t n_done, uint64_t now);
    // all_layers: of all the passes; 0: not known.
    void begin(const Machine* m, std::string_view text, uint64_t all_layers = 0);
    void end();
};

class RunBase {
  public:
    ~RunBase();
    RunBase(const RunBase&) = delete;
    RunBase& operator=(const RunBase&) = delete;

    // What the record says of any run, however far it got.
    void close(const Status& outcome);

  protected:
    RunBase(const Machine& machine, const Weights& weights, const Options& options, Record* record)
        : m_(machine), w_(weights), o_(options), r_(record), rows_near_(record->rows_near) {}

    // The record's facts, Ctrl-C and progress.
    Status begin();
    // The memory, the weights that are read into it, the kernel set that suits them, and the engine,
    // with the record's facts of them.
    Status create(RunNeed need);

    // From here on n of the workers compute, with the kernels that suit so many.
    Status use_workers(size_t n);

    // The record of how layers went from here on, to where it is filled.
    void begin_layers() {
        if (memory_.streamed.is_started()) memory_.streamed.count_anew();
    }
    void fill_layers(const PassStats& stats);
    // The statistics of passes, in the memory that was created for them, traced if asked for.
    PassStats pass_stats() const {
        return {memory_.pass_times, w_.config.n_layer, m_.clock,
                PassTrace(memory_.trace, w_.config.n_layer)};
    }
    // Nothing unless --trace asks for it.
    void print_trace(const PassStats& stats) const {
        if (m_.trace != nullptr && stats.trace().is_wanted())
            stats.trace().print(*r_, m_.clock, m_.trace, m_.trace_context);
    }
    // Whatever has passed since the last phase ended was this one's.
    void end_phase(Phase phase) const {
        if (m_.phases != nullptr) m_.phases->end(phase);
    }
    // What the start took is known: nothing after its last phase counts. It ends with the first token,
    // where a run has one.
    void first_token(Phase phase, uint64_t now);
    void end_start(Phase phase, uint64_t now);

    RunRequest request(uint64_t n_text_bytes) const {
        return {w_, o_, m_.team->n_started(), n_text_bytes};
    }
    void write(std::string_view text) const { m_.write(m_.write_context, text); }
    Transformer& transformer() { return *transformer_; }
    // How many tokens of prompts a pass takes.
    PassSize& pass_size() { return pass_size_; }

    const Machine& m_;
    const Weights& w_;
    const Options& o_;
    Record* r_;
    const double rows_near_;  // with all workers

    RunMemory memory_;
    PassProgress progress_;

  private:
    WeightSource& layers();
    Status choose_kernels();
    // Weights are streamed, and nobody said how many tokens a pass takes.
    bool finds_pass_size() const { return o_.n_batch == 0 && r_->n_streamed_layers != 0; }
    PassSize size_of_passes(const EngineShape& shape);
    Status start_streaming(const RunNeed& need);
    void describe();
    Status prepare_ticks();
    uint64_t n_ticks() const;

    bool has_ticks_ = false;
    uint64_t n_ticks_told_ = 0;  // of tests that are over
    Counters counters_told_;
    KernelChoice choice_;
    ResidentWeights resident_;
    std::optional<Transformer> transformer_;
    PassSize pass_size_;
};

}  // namespace axiom
