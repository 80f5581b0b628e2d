// SPDX-License-Identifier: MIT
#include "model/run/bench.h"

#include <algorithm>
#include <utility>

#include "core/hash.h"
#include "model/run/pass_stats.h"

namespace axiom {
namespace {

struct Test {
    std::string_view name;
    size_t n_depth, n_tokens;  // of each sequence
    size_t n_sequences;
    bool one_by_one;  // one token of each sequence a pass, with logits each time

    size_t n_positions() const { return n_depth + n_tokens; }
};

Test prompt_test(uint32_t n_prompt, std::string_view name = {}) {
    return {name, 0, n_prompt, 1, false};
}
Test generation_test(uint32_t n_gen, uint32_t n_depth, uint32_t n_sequences,
                     std::string_view name = {}) {
    return {name, n_depth, n_gen, n_sequences, true};
}

// What no test of the plan is larger than. Of no tokens: of no sequences either.
Test largest_prompt_test(const BenchPlan& plan) {
    return prompt_test(plan.n_prompt.most());
}
Test largest_generation_test(const BenchPlan& plan) {
    if (plan.n_gen.most() == 0) return generation_test(0, 0, 0);
    return generation_test(plan.n_gen.most(), plan.n_depth.most(), plan.n_sequences.most());
}

// Positions of the longest sequence, the depth included.
uint64_t most_positions(const BenchPlan& plan) {
    return std::max(largest_prompt_test(plan).n_positions(),
                    largest_generation_test(plan).n_positions());
}

// Forward passes in one repetition of the longest test.
uint64_t most_passes(const BenchPlan& plan, uint64_t n_batch) {
    return std::max<uint64_t>(plan.n_gen.most(), (plan.n_prompt.most() + n_batch - 1) / n_batch);
}

RunNeed bench_need(const RunRequest& request, uint64_t n_ctx) {
    const BenchPlan& plan = request.options.bench;
    RunNeed need;
    const Test generation = largest_generation_test(plan);
    need.engine = engine_shape(request, n_ctx);
    EngineShape& engine = need.engine;
    need.n_traced_passes =
        traced_passes(request.options, plan.n_reps * most_passes(plan, engine.n_batch));
    engine.n_sequences = engine.n_logit_rows = std::max<size_t>(1, generation.n_sequences);
    engine.n_batch = std::max(engine.n_batch, engine.n_sequences);
    need.n_streamed_batch = most_batch(request, n_ctx);
    engine.n_return = generation.n_tokens;
    need.n_prompt_tokens = std::max<uint64_t>(
        plan.n_prompt.most(), uint64_t{generation.n_sequences} * generation.n_positions());
    need.n_repetitions = plan.n_reps;
    return need;
}

class Bench : public RunBase {
  public:
    Bench(const Machine& machine, const Weights& weights, const Options& options, Record* record,
          RecordSink done, void* done_context)
        : RunBase(machine, weights, options, record), done_(done), done_context_(done_context) {}

    Status run();

  private:
    Status prepare();
    Status run_tests();  // with the workers that are in use
    Status run_test(const Test& test);
    Status repeat(const Test& test, PassStats* stats, uint64_t* took_ticks);
    // The i-th sequence's tokens: a stretch of their own.
    std::span<const TokenId> tokens_of(const Test& test, size_t i) const {
        return std::span<const TokenId>(memory_.prompt)
            .subspan(i * test.n_positions(), test.n_positions());
    }
    // The i-th sequence has the n_depth tokens before the test's own: read once, then cut back to.
    Status go_to_depth(const Test& test, size_t i);
    // `logits`: of the last token.
    Status read(Sequence& sequence, std::span<const TokenId> tokens, bool logits, PassStats* stats);
    Status generate(const Test& test, PassStats* stats);
    // One pass of n rows; `stats` may be null.
    template <class F>
    Status timed(PassStats* stats, size_t n_rows, uint64_t* took_ticks, F forward) {
        const uint64_t begin = ticks_now(), waited = transformer().wait_ticks();
        const Status status = forward(stats != nullptr ? stats->begin() : ForwardTimes{});
        *took_ticks = ticks_now() - begin;
        if (!status.ok()) return status;
        pass_size().took(n_rows, *took_ticks, transformer().wait_ticks() - waited);
        if (stats != nullptr) stats->end(*took_ticks, n_rows);
        return {};
    }
    std::span<Sequence> sequences() {
        return std::span(sequences_).first(memory_.workspace.shape().n_sequences);
    }
    void fill_record(const Test& test, size_t n_done, const Status& outcome);

