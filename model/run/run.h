// SPDX-License-Identifier: MIT
// What every kind of run starts from: the machine it is given, its kernel set, its memory, the
// facts and slab marks in its record. generate.cpp and bench.cpp build on it.
// Must not know: tokens, texts or tests.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "core/cpu_features.h"
#include "core/kernels.h"
#include "core/layer_loop.h"
#include "core/slab.h"
#include "core/status.h"
#include "core/team.h"
#include "model/report/options.h"
#include "model/report/record.h"
#include "model/engine/state.h"
#include "model/weights/weights.h"

namespace axiom {

// What the engine is given by whoever runs it. Everything outlives the run.
struct Machine {
    Clock clock;
    CpuFeatures features;
    Team* team = nullptr;
    LayerLoop* loop = nullptr;                       // with the platform's tasks added
    Slab* slab = nullptr;                            // initialised; the run creates its classes
    const std::atomic<bool>* interrupted = nullptr;  // set by a task: Ctrl-C

    // Text to the person, in order. May be called inside the loop of tokens (never inside a layer)
    // and must not wait there; what does not fit is kept or waited for outside of layers only.
    TextSink write = nullptr;
    void* write_context = nullptr;

    // Optional: every logits vector the hash covers, as it is hashed (axiom-host --logits).
    void (*on_logits)(void* context, std::span<const float> logits) = nullptr;
    void* on_logits_context = nullptr;

    uint64_t entry_ticks = 0;  // where phase_first_token_ns counts from
};

// Bytes the slab must hold. `least` lets the run start: the context that -c asks for, or without it
// the shortest that takes the prompt and -n. `wanted` holds the default context: the model's, at
// most kDefaultContext. With more than `least` and less than `wanted` the context is what fits.
struct MemoryNeed {
    uint64_t least = 0;
    uint64_t wanted = 0;
};
inline constexpr uint32_t kDefaultContext = 4096;

// -c is no longer than the model was trained for.
Status check_context(const Weights& weights, const Options& options);

// The kernel set --isa names, if these features allow it.
Result<const Kernels*> forced_kernels(const Options& options, const CpuFeatures& features);

// What the forward pass works in for a context of n_ctx; `all_logits`: of every position.
StateShape state_shape(const Weights& weights, const Options& options, size_t n_workers,
                       size_t n_ctx, bool all_logits);

// Texts and tables that a record views; they live in the slab.
struct RecordStorage {
    char model_type[96];
    char model_name[sizeof format::Config::name + 1];
    char checksum[20];
    SlabMark slabs[Slab::kMaxClasses];
    TaskCost tasks[LayerLoop::kMaxTasks];
};

// A dot a second while many passes run, once that has taken two seconds: under emulation a long
// prompt takes minutes, and silence looks like a hang.
struct PassProgress {
    const Machine* machine = nullptr;
    std::string_view what;  // written before the first dot
    uint64_t next_ticks = 0;
    bool enabled = false;
    bool shown = false;

    static void poll(void* context, uint64_t now);
    void begin(const Machine* m, std::string_view text);
    void end();
};

class RunBase {
  public:
    ~RunBase() { m_.loop->remove(&progress_); }
    RunBase(const RunBase&) = delete;
    RunBase& operator=(const RunBase&) = delete;

    // Telemetry that exists however far the run got.
    void finish_record();

    // Slab bytes that begin() takes: the record and the kernel trial.
    static constexpr uint64_t kBytes = kSelectScratchBytes + 64 * 1024;

  protected:
    RunBase(const Machine& machine, const Weights& weights, const Options& options, Record* record)
        : m_(machine), w_(weights), o_(options), r_(record) {}

    // The record's facts, the kernel set, Ctrl-C and progress.
    Status begin();
    // A state for a context of n_ctx, with the record's facts of it.
    Status create_state(size_t n_ctx, bool all_logits);

    // One object from the slab for the whole run.
    template <class T>
    Status take(std::string_view name, size_t count, std::span<T>* out) {
        Result<Slab::ClassId> id =
            m_.slab->create_class(name, std::max<size_t>(count, 1) * sizeof(T), 1);
        if (!id.ok()) return id.status();
        *out = {static_cast<T*>(m_.slab->allocate(id.value())), count};
        return {};
    }
    void write(std::string_view text) const { m_.write(m_.write_context, text); }
    std::span<const float> logits_row(size_t row) const {
        return {state_.logits[row], w_.config.n_vocab};
    }

    const Machine& m_;
    const Weights& w_;
    const Options& o_;
    Record* r_;

    const Kernels* kernels_ = nullptr;
    State state_;
    PassProgress progress_;

  private:
    Status choose_kernels();
    void describe();

    std::span<RecordStorage> storage_;
};

}  // namespace axiom
