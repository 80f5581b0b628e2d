// SPDX-License-Identifier: MIT
// How much memory a run takes, and for what: one list, which is summed before a run, tried against
// the memory there is, and created. Every kind of run says how many of each it needs.
// Must not know: what a run does with its memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/disturbance.h"
#include "core/layer_loop.h"
#include "core/slab_plan.h"
#include "core/status.h"
#include "model/engine/engine_shape.h"
#include "model/engine/kv_pool.h"
#include "model/engine/sampler.h"
#include "model/engine/workspace.h"
#include "model/format/format.h"
#include "model/report/options.h"
#include "model/report/record.h"
#include "model/text/chat.h"
#include "model/text/tokenizer.h"
#include "model/weights/weight_pool.h"
#include "model/weights/weights.h"

namespace axiom {

// Bytes the slab must hold. `least` lets the run start: the context that -c asks for, or without it
// the shortest that takes the prompt and -n. `wanted` holds the default context: the model's, at
// most kDefaultContext. With more than `least` and less than `wanted` the context is what fits.
struct MemoryNeed {
    uint64_t least = 0;
    uint64_t wanted = 0;
};
inline constexpr uint32_t kDefaultContext = 4096;

// Texts and tables that a record views.
struct RecordStorage {
    char model_type[96];
    char model_name[sizeof format::Config::name + 1];
    char checksum[20];
    char root[64];
    SlabMark slabs[Slab::kMaxClasses];
    TaskCost tasks[LayerLoop::kMaxTasks];
};

// What a run needs, by number; 0: none of it.
struct RunNeed {
    EngineShape engine;
    uint64_t n_prompt_tokens = 0;   // room for those of a text
    uint64_t n_encoder_bytes = 0;   // Tokenizer::encode()'s scratch
    uint64_t n_history_tokens = 0;  // of a session
    uint64_t n_candidates = 0;      // of the sampler
    uint64_t n_passes = 0;          // whose times are told apart
    uint64_t n_traced_passes = 0;   // of --trace
    uint64_t n_samples = 0;         // tokens whose times are kept
    uint64_t n_draft_entries = 0;   // of Drafts' table
    uint64_t n_repetitions = 0;     // of a test
    uint64_t n_slot_bytes = 0;      // of Scheduler's slots
    uint64_t n_chat_bytes = 0;      // texts of a conversation
    uint64_t n_chat_messages = 0;
    uint64_t n_chat_turns = 0;  // whose costs are kept
    PoolShape streamed;         // where layers are not in memory
    // Rows that a pass over streamed weights may have, as memory holds; 0: engine.n_batch.
    uint64_t n_streamed_batch = 0;
};

// What a run has. It stays where it is from plan() on.
struct RunMemory {
    // Before anything else is known of the run: its record, and room to try kernels in.
    std::span<RecordStorage> record;
    std::span<uint8_t> trial;
    std::span<Tick> ticks;       // of --disturb, a worker each
    std::span<uint8_t> evicted;  // what they walk, in equal parts
    // The rest.
    KvPool pool;
    Workspace workspace;
    std::span<LayerWeights> layers;    // of ResidentWeights
    WeightPool streamed;               // in their place where layers are not in memory
    std::span<LayerCost> layer_costs;  // and what each of them cost
    std::span<TokenId> prompt, history;
    std::span<uint8_t> encoder;
    std::span<Sampler::Candidate> candidates;
    std::span<uint64_t> pass_times;  // of PassStats
    std::span<uint64_t> trace;       // of PassTrace
    std::span<uint64_t> samples;     // of tokens
    std::span<uint32_t> drafts;
    std::span<uint64_t> repetitions;
    std::span<uint8_t> slots;
    std::span<char> chat_text;
    std::span<ChatMessage> chat_messages;
    std::span<Tokenizer::Segment> chat_segments;
    std::span<TurnCost> chat_turns;

    void plan_first(const Weights& weights, const Options& options, size_t n_workers,
                    SlabPlan& plan);
    void plan_rest(const Weights& weights, const RunNeed& need, SlabPlan& plan);
};

// Who asks: the kinds of run differ in what they need for a context of n_ctx.
struct RunRequest {
    const Weights& weights;
    const Options& options;
    size_t n_workers = 1;
    uint64_t n_text_bytes = 0;  // of the text to be encoded, at most
    // Of many sequences: how many at a time, and the positions they share (EngineShape::n_positions).
    uint64_t n_slots = 1, n_positions = 0;
};
using NeedOf = RunNeed (*)(const RunRequest& request, uint64_t n_ctx);

// The slab's bytes for contexts of these lengths.
Result<MemoryNeed> memory_between(const RunRequest& request, NeedOf need_of, uint64_t least_ctx,
                                  uint64_t wanted_ctx);
// After plan_first() has been created: n_ctx, or if `less_will_do` the longest context that the
// slab holds. no_memory says what would.
Result<uint64_t> fitting_context(const RunRequest& request, NeedOf need_of, const Slab& slab,
                                 uint64_t n_ctx, bool less_will_do);

// The largest n of [low, high] for which fits(n), which is true of `low` and false above some n.
template <class F>
uint64_t largest_that(uint64_t low, uint64_t high, F fits) {
    while (low < high) {
        const uint64_t middle = low + (high - low + 1) / 2;
        if (fits(middle)) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}
// Whether the slab, after plan_first() has been created, has room for this; of streamed layers for
// the least.
bool fits(const RunRequest& request, const RunNeed& need, const Slab& slab);

// The most of a streamed model that may stay, by --resident-mib, and that the slab also holds.
PoolShape most_resident(const Weights& weights, const Options& options);
PoolShape fitting_residency(const RunRequest& request, RunNeed need, const Slab& slab);

// The rows of a pass over streamed weights that the slab holds without giving up much for them.
size_t fitting_batch(const RunRequest& request, RunNeed need, const Slab& slab);

// -b, or what it is without, for weights in memory.
size_t default_batch(const Options& options);
// -b, or the most that is chosen without it, for contexts of n_ctx: RunNeed::n_streamed_batch.
size_t most_batch(const RunRequest& request, uint64_t n_ctx);
// -c, or the model's context, at most kDefaultContext.
uint64_t default_context(const Weights& weights, const Options& options);
// -c is no longer than the model was trained for, and -ctk and -ctv are one type.
Status check_shape(const Weights& weights, const Options& options);
// Passes that --trace keeps of so many; none without it.
uint64_t traced_passes(const Options& options, uint64_t n_passes);
// scatter of --disturb is of weights that are in memory.
Status check_disturb(const Weights& weights, const Options& options);
// What the forward pass works in for one sequence of n_ctx.
EngineShape engine_shape(const RunRequest& request, uint64_t n_ctx);

}  // namespace axiom