    RecordSink done_;
    void* done_context_;
    Sequence sequences_[BenchPlan::kMaxSequences];
    bool has_depth_[BenchPlan::kMaxSequences] = {};  // of this test
    PassStats stats_;                                // of this test
};

Status Bench::prepare() {
    const Result<uint64_t> n_ctx = bench_context(w_, o_);
    if (!n_ctx.ok()) return n_ctx.status();
    if (Status s = begin(); !s.ok()) return s;
    if (Status s = create(bench_need(request(0), n_ctx.value())); !s.ok()) return s;
    stats_ = pass_stats();
    for (Sequence& sequence : sequences()) {
        Result<Sequence> opened = Sequence::open(memory_.pool);
        if (!opened.ok()) return opened.status();
        sequence = std::move(opened.value());
    }
    // Any fixed ids would do: a linear congruential sequence (Numerical Recipes' constants).
    uint32_t x = 1;
    for (TokenId& id : memory_.prompt) {
        x = x * 1664525u + 1013904223u;
        id = TokenId((x >> 8) % w_.config.n_vocab);
    }
    r_->n_warmup = o_.bench.n_warmup;
    r_->weight_bytes_per_token = w_.bytes_per_token();
    end_start(Phase::other, ticks_now());
    return {};
}

Status Bench::run() {
    if (Status s = prepare(); !s.ok()) return s;
    const BenchList& threads = o_.bench.n_threads;
    const auto n_workers = [&](uint32_t n) {
        const size_t most = m_.team->n_started();
        return n == 0 ? most : std::min<size_t>(n, most);
    };
    for (size_t i = 0; i < threads.n; i++) {
        const size_t n = n_workers(threads.values[i]);
        bool is_done = false;  // asked for another number, and got this one
        for (size_t j = 0; j < i; j++)
            is_done = is_done ||
                      (n_workers(threads.values[j]) == n && threads.values[j] != threads.values[i]);
        if (is_done) continue;
        if (n != m_.team->size()) {
            if (Status s = use_workers(n); !s.ok()) return s;
        }
        if (Status s = run_tests(); !s.ok()) return s;
    }
    return {};
}

Status Bench::run_tests() {
    const BenchPlan& plan = o_.bench;
    for (const uint32_t n_prompt : plan.n_prompt) {
        if (n_prompt == 0) continue;
        const Text<16> name("pp", n_prompt);
        if (Status s = run_test(prompt_test(n_prompt, name)); !s.ok()) return s;
    }
    for (const uint32_t n_sequences : plan.n_sequences) {
        for (const uint32_t n_depth : plan.n_depth) {
            for (const uint32_t n_gen : plan.n_gen) {
                if (n_gen == 0) continue;
                Text<16> side_by_side, depth;
                if (n_sequences != 1) side_by_side = Text<16>(" x", n_sequences);
                if (n_depth != 0) depth = Text<16>(" @ d", n_depth);
                const Text<48> name("tg", n_gen, side_by_side, depth);
                const Test test = generation_test(n_gen, n_depth, n_sequences, name);
                if (Status s = run_test(test); !s.ok()) return s;
            }
        }
    }
    return {};
}

Status Bench::run_test(const Test& test) {
    const BenchPlan& plan = o_.bench;
    for (Sequence& sequence : sequences()) sequence.truncate(0);
    for (bool& has_depth : has_depth_) has_depth = false;
    stats_.clear();
    stats_.set_stage(test.one_by_one ? Stage::decode : Stage::prefill);
    size_t n_done = 0;
    Status status;
    for (size_t i = 0; i < size_t{plan.n_warmup} + plan.n_reps; i++) {
        const bool timed = i >= plan.n_warmup;
        const Text<64> what(test.name, timed ? ", repetition " : ", warm-up ",
                            uint64_t(timed ? i - plan.n_warmup + 1 : i + 1), " of ",
                            timed ? plan.n_reps : plan.n_warmup, " ");
        if (!o_.quiet) progress_.begin(&m_, what);
        uint64_t took = 0;
        status = repeat(test, timed ? &stats_ : nullptr, &took);
        progress_.end();
        if (!status.ok()) break;
        if (timed) memory_.repetitions[n_done++] = took;
    }
    if (!status.ok() && status.code() != Code::interrupted) return status;
    fill_record(test, n_done, status);
    print_trace(stats_);
    done_(done_context_, *r_);
    r_->test = {};  // the name is ours
    return status;
}

Status Bench::repeat(const Test& test, PassStats* stats, uint64_t* took_ticks) {
    for (size_t i = 0; i < test.n_sequences; i++) {
        if (Status s = go_to_depth(test, i); !s.ok()) return s;
    }
    begin_layers();
    const uint64_t begin = ticks_now();
    const Status status = test.one_by_one ? generate(test, stats)
                                          : read(sequences_[0], tokens_of(test, 0), true, stats);
    *took_ticks = ticks_now() - begin;
    return status;
}

Status Bench::go_to_depth(const Test& test, size_t i) {
    Sequence& sequence = sequences_[i];
    const bool was_there = has_depth_[i] && sequence.return_point() <= test.n_depth;
    sequence.truncate(was_there ? test.n_depth : 0);
    if (was_there) return {};
    if (Status s = read(sequence, tokens_of(test, i).first(test.n_depth), false, nullptr); !s.ok())
        return s;
    has_depth_[i] = true;
    return {};
}

Status Bench::read(Sequence& sequence, std::span<const TokenId> tokens, bool logits,
                   PassStats* stats) {
    for (size_t at = 0, n; at < tokens.size(); at += n) {
        n = pass_size().next(tokens.size() - at);
        const bool wanted = logits && at + n == tokens.size();
        uint64_t took = 0;
        const Status status = timed(stats, n, &took, [&](const ForwardTimes& times) {
            return transformer().feed(sequence, tokens.subspan(at, n), wanted, times);
        });
        if (!status.ok()) return status;
    }
    return {};
}

Status Bench::generate(const Test& test, PassStats* stats) {
    const std::span<Row> rows(memory_.workspace.rows, test.n_sequences);
    for (size_t at = test.n_depth; at < test.n_positions(); at++) {
        for (size_t i = 0; i < rows.size(); i++)
            rows[i] = {&sequences_[i], at, tokens_of(test, i)[at], true};
        uint64_t took = 0;
        const Status status = timed(stats, rows.size(), &took, [&](const ForwardTimes& times) {
            return transformer().forward(rows, times);
        });
        if (!status.ok()) return status;
        if (stats == nullptr) continue;
        for (size_t i = 0; i < rows.size(); i++) stats->add_token(m_.clock.seconds(took) * 1e9);
    }
    return {};
}

void Bench::fill_record(const Test& test, size_t n_done, const Status& outcome) {
    Record& r = *r_;
    r.test = test.name;
    r.n_depth = uint32_t(test.n_depth);
    r.n_prompt = test.one_by_one ? 0 : uint32_t(test.n_tokens);
    r.n_gen = test.one_by_one ? uint32_t(test.n_tokens) : 0;
    r.n_sequences = uint32_t(test.n_sequences);
    r.n_test_tokens = uint32_t(test.n_tokens * test.n_sequences);
    r.logits_hash = 0;
    r.layer = r.boundary = r.stall = r.token = {};
    r.boundary_share = r.stall_share = r.gb_per_s = r.gmac_per_s = 0;
    r.layer_costs = {};
    r.disk_bytes = 0;
    r.disk_gb_per_s = r.disk_share = r.disk_hidden = r.disk_check_ns = 0;
    r.stream_m = 0;

    const std::span<uint64_t> samples = memory_.repetitions.first(n_done);
    double seconds = 0;
    for (uint64_t& sample : samples) {
        seconds += m_.clock.seconds(sample);
        sample = m_.clock.ns(sample);
    }
    r.test_samples_ns = samples;
    close(outcome);
    if (n_done == 0) return;
    const uint64_t output_macs = uint64_t(w_.output.n_rows) * w_.output.n_cols;
    const uint64_t macs = test.one_by_one
                              ? w_.macs_per_token() * r.n_test_tokens
                              : (w_.macs_per_token() - output_macs) * test.n_tokens + output_macs;
    r.gmac_per_s = double(macs) * double(n_done) / seconds * 1e-9;
    if (test.one_by_one) {
        r.gb_per_s = double(r.weight_bytes_per_token) * double(test.n_tokens) * double(n_done) /
                     seconds * 1e-9;
    }
    if (!outcome.ok()) return;  // the last repetition was cut short

    Xxh64 hash;
    for (size_t i = 0; i < test.n_sequences; i++) {
        const std::span<const float> logits = memory_.workspace.logits_row(i);
        hash.update(logits.data(), logits.size_bytes());
    }
    r.logits_hash = hash.digest();
    fill_layers(stats_);
}

}  // namespace

Result<uint64_t> bench_context(const Weights& weights, const Options& options) {
    if (Status s = check_shape(weights, options); !s.ok()) return s;
    const uint64_t need = most_positions(options.bench);
    const uint64_t most = options.n_ctx != 0 ? options.n_ctx : weights.config.n_ctx_train;
    if (need <= most) return std::max<uint64_t>(need, options.n_ctx);
    return error(Code::bad_option, "option --bench: found tests of ", need,
                 " positions, allowed at most ", most,
                 options.n_ctx != 0 ? " (option -c)" : " (the context the model was trained for)");
}

Result<MemoryNeed> bench_memory(const Weights& weights, const Options& options, size_t n_workers) {
    const Result<uint64_t> n_ctx = bench_context(weights, options);
    if (!n_ctx.ok()) return n_ctx.status();
    return memory_between({weights, options, n_workers}, bench_need, n_ctx.value(), n_ctx.value());
}

Status bench(const Machine& machine, const Weights& weights, const Options& options, Record* record,
             RecordSink done, void* done_context) {
    Bench run(machine, weights, options, record, done, done_context);
    const Status status = run.run();
    run.close(status);
    return status;
}

}  // namespace axiom
