// SPDX-License-Identifier: MIT
#include "model/run/bench.h"

#include "core/hash.h"
#include "core/round.h"
#include "model/engine/transformer.h"

namespace axiom {
namespace {

size_t batch_of(const Options& options, uint64_t n_ctx) {
    return size_t(std::min<uint64_t>(options.n_batch, n_ctx));
}

// Forward passes in one repetition of the longer test.
uint64_t most_passes(const Options& options, uint64_t n_ctx) {
    const uint64_t n_batch = batch_of(options, n_ctx);
    return std::max<uint64_t>(options.bench.n_gen,
                              (options.bench.n_prompt + n_batch - 1) / n_batch);
}

// Tokens of the longest input, the depth included.
uint64_t most_tokens(const BenchPlan& plan) {
    const uint64_t of_gen = plan.n_gen != 0 ? uint64_t{plan.n_depth} + plan.n_gen : 0;
    return std::max<uint64_t>(plan.n_prompt, of_gen);
}

struct Test {
    std::string_view name;
    size_t n_depth, n_tokens;
    bool one_by_one;  // one token a pass, with logits each time
};

class Bench : public RunBase {
  public:
    Bench(const Machine& machine, const Weights& weights, const Options& options, Record* record,
          RecordSink done, void* done_context)
        : RunBase(machine, weights, options, record), done_(done), done_context_(done_context) {}

    Status run();

  private:
    Status prepare();
    Status run_test(const Test& test);
    Status repeat(const Test& test, uint64_t* took_ticks, size_t* n_passes);
    Status feed(Transformer& transformer, std::span<const TokenId> tokens, size_t n_batch,
                Logits last, Logits others, size_t* n_passes);
    void fill_record(const Test& test, size_t n_done, size_t n_passes);

