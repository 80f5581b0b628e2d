// SPDX-License-Identifier: MIT
#include "model/run/memory_plan.h"

#include <algorithm>

#include "core/kernels/balance.h"
#include "core/kernels/choose.h"
#include "model/run/pass_stats.h"

namespace axiom {

void RunMemory::plan_first(const Weights& weights, const Options& options, size_t n_workers,
                           SlabPlan& plan) {
    size_t most_cols = 0;
    for (const format::TensorEntry& e : weights.entries)
        if (is_quantized(e.type)) most_cols = std::max<size_t>(most_cols, e.n_cols);
    plan.add_array("record", 1, &record);
    plan.add_array("select",
                   std::max(kBalanceScratchBytes, choice_scratch_bytes(most_cols, n_workers)),
                   &trial);
    if (options.disturb.tick_hz == 0) return;
    plan.add_array("ticks", n_workers, &ticks);
    plan.add_array("evicted", n_workers * (uint64_t{options.disturb.evict_kib} << 10), &evicted);
}

void RunMemory::plan_rest(const Weights& weights, const RunNeed& need, SlabPlan& plan) {
    const ModelConfig& config = weights.config;
    if (weights.has_layers()) {
        plan.add_array("layers", config.n_layer, &layers);
    } else {
        streamed.plan(weights, need.streamed, plan);
        plan.add_array("layer costs", config.n_layer, &layer_costs);
    }
    plan.add_array("tokens", need.n_prompt_tokens, &prompt);
    plan.add_array("history", need.n_history_tokens, &history);
    plan.add_array("tokenizer", need.n_encoder_bytes, &encoder);
    plan.add_array("candidates", need.n_candidates, &candidates);
    plan.add_array("pass times", PassStats::n_words(need.n_passes, config.n_layer), &pass_times);
    plan.add_array("trace", PassTrace::n_words(need.n_traced_passes, config.n_layer), &trace);
    plan.add_array("token times", need.n_samples, &samples);
    plan.add_array("drafts", need.n_draft_entries, &drafts);
    plan.add_array("repetitions", need.n_repetitions, &repetitions);
    plan.add_array("slots", need.n_slot_bytes, &slots);
    plan.add_array("chat text", need.n_chat_bytes, &chat_text);
    plan.add_array("chat messages", need.n_chat_messages, &chat_messages);
    if (need.n_chat_messages != 0) {
        plan.add_array("chat segments", ChatText::max_segments(size_t(need.n_chat_messages)),
                       &chat_segments);
    }
    plan.add_array("chat turns", need.n_chat_turns, &chat_turns);
    workspace.plan(config, need.engine, plan);
    pool.plan(config, need.engine, plan);
}

namespace {

// Of memory, that more rows of a pass may take from layers that could stay.
constexpr uint64_t kBatchPart = 16;

RunNeed with(RunNeed need, const PoolShape& streamed) {
    need.streamed = streamed;
    return need;
}

PoolShape least_resident(const Weights& weights) {
    return PoolShape::at(weights.config, 0);
}

// Bytes of everything; false if they are too many to count.
bool memory_of(const RunRequest& request, const RunNeed& need, uint64_t* bytes) {
    RunMemory memory;
    SlabPlan plan;
    memory.plan_first(request.weights, request.options, request.n_workers, plan);
    memory.plan_rest(request.weights, need, plan);
    return plan.sum(bytes);
}

}  // namespace

Result<MemoryNeed> memory_between(const RunRequest& request, NeedOf need_of, uint64_t least_ctx,
                                  uint64_t wanted_ctx) {
    MemoryNeed need;
    const Weights& w = request.weights;
    const RunNeed least = with(need_of(request, least_ctx), least_resident(w));
    RunNeed wanted = with(need_of(request, wanted_ctx), most_resident(w, request.options));
    if (!w.has_layers() && wanted.n_streamed_batch > wanted.engine.n_batch)
        wanted.engine.n_batch = size_t(wanted.n_streamed_batch);
    if (memory_of(request, least, &need.least) && memory_of(request, wanted, &need.wanted)) {
        return need;
    }
    return error(Code::no_memory, request.weights.file, ": a context of ", wanted_ctx,
                 " positions needs more than 2^62 bytes");
}

bool fits(const RunRequest& request, const RunNeed& need, const Slab& slab) {
    RunMemory memory;
    SlabPlan plan;
    memory.plan_rest(request.weights, with(need, least_resident(request.weights)), plan);
    return plan.fits(slab);
}

PoolShape most_resident(const Weights& weights, const Options& options) {
    const uint64_t last = PoolShape::last(weights.config);
    const uint64_t most_bytes = uint64_t{options.resident_mib} << 20;
    return PoolShape::at(weights.config, largest_that(0, last, [&](uint64_t i) {
                             return PoolShape::at(weights.config, i).resident_bytes(weights) <=
                                    most_bytes;
                         }));
}

PoolShape fitting_residency(const RunRequest& request, RunNeed need, const Slab& slab) {
    const PoolShape most = most_resident(request.weights, request.options);
    const PoolShape least = least_resident(request.weights);
    const uint64_t n_more =
        most.n_layer_slots - least.n_layer_slots + most.n_expert_slots - least.n_expert_slots;
    const auto shape = [&](uint64_t i) { return PoolShape::at(request.weights.config, i); };
    return shape(largest_that(0, n_more, [&](uint64_t i) {
        RunMemory memory;
        SlabPlan plan;
        memory.plan_rest(request.weights, with(need, shape(i)), plan);
        return plan.fits(slab);
    }));
}

size_t fitting_batch(const RunRequest& request, RunNeed need, const Slab& slab) {
    const size_t n_batch = need.engine.n_batch;
    need.streamed = least_resident(request.weights);
    uint64_t least_bytes = 0;
    if (!memory_of(request, need, &least_bytes)) return n_batch;
    const uint64_t most_bytes = least_bytes + slab.free_bytes() / kBatchPart;
    return size_t(
        largest_that(n_batch, std::max<uint64_t>(n_batch, need.n_streamed_batch), [&](uint64_t n) {
            need.engine.n_batch = size_t(n);
            uint64_t bytes = 0;
            return n == n_batch || (memory_of(request, need, &bytes) && bytes <= most_bytes &&
                                    fits(request, need, slab));
        }));
}

Result<uint64_t> fitting_context(const RunRequest& request, NeedOf need_of, const Slab& slab,
                                 uint64_t n_ctx, bool less_will_do) {
    const auto holds = [&](uint64_t n) { return fits(request, need_of(request, n), slab); };
    if (holds(n_ctx)) return n_ctx;
    const uint64_t low = largest_that(0, n_ctx - 1, holds);
    if (less_will_do && low >= kKvPositions) return low;
    uint64_t need = 0;
    const bool countable =
        memory_of(request, with(need_of(request, n_ctx), least_resident(request.weights)), &need);
    return error(Code::no_memory, "a context of ", n_ctx, " positions needs ",
                 countable ? Text<24>(Bytes{need}).view() : "more than 2^62 bytes", ", ",
                 Bytes{slab.free_bytes()}, " are free: use -c ", low, " or less");
}

size_t default_batch(const Options& options) {
    return options.n_batch != 0 ? options.n_batch : kDefaultBatch;
}

size_t most_batch(const RunRequest& request, uint64_t n_ctx) {
    const size_t n = request.options.n_batch;
    return size_t(std::min<uint64_t>(n != 0 ? n : kMaxStreamedBatch, n_ctx));
}

uint64_t default_context(const Weights& weights, const Options& options) {
    if (options.n_ctx != 0) return options.n_ctx;
    return std::min<uint64_t>(kDefaultContext, weights.config.n_ctx_train);
}

Status check_shape(const Weights& weights, const Options& options) {
    if (options.cache_type_k != options.cache_type_v) {
        return error(Code::bad_option, "option -ctv: found ", kv_type_name(options.cache_type_v),
                     " where -ctk is ", kv_type_name(options.cache_type_k),
                     ", allowed the same type for both");
    }
    if (options.n_ctx <= weights.config.n_ctx_train) return {};
    return error(Code::bad_option, "option -c: found ", options.n_ctx, ", allowed 0..",
                 uint64_t(weights.config.n_ctx_train), " (the context ", weights.file,
                 " was trained for)");
}

uint64_t traced_passes(const Options& options, uint64_t n_passes) {
    return options.trace_wanted() ? std::min(n_passes, PassTrace::kMaxPasses) : 0;
}

Status check_disturb(const Weights& weights, const Options& options) {
    if (!options.disturb.scatter || weights.has_layers()) return {};
    return error(Code::bad_option, "option --disturb: found scatter while ", weights.file,
                 " is streamed, allowed with all of it in memory");
}

EngineShape engine_shape(const RunRequest& request, uint64_t n_ctx) {
    EngineShape shape;
    shape.n_ctx = size_t(n_ctx);
    shape.n_batch = std::max<size_t>(1, std::min(default_batch(request.options), shape.n_ctx));
    shape.n_workers = request.n_workers;
    shape.kv_type = request.options.cache_type_k;
    return shape;
}

}  // namespace axiom
