// SPDX-License-Identifier: MIT
#include "model/run/generate.h"

#include <algorithm>

#include "core/hash.h"
#include "core/mathf.h"
#include "core/round.h"
#include "model/run/bench.h"
#include "model/run/generation.h"
#include "model/run/noise.h"
#include "model/run/perplexity.h"
#include "model/run/prompt.h"
#include "model/run/serve.h"
#include "model/run/session.h"

namespace axiom {
namespace {

// A conversation is longer than its context only where tokens are longer than this, on average.
constexpr uint64_t kChatBytesPerToken = 12;
// What a template rewrites is at the end of what was read: the last answer, or the reasoning before it.
constexpr size_t kChatReturn = 256;
constexpr uint64_t kMaxChatTurns = 256;  // in the record, one by one

void add_chat(const RunRequest& request, uint64_t n_ctx, RunNeed& need) {
    need.n_chat_bytes = request.n_text_bytes + kChatBytesPerToken * n_ctx;
    need.n_prompt_tokens = max_tokens(need.n_chat_bytes);
    need.n_encoder_bytes = Tokenizer::scratch_bytes(size_t(need.n_chat_bytes));
    // A message takes some tokens of the template's, and the system message is always there.
    need.n_chat_messages = 3 + n_ctx / 4;
    need.n_chat_turns = kMaxChatTurns;
    need.n_passes = need.n_samples = n_ctx;
    need.n_traced_passes = traced_passes(request.options, PassTrace::kMaxPasses);
    need.engine.n_return =
        std::min<size_t>(size_t(n_ctx), std::max(need.engine.n_return, kChatReturn));
}

RunNeed generate_need(const RunRequest& request, uint64_t n_ctx) {
    RunNeed need;
    need.engine = engine_shape(request, n_ctx);
    need.engine.n_ctx_asked = size_t(default_context(request.weights, request.options));
    need.n_prompt_tokens = max_tokens(request.n_text_bytes);
    need.n_encoder_bytes = Tokenizer::scratch_bytes(size_t(request.n_text_bytes));
    need.n_history_tokens = n_ctx + 1;
    need.n_candidates = request.weights.config.n_vocab;
    need.n_passes = std::min<uint64_t>(request.options.n_predict, n_ctx);
    need.n_streamed_batch = most_batch(request, n_ctx);
    need.n_samples = need.n_passes;
    need.n_traced_passes =
        traced_passes(request.options, n_ctx / need.engine.n_batch + 1 + need.n_passes);
    if (request.options.draft != Draft::off) {
        need.engine.n_logit_rows = need.engine.n_return = request.options.n_draft_max + 1;
        need.n_draft_entries = Drafts::n_entries(size_t(n_ctx));
    }
    if (request.options.chat) add_chat(request, n_ctx, need);
    return need;
}

}  // namespace

Status Generation::prepare() {
    texts_ = open_texts(w_);
    if (!texts_.ok()) return texts_.status();
    if (Status s = check_shape(w_, o_); !s.ok()) return s;
    if (Status s = begin(); !s.ok()) return s;
    const RunRequest asked = request(prompt_bytes(w_, o_));
    const Result<uint64_t> n_ctx =
        fitting_context(asked, generate_need, *m_.slab, default_context(w_, o_), o_.n_ctx == 0);
    if (!n_ctx.ok()) return n_ctx.status();
    if (Status s = create(generate_need(asked, n_ctx.value())); !s.ok()) return s;
    stats_ = pass_stats();
    const ChatTemplate& chat = texts().chat;
    if (!o_.quiet && !o_.raw && !chat.present() && !chat.source().empty())
        write("the model's chat template is not understood: the prompt goes on as it is\n");
    return {};
}

Session::Setup Generation::setup() {
    return {.transformer = transformer(),
            .pool = memory_.pool,
            .tokenizer = texts().tokenizer,
            .options = o_,
            .tokens = memory_.history,
            .candidates = memory_.candidates,
            .draft_table = memory_.drafts,
            .n_draft_max = o_.n_draft_max,
            .pass_size = &pass_size(),
            .write = m_.write,
            .write_context = m_.write_context};
}

Status Generation::run() {
    if (Status s = prepare(); !s.ok()) return s;
    const Result<size_t> n_prompt =
        encode_prompt(w_, texts(), o_, r_->n_ctx, memory_.prompt, memory_.encoder);
    if (!n_prompt.ok()) return n_prompt.status();
    Session session(setup());
    if (Status s = session.open(); !s.ok()) return s;
    if (Status s = session.resume(memory_.prompt.first(n_prompt.value())); !s.ok()) return s;
    r_->n_prompt = uint32_t(n_prompt.value());
    if (Status s = prefill(session); !s.ok()) return s;
    if (o_.raw && !o_.quiet) session.echo(o_.prompt);
    begin_layers();
    const Status status = decode(session);
    session.flush();
    write("\n");
    fill_record();
    print_trace();
    return status;
}

Status Generation::prefill(Session& session) {
    stats_.set_stage(Stage::prefill, false);
    end_phase(Phase::other);
    const uint64_t n_batch = memory_.workspace.shape().n_batch;
    const uint64_t n_passes = (r_->n_prompt + n_batch - 1) / n_batch;
    if (!o_.quiet) progress_.begin(&m_, "reading the prompt ", n_passes * w_.config.n_layer);
    const uint64_t begin = ticks_now();
    const Status status = session.prefill(&stats_);
    prefill_ticks_ += ticks_now() - begin;
    progress_.end();
    if (!status.ok()) return status;
    r_->prefill_ns = m_.clock.seconds(prefill_ticks_) * 1e9;
    r_->prefill_ts = double(r_->n_prompt) / m_.clock.seconds(prefill_ticks_);
    return {};
}

Status Generation::decode(Session& session) {
    stats_.set_stage(Stage::decode);
    const Status status = go_on(session);
    r_->stop_reason = stop_reason_name(session.stop_reason());
    r_->n_drafted += uint32_t(session.n_drafted());
    r_->n_accepted += uint32_t(session.n_drafts_accepted());
    return status;
}

Status Generation::go_on(Session& session) {
    while (!session.done()) {
        hash_logits(session.logits());
        const uint64_t begin = ticks_now();
        const TokenId id = session.sample(session.logits());
        const uint64_t end = ticks_now();
        sample_ticks_ += end - begin;
        if (session.n_generated() == 0) first_token(Phase::prefill, end);
        r_->n_gen++;
        session.accept(id);
        if (session.done()) break;
        if (Status s = session.step(&stats_); !s.ok()) return s;
        r_->n_decode++;
        if (n_samples_ < memory_.samples.size()) memory_.samples[n_samples_++] = stats_.n_passes();
    }
    return {};
}

// Of each token, in ns: its part of the pass that read it, which the tokens share that came of it.
std::span<const uint64_t> Generation::token_ns() {
    const std::span<uint64_t> pass_of = memory_.samples.first(n_samples_);
    const std::span<const uint64_t> pass_ns = stats_.pass_ns();
    for (size_t begin = 0, end; begin < pass_of.size(); begin = end) {
        const uint64_t pass = pass_of[begin];
        end = begin;
        while (end < pass_of.size() && pass_of[end] == pass) end++;
        for (size_t i = begin; i < end; i++) pass_of[i] = pass_ns[pass - 1] / (end - begin);
    }
    return pass_of;
}

void Generation::hash_logits(std::span<const float> logits) {
    logits_hash_.update(logits.data(), logits.size_bytes());
    if (m_.on_logits != nullptr) m_.on_logits(m_.on_logits_context, logits);
}

void Generation::fill_sums() {
    r_->logits_hash = logits_hash_.digest();
    if (r_->n_gen > 0) r_->sample_ns = m_.clock.seconds(sample_ticks_) * 1e9 / r_->n_gen;
    r_->draft = draft_name(o_.draft);
    if (r_->n_decode == 0) return;
    const double n_decode = double(r_->n_decode), n_passes = double(stats_.n_passes());
    const double n_rows = n_passes + double(r_->n_drafted);

    const double seconds = m_.clock.seconds(stats_.total_ticks());
    r_->decode_ns = seconds * 1e9;
    r_->decode_ts = n_decode / seconds;
    r_->tokens_per_pass = n_decode / n_passes;
    r_->decode_gb_per_s = double(w_.bytes_per_token()) * n_passes / seconds * 1e-9;
    r_->decode_mmac_per_s = double(w_.macs_per_token()) * n_rows / seconds * 1e-6;
}

void Generation::fill_record() {
    fill_sums();
    if (r_->n_decode == 0) return;
    r_->decode_samples_ns = token_ns();
    for (const uint64_t ns : r_->decode_samples_ns) stats_.add_token(double(ns));
    fill_layers(stats_);
    const double mean = r_->decode_ns / double(r_->n_decode);
    double squares = 0;
    for (const uint64_t ns : r_->decode_samples_ns)
        squares += (double(ns) - mean) * (double(ns) - mean);
    r_->decode_stddev_ns =
        n_samples_ > 1 ? double(sqrt_f32(float(squares / double(n_samples_ - 1)))) : 0;
}

uint64_t check_scratch_bytes(const Weights& weights, const Options& options) {
    const uint64_t n_bytes = prompt_bytes(weights, options);
    return round_up(max_tokens(n_bytes) * sizeof(TokenId), 64) +
           Tokenizer::scratch_bytes(size_t(n_bytes));
}

Status check_run(const Weights& weights, const Options& options, const CpuFeatures& features,
                 std::span<uint8_t> scratch) {
    AXIOM_CHECK(scratch.size() >= check_scratch_bytes(weights, options));
    if (!options.isa.empty()) {
        const Result<const Kernels*> kernels = forced_kernels(options, features);
        if (!kernels.ok()) return kernels.status();
    }
    if (options.noise_seconds > 0) return {};
    if (Status s = check_disturb(weights, options); !s.ok()) return s;
    if (options.bench.wanted) return bench_context(weights, options).status();
    if (Status s = check_shape(weights, options); !s.ok()) return s;
    const Result<Texts> texts = open_texts(weights);
    if (!texts.ok() || !options.perplexity.empty()) return texts.status();
    if (!options.prompts.empty()) return check_vocabulary(weights, texts.value());
    if (options.chat && !has_prompt_tokens(options, texts.value()))
        return check_vocabulary(weights, texts.value());
    const size_t n_tokens = size_t(max_tokens(prompt_bytes(weights, options)));
    return encode_prompt(weights, texts.value(), options, default_context(weights, options),
                         {reinterpret_cast<TokenId*>(scratch.data()), n_tokens},
                         scratch.subspan(round_up(n_tokens * sizeof(TokenId), 64)))
        .status();
}

Result<MemoryNeed> memory_needed(const Weights& weights, const Options& options, size_t n_workers,
                                 uint64_t n_text_bytes) {
    if (options.noise_seconds > 0) {
        const uint64_t bytes = noise_memory(n_workers);
        return MemoryNeed{bytes, bytes};
    }
    if (options.bench.wanted) return bench_memory(weights, options, n_workers);
    if (!options.perplexity.empty())
        return perplexity_memory(weights, options, n_workers, n_text_bytes);
    if (!options.prompts.empty()) return serve_memory(weights, options, n_workers, n_text_bytes);
    if (Status s = check_shape(weights, options); !s.ok()) return s;
    const RunRequest asked{weights, options, n_workers, prompt_bytes(weights, options)};
    const uint64_t wanted_ctx = default_context(weights, options);
    // -n past any context means "until it is full": one block then is enough to start.
    const uint64_t n_gen = options.n_predict < wanted_ctx ? options.n_predict : kKvPositions;
    const uint64_t least_ctx =
        options.n_ctx != 0 ? options.n_ctx
                           : std::min<uint64_t>(wanted_ctx, max_tokens(asked.n_text_bytes) + n_gen);
    return memory_between(asked, generate_need, least_ctx, wanted_ctx);
}

Status generate(const Machine& machine, const Weights& weights, const Options& options,
                Record* record) {
    Generation run(machine, weights, options, record);
    const Status status = run.run();
    run.close(status);
    return status;
}

}  // namespace axiom