    RecordSink done_;
    void* done_context_;
    std::span<TokenId> tokens_;
    std::span<uint64_t> samples_;                       // [n_reps], ticks and then ns
    std::span<uint64_t> layer_ticks_, boundary_ticks_;  // [passes, n_layer] of one repetition
};

Status Bench::prepare() {
    const Result<uint64_t> n_ctx = bench_context(w_, o_);
    if (!n_ctx.ok()) return n_ctx.status();
    if (Status s = begin(); !s.ok()) return s;
    const size_t n_times = size_t(most_passes(o_, n_ctx.value())) * w_.config.n_layer;
    if (Status s = take("tokens", size_t(most_tokens(o_.bench)), &tokens_); !s.ok()) return s;
    if (Status s = take("repetitions", o_.bench.n_reps, &samples_); !s.ok()) return s;
    if (Status s = take("samples", 2 * n_times, &layer_ticks_); !s.ok()) return s;
    boundary_ticks_ = layer_ticks_.subspan(n_times);
    layer_ticks_ = layer_ticks_.first(n_times);
    if (Status s = create_state(size_t(n_ctx.value()), false); !s.ok()) return s;
    // Any fixed ids would do: a linear congruential sequence (Numerical Recipes' constants).
    uint32_t x = 1;
    for (TokenId& id : tokens_) {
        x = x * 1664525u + 1013904223u;
        id = TokenId((x >> 8) % w_.config.n_vocab);
    }
    r_->n_warmup = o_.bench.n_warmup;
    r_->weight_bytes_per_token = w_.bytes_per_token();
    return {};
}

Status Bench::run() {
    if (Status s = prepare(); !s.ok()) return s;
    const BenchPlan& plan = o_.bench;
    if (plan.n_prompt != 0) {
        const Text<16> name("pp", plan.n_prompt);
        if (Status s = run_test({name, 0, plan.n_prompt, false}); !s.ok()) return s;
    }
    if (plan.n_gen == 0) return {};
    Text<32> name("tg", plan.n_gen);
    if (plan.n_depth != 0) name = Text<32>("tg", plan.n_gen, " @ d", plan.n_depth);
    return run_test({name, plan.n_depth, plan.n_gen, true});
}

Status Bench::run_test(const Test& test) {
    const BenchPlan& plan = o_.bench;
    size_t n_done = 0, n_passes = 0;
    Status status;
    for (size_t i = 0; i < size_t{plan.n_warmup} + plan.n_reps; i++) {
        const bool timed = i >= plan.n_warmup;
        const Text<64> what(test.name, timed ? ", repetition " : ", warm-up ",
                            uint64_t(timed ? i - plan.n_warmup + 1 : i + 1), " of ",
                            timed ? plan.n_reps : plan.n_warmup, " ");
        if (!o_.quiet) progress_.begin(&m_, what);
        uint64_t took = 0;
        status = repeat(test, &took, &n_passes);
        progress_.end();
        if (!status.ok()) break;
        if (timed) samples_[n_done++] = took;
    }
    if (!status.ok() && status.code() != Code::interrupted) return status;
    if (!status.ok()) r_->status = r_->stop_reason = "interrupted";
    fill_record(test, n_done, status.ok() ? n_passes : 0);
    done_(done_context_, *r_);
    r_->test = {};  // the name is ours
    return status;
}

Status Bench::repeat(const Test& test, uint64_t* took_ticks, size_t* n_passes) {
    Transformer transformer(w_, *kernels_, state_);
    state_.reset();
    size_t ignored = 0;
    if (Status s = feed(transformer, tokens_.first(test.n_depth), state_.shape.n_batch,
                        Logits::none, Logits::none, &ignored);
        !s.ok())
        return s;
    const std::span<const TokenId> tokens = tokens_.subspan(test.n_depth, test.n_tokens);
    *n_passes = 0;
    const uint64_t begin = ticks_now();
    const Status status =
        feed(transformer, tokens, test.one_by_one ? 1 : state_.shape.n_batch, Logits::last,
             test.one_by_one ? Logits::last : Logits::none, n_passes);
    *took_ticks = ticks_now() - begin;
    return status;
}

Status Bench::feed(Transformer& transformer, std::span<const TokenId> tokens, size_t n_batch,
                   Logits last, Logits others, size_t* n_passes) {
    const size_t n_layer = w_.config.n_layer;
    for (size_t at = 0; at < tokens.size(); at += n_batch) {
        const size_t n = std::min(n_batch, tokens.size() - at);
        // The depth may take more passes than a test; its times are overwritten or not kept.
        const size_t i = *n_passes * n_layer;
        const bool kept = i + n_layer <= layer_ticks_.size();
        const PassTimes times{kept ? &layer_ticks_[i] : nullptr,
                              kept ? &boundary_ticks_[i] : nullptr};
        const Logits wanted = at + n == tokens.size() ? last : others;
        if (Status s =
                transformer.forward(*m_.team, *m_.loop, tokens.subspan(at, n), wanted, times);
            !s.ok())
            return s;
        ++*n_passes;
    }
    return {};
}

// `n_passes`: of the last repetition, 0 if it was cut short.
void Bench::fill_record(const Test& test, size_t n_done, size_t n_passes) {
    Record& r = *r_;
    r.test = test.name;
    r.n_depth = uint32_t(test.n_depth);
    r.n_prompt = test.one_by_one ? 0 : uint32_t(test.n_tokens);
    r.n_gen = test.one_by_one ? uint32_t(test.n_tokens) : 0;
    r.n_test_tokens = uint32_t(test.n_tokens);
    r.logits_hash = 0;
    r.layer = r.boundary = {};
    r.boundary_share = r.gb_per_s = r.gmac_per_s = 0;

    const uint64_t last_ticks = n_done != 0 ? samples_[n_done - 1] : 0;
    double seconds = 0;
    for (uint64_t& sample : samples_.first(n_done)) {
        seconds += m_.clock.seconds(sample);
        sample = m_.clock.ns(sample);
    }
    r.test_samples_ns = samples_.first(n_done);
    finish_record();
    if (n_done == 0) return;
    const uint64_t output_macs = uint64_t(w_.output.n_rows) * w_.output.n_cols;
    const uint64_t macs = test.one_by_one
                              ? w_.macs_per_token() * test.n_tokens
                              : (w_.macs_per_token() - output_macs) * test.n_tokens + output_macs;
    r.gmac_per_s = double(macs) * double(n_done) / seconds * 1e-9;
    if (test.one_by_one) {
        r.gb_per_s = double(r.weight_bytes_per_token) * double(test.n_tokens) * double(n_done) /
                     seconds * 1e-9;
    }
    if (n_passes == 0) return;

    const std::span<const float> logits = logits_row(0);
    r.logits_hash = Xxh64::of(logits.data(), logits.size_bytes());
    const size_t n_times = n_passes * w_.config.n_layer;
    uint64_t boundary_ticks = 0;
    for (const uint64_t ticks : boundary_ticks_.first(n_times)) boundary_ticks += ticks;
    r.boundary_share = double(boundary_ticks) / double(last_ticks);
    r.layer = percentiles(layer_ticks_.first(n_times), m_.clock.ticks_per_second);
    r.boundary = percentiles(boundary_ticks_.first(n_times), m_.clock.ticks_per_second);
}

}  // namespace

Result<uint64_t> bench_context(const Weights& weights, const Options& options) {
    if (Status s = check_context(weights, options); !s.ok()) return s;
    const uint64_t need = most_tokens(options.bench);
    const uint64_t most = options.n_ctx != 0 ? options.n_ctx : weights.config.n_ctx_train;
    if (need <= most) return std::max<uint64_t>(need, options.n_ctx);
    return error(Code::bad_option, "option --bench: found tests of ", need,
                 " positions, allowed at most ", most,
                 options.n_ctx != 0 ? " (option -c)" : " (the context the model was trained for)");
}

Result<MemoryNeed> bench_memory(const Weights& weights, const Options& options, size_t n_workers) {
    const Result<uint64_t> n_ctx = bench_context(weights, options);
    if (!n_ctx.ok()) return n_ctx.status();
    const BenchPlan& plan = options.bench;
    const uint64_t n_times = 2 * most_passes(options, n_ctx.value()) * weights.config.n_layer;
    const uint64_t own = RunBase::kBytes + round_up(most_tokens(plan) * sizeof(TokenId), 64) +
                         round_up((n_times + plan.n_reps + 8) * sizeof(uint64_t), 64);
    uint64_t state = 0, total = 0;
    if (!state_shape(weights, options, n_workers, size_t(n_ctx.value()), false)
             .total_bytes(&state) ||
        !checked_add(state, own, &total)) {
        return error(Code::no_memory, weights.file, ": a context of ", n_ctx.value(),
                     " positions needs more than 2^64 bytes");
    }
    return MemoryNeed{total, total};
}

Status bench(const Machine& machine, const Weights& weights, const Options& options, Record* record,
             RecordSink done, void* done_context) {
    Bench run(machine, weights, options, record, done, done_context);
    const Status status = run.run();
    if (!status.ok() && status.code() != Code::interrupted) record->status = "error";
    return status;
}

}  // namespace axiom
