// SPDX-License-Identifier: MIT
#include "model/run/generate.h"

#include <algorithm>
#include <cstring>

#include "core/hash.h"
#include "core/mathf.h"
#include "core/round.h"
#include "model/run/bench.h"
#include "model/text/chat.h"
#include "model/engine/sampler.h"
#include "model/engine/state.h"
#include "model/text/tokenizer.h"
#include "model/engine/transformer.h"
#include "core/utf8.h"

namespace axiom {
namespace {

// --- the plan: how long everything may become, before anything is taken
// ----------------------------

// Upper bound of the prompt's bytes with everything a template adds.
uint64_t prompt_bytes(const Weights& weights, const Options& options, std::string_view text) {
    return text.size() + options.system_prompt.size() + (options.raw ? 0 : weights.chat.size());
}

// What Tokenizer::encode() may need: a wrong byte becomes U+FFFD, which can be three byte tokens.
uint64_t max_tokens(uint64_t n_bytes) {
    return 4 * n_bytes + 8;
}

// The run's own classes besides State's, in the order prepare() creates them.
constexpr size_t kNRunClasses = 4;
void run_shapes(const Weights& weights, const Options& options, uint64_t n_text_bytes,
                uint64_t n_ctx, bool all_logits, Slab::Shape (&out)[kNRunClasses]) {
    const uint64_t n_passes = all_logits ? 0 : std::min<uint64_t>(options.n_predict, n_ctx);
    out[0] = {(max_tokens(n_text_bytes) + n_ctx) * sizeof(TokenId), 1};  // tokens
    out[1] = {Tokenizer::scratch_bytes(size_t(n_text_bytes)), 1};        // tokenizer
    out[2] = {weights.config.n_vocab * sizeof(Sampler::Candidate), 1};   // candidates
    out[3] = {(n_passes * (2 * weights.config.n_layer + 1) + 1) * sizeof(uint64_t), 1};  // samples
}

// Both of the above, the record and the kernel trial.
uint64_t run_bytes(const Weights& weights, const Options& options, uint64_t n_text_bytes,
                   uint64_t n_ctx, bool all_logits) {
    Slab::Shape shapes[kNRunClasses];
    run_shapes(weights, options, n_text_bytes, n_ctx, all_logits, shapes);
    uint64_t total = RunBase::kBytes;
    for (const Slab::Shape& shape : shapes) total += shape.object_bytes;
    return total;
}

// Bytes for a context of n_ctx; false on overflow.
bool bytes_for(const Weights& weights, const Options& options, size_t n_workers,
               uint64_t n_text_bytes, uint64_t n_ctx, bool all_logits, uint64_t* out) {
    uint64_t state;
    return state_shape(weights, options, n_workers, size_t(n_ctx), all_logits)
               .total_bytes(&state) &&
           checked_add(state, run_bytes(weights, options, n_text_bytes, n_ctx, all_logits), out);
}

uint64_t default_context(const Weights& weights, const Options& options) {
    if (options.n_ctx != 0) return options.n_ctx;
    if (!options.perplexity.empty()) return std::min<uint64_t>(512, weights.config.n_ctx_train);
    return std::min<uint64_t>(kDefaultContext, weights.config.n_ctx_train);
}

// The two extents that are opened, not just viewed.
struct Texts {
    Tokenizer tokenizer;
    ChatTemplate chat;
};

Result<Texts> open_texts(const Weights& weights) {
    const std::span<const format::Extent> extents = weights.layout.extents;
    Result<Tokenizer> tokenizer =
        Tokenizer::open(weights.file, extents[1].offset, weights.tokenizer);
    if (!tokenizer.ok()) return tokenizer.status();
    if (Status s = weights.check_vocabulary(tokenizer.value()); !s.ok()) return s;
    Result<ChatTemplate> chat = ChatTemplate::open(weights.file, extents[2].offset, weights.chat);
    if (!chat.ok()) return chat.status();
    return Texts{tokenizer.value(), chat.value()};
}

// The prompt's tokens, template applied; refuses what does not leave room for one token more.
Result<size_t> encode_prompt(const Weights& weights, const Tokenizer& tokenizer,
                             const ChatTemplate& chat, const Options& options, uint64_t n_ctx,
                             std::span<TokenId> out, std::span<uint8_t> scratch) {
    if (tokenizer.header().kind == format::Vocab::none) {
        return error(Code::unsupported, weights.file,
                     ": no vocabulary in this model, so there is no text to continue");
    }
    ChatTemplate::Segments segments;
    size_t n_segments = 1;
    if (options.raw || !chat.present()) {
        segments[0] = {options.prompt, Tokenizer::Specials::parse};
    } else {
        const bool own = options.system_prompt.empty() && options.default_system;
        n_segments = chat.expand(own ? chat.default_system() : options.system_prompt,
                                 options.prompt, segments);
    }
    Result<size_t> n = tokenizer.encode(std::span(segments).first(n_segments), true, out, scratch);
    if (!n.ok()) return n;
    if (n.value() == 0) {
        const TokenId bos = tokenizer.header().bos;
        if (bos == format::kNoToken) {
            return error(Code::bad_option,
                         "option -p: found an empty prompt, allowed at least one token");
        }
        out[0] = bos;
        n.value() = 1;
    }
    if (n.value() >= n_ctx) {
        return error(Code::bad_option, "option -p: the prompt has ", uint64_t(n.value()),
                     " tokens, allowed at most ", n_ctx - 1, " (the context of ", n_ctx,
                     " less one to generate)");
    }
    return n;
}

// --- one run
// -----------------------------------------------------------------------------------------

class Run : public RunBase {
  public:
    Run(const Machine& machine, const Weights& weights, const Options& options, Record* record)
        : RunBase(machine, weights, options, record) {}

    // Everything up to a state that is ready for tokens: n_text_bytes bounds the text to encode.
    Status prepare(uint64_t n_text_bytes, bool all_logits);
    Status encode(std::span<const Tokenizer::Segment> segments);
    Status generate();
    Status perplexity(std::string_view text, double* out);

  private:
    Status choose_context(uint64_t n_text_bytes, bool all_logits);
    Status encode_prompt();
    Status prefill(Transformer& transformer, std::span<const TokenId> tokens, Logits wanted);
    Status decode(Transformer& transformer);
    void hash_logits(size_t row);
    std::span<TokenId> tokens() const { return tokens_.first(n_tokens_); }

    Tokenizer tokenizer_;
    ChatTemplate chat_;
    size_t n_ctx_ = 0;
    Xxh64 logits_hash_;

    std::span<TokenId> tokens_;  // the prompt, then what was generated
    size_t n_tokens_ = 0;
    std::span<uint8_t> scratch_;
    std::span<Sampler::Candidate> candidates_;
    std::span<uint64_t> layer_ticks_, boundary_ticks_;  // [n decode passes, n_layer]
    std::span<uint64_t> pass_ticks_;                    // [n decode passes]
};

// The context asked for, or the default, or what memory holds of the default.
Status Run::choose_context(uint64_t n_text_bytes, bool all_logits) {
    if (Status s = check_context(w_, o_); !s.ok()) return s;
    uint64_t n_ctx = default_context(w_, o_);
    const uint64_t have = m_.slab->free_bytes();
    const auto fits = [&](uint64_t n) {
        uint64_t need;
        if (!bytes_for(w_, o_, m_.team->size(), n_text_bytes, n, all_logits, &need)) return false;
        // Not the sum alone: an object needs one piece.
        Slab::Shape shapes[kNRunClasses + StateShape::kNClasses];
        Slab::Shape run[kNRunClasses], state[StateShape::kNClasses];
        run_shapes(w_, o_, n_text_bytes, n, all_logits, run);
        state_shape(w_, o_, m_.team->size(), size_t(n), all_logits).slab_shapes(state);
        std::copy(std::begin(run), std::end(run), shapes);
        std::copy(std::begin(state), std::end(state), shapes + kNRunClasses);
        return m_.slab->fits(shapes);
    };
    if (!fits(n_ctx)) {
        uint64_t low = 0, high = n_ctx;  // fits(low), not fits(high)
        while (high - low > 1) (fits((low + high) / 2) ? low : high) = (low + high) / 2;
        if (o_.n_ctx != 0 || all_logits || low < kKvPositions) {
            uint64_t need = 0;
            const bool countable =
                bytes_for(w_, o_, m_.team->size(), n_text_bytes, n_ctx, all_logits, &need);
            return error(Code::no_memory, "a context of ", n_ctx, " positions needs ",
                         countable ? Text<24>(Bytes{need}).view() : "more than 2^64 bytes", ", ",
                         Bytes{have}, " are free: use -c ", low, " or less");
        }
        n_ctx = low;
    }
    n_ctx_ = size_t(n_ctx);
    return {};
}

Status Run::prepare(uint64_t n_text_bytes, bool all_logits) {
    Result<Texts> texts = open_texts(w_);
    if (!texts.ok()) return texts.status();
    tokenizer_ = texts.value().tokenizer;
    chat_ = texts.value().chat;

    if (Status s = begin(); !s.ok()) return s;
    if (Status s = choose_context(n_text_bytes, all_logits); !s.ok()) return s;

    const size_t n_layer = w_.config.n_layer;
    if (Status s = take("tokens", max_tokens(n_text_bytes) + n_ctx_, &tokens_); !s.ok()) return s;
    if (Status s = take("tokenizer", Tokenizer::scratch_bytes(size_t(n_text_bytes)), &scratch_);
        !s.ok())
        return s;
    if (Status s = take("candidates", w_.config.n_vocab, &candidates_); !s.ok()) return s;
    const size_t n_passes = all_logits ? 0 : std::min<size_t>(o_.n_predict, n_ctx_);
    if (Status s = take("samples", n_passes * (2 * n_layer + 1), &pass_ticks_); !s.ok()) return s;
    layer_ticks_ = pass_ticks_.subspan(n_passes, n_passes * n_layer);
    boundary_ticks_ = pass_ticks_.subspan(n_passes + n_passes * n_layer);
    pass_ticks_ = pass_ticks_.first(n_passes);

    return create_state(n_ctx_, all_logits);
}

Status Run::encode(std::span<const Tokenizer::Segment> segments) {
    Result<size_t> n = tokenizer_.encode(segments, true, tokens_, scratch_);
    if (!n.ok()) return n.status();
    n_tokens_ = n.value();
    return {};
}

Status Run::encode_prompt() {
    const Result<size_t> n =
        axiom::encode_prompt(w_, tokenizer_, chat_, o_, n_ctx_, tokens_, scratch_);
    if (!n.ok()) return n.status();
    n_tokens_ = n.value();
    r_->n_prompt = uint32_t(n_tokens_);
    return {};
}

void Run::hash_logits(size_t row) {
    const std::span<const float> logits = logits_row(row);
    logits_hash_.update(logits.data(), logits.size_bytes());
    if (m_.on_logits != nullptr) m_.on_logits(m_.on_logits_context, logits);
}

// The prompt, n_batch tokens a pass; logits only where they are wanted.
Status Run::prefill(Transformer& transformer, std::span<const TokenId> tokens, Logits wanted) {
    for (size_t at = 0; at < tokens.size(); at += state_.shape.n_batch) {
        const size_t n = std::min(state_.shape.n_batch, tokens.size() - at);
        const bool last = at + n == tokens.size();
        const Logits now = wanted == Logits::last && !last ? Logits::none : wanted;
        if (Status s = transformer.forward(*m_.team, *m_.loop, tokens.subspan(at, n), now, {});
            !s.ok())
            return s;
        if (wanted == Logits::all) {
            for (size_t i = 0; i < n; i++) hash_logits(i);
        }
    }
    return {};
}

Status Run::generate() {
    const uint64_t n_text_bytes = prompt_bytes(w_, o_, o_.prompt);
    if (Status s = prepare(n_text_bytes, false); !s.ok()) return s;
    if (Status s = encode_prompt(); !s.ok()) return s;

    Transformer transformer(w_, *kernels_, state_);
    if (!o_.quiet) progress_.begin(&m_, "reading the prompt ");
    const uint64_t begin = ticks_now();
    const Status prefilled = prefill(transformer, tokens(), Logits::last);
    const uint64_t took = ticks_now() - begin;
    progress_.end();
    if (prefilled.code() == Code::interrupted) {
        r_->status = r_->stop_reason = "interrupted";
        return {};
    }
    if (!prefilled.ok()) return prefilled;
    r_->prefill_ns = m_.clock.seconds(took) * 1e9;
    r_->prefill_ts = double(n_tokens_) / m_.clock.seconds(took);
    return decode(transformer);
}

Status Run::decode(Transformer& transformer) {
    Sampler sampler(o_, candidates_);
    Utf8Stream utf8;
    const auto put = [&](std::string_view text) { write(text); };
    const size_t n_prompt = n_tokens_, n_layer = w_.config.n_layer;
    uint64_t sample_ticks = 0, decode_ticks = 0;
    size_t n_passes = 0;
    r_->stop_reason = "length";
    if (o_.raw && !o_.quiet) utf8.put(o_.prompt, put);

    while (n_tokens_ - n_prompt < o_.n_predict) {
        hash_logits(0);
        const uint64_t begin = ticks_now();
        const TokenId id = sampler.sample(logits_row(0), tokens());
        sample_ticks += ticks_now() - begin;
        tokens_[n_tokens_++] = id;
        if (n_tokens_ - n_prompt == 1 && m_.entry_ticks != 0) {
            r_->phase_first_token_ns = m_.clock.seconds(ticks_now() - m_.entry_ticks) * 1e9;
        }
        if (!o_.ignore_eos && tokenizer_.ends_generation(id)) {
            r_->stop_reason = "end_of_text";
            break;
        }
        char piece[format::kMaxTokenBytes];
        utf8.put(tokenizer_.decode(id, piece, o_.special), put);
        if (n_tokens_ - n_prompt == o_.n_predict) break;
        if (n_tokens_ > n_ctx_) {
            r_->stop_reason = "context_full";
            break;
        }
        const PassTimes times{layer_ticks_.subspan(n_passes * n_layer).data(),
                              boundary_ticks_.subspan(n_passes * n_layer).data()};
        const uint64_t pass_begin = ticks_now();
        const Status s = transformer.forward(*m_.team, *m_.loop, {&tokens_[n_tokens_ - 1], 1},
                                             Logits::last, times);
        if (s.code() == Code::interrupted) {
            r_->status = r_->stop_reason = "interrupted";
            break;
        }
        if (!s.ok()) return s;
        decode_ticks += pass_ticks_[n_passes++] = ticks_now() - pass_begin;
    }
    utf8.finish(put);
    write("\n");

    r_->n_gen = uint32_t(n_tokens_ - n_prompt);
    r_->logits_hash = logits_hash_.digest();
    if (r_->n_gen > 0) r_->sample_ns = m_.clock.seconds(sample_ticks) * 1e9 / r_->n_gen;
    r_->n_decode = uint32_t(n_passes);
    if (n_passes == 0) return {};

    // Per-pass and per-layer figures. Ticks become ns in place once the ticks have been read.
    const double seconds = m_.clock.seconds(decode_ticks);
    r_->decode_ns = seconds * 1e9;
    r_->decode_ts = double(n_passes) / seconds;
    r_->decode_gb_per_s = double(w_.bytes_per_token()) * double(n_passes) / seconds * 1e-9;
    r_->decode_mmac_per_s = double(w_.macs_per_token()) * double(n_passes) / seconds * 1e-6;
    uint64_t boundary_total = 0;
    for (const uint64_t ticks : boundary_ticks_.first(n_passes * n_layer)) boundary_total += ticks;
    r_->boundary_share = double(boundary_total) / double(decode_ticks);
    r_->layer = percentiles(layer_ticks_.first(n_passes * n_layer), m_.clock.ticks_per_second);
    r_->boundary =
        percentiles(boundary_ticks_.first(n_passes * n_layer), m_.clock.ticks_per_second);
    const double mean = r_->decode_ns / double(n_passes);
    double squares = 0;
    for (uint64_t& sample : pass_ticks_.first(n_passes)) {
        sample = m_.clock.ns(sample);
        squares += (double(sample) - mean) * (double(sample) - mean);
    }
    r_->decode_samples_ns = pass_ticks_.first(n_passes);
    r_->decode_stddev_ns =
        n_passes > 1 ? double(sqrt_f32(float(squares / double(n_passes - 1)))) : 0;
    return {};
}

Status Run::perplexity(std::string_view text, double* out) {
    if (Status s = prepare(text.size(), true); !s.ok()) return s;
    const Tokenizer::Segment segment{text, Tokenizer::Specials::literal};
    if (Status s = encode({&segment, 1}); !s.ok()) return s;
    const size_t n_chunks = n_tokens_ / n_ctx_;
    if (n_chunks == 0) {
        return error(Code::bad_option, "option --perplexity: the text has ", uint64_t(n_tokens_),
                     " tokens, allowed at least one chunk of ", uint64_t(n_ctx_), " (option -c)");
    }
    if (n_ctx_ < 3) {
        return error(Code::bad_option, "option -c: found ", uint64_t(n_ctx_),
                     ", allowed at least 3 for --perplexity (half a chunk is context)");
    }
    const bool add_bos = tokenizer_.header().add_bos != 0;
    Transformer transformer(w_, *kernels_, state_);

    // Scores each position while its logits stand: row i of a batch predicts the token after it.
    double nll = 0;
    size_t n_scored = 0;
    for (size_t chunk = 0; chunk < n_chunks; chunk++) {
        const std::span<TokenId> ids = tokens_.subspan(chunk * n_ctx_, n_ctx_);
        const TokenId first_id = ids[0];
        if (add_bos) ids[0] = tokenizer_.header().bos;
        state_.reset();
        for (size_t at = 0; at < n_ctx_; at += state_.shape.n_batch) {
            const size_t n = std::min(state_.shape.n_batch, n_ctx_ - at);
            if (Status s = prefill(transformer, ids.subspan(at, n), Logits::all); !s.ok()) return s;
            for (size_t i = 0; i < n; i++) {
                const size_t position = at + i;
                if (position < n_ctx_ / 2 || position + 1 >= n_ctx_) continue;
                const float* const logits = state_.logits[i];
                float max = logits[0];
                for (size_t v = 1; v < w_.config.n_vocab; v++) max = std::max(max, logits[v]);
                double sum = 0;
                for (size_t v = 0; v < w_.config.n_vocab; v++)
                    sum += double(exp_f32(logits[v] - max));
                nll += log_f64(sum) - double(logits[ids[position + 1]] - max);
                n_scored++;
            }
        }
        ids[0] = first_id;
        const double mean = nll / double(n_scored);
        *out = double(exp_f32(float(mean)));
        write(Text<96>("[", uint64_t(chunk + 1), "/", uint64_t(n_chunks), "] perplexity ",
                       Fixed{*out, 4}, " over ", uint64_t(n_scored), " tokens\n"));
    }
    r_->n_prompt = uint32_t(n_chunks * n_ctx_);
    r_->logits_hash = logits_hash_.digest();
    return {};
}

Status closed(Run& run, Record* record, Status status) {
    run.finish_record();
    if (status.code() == Code::interrupted) {
        record->status = record->stop_reason = "interrupted";
    } else if (!status.ok()) {
        record->status = "error";
    }
    return status;
}

}  // namespace

uint64_t check_scratch_bytes(const Weights& weights, const Options& options) {
    const uint64_t n_bytes = prompt_bytes(weights, options, options.prompt);
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
    if (options.bench.wanted) return bench_context(weights, options).status();
    if (Status s = check_context(weights, options); !s.ok()) return s;
    const Result<Texts> texts = open_texts(weights);
    if (!texts.ok() || !options.perplexity.empty()) return texts.status();
    const uint64_t n_tokens = max_tokens(prompt_bytes(weights, options, options.prompt));
    const size_t token_bytes = round_up(size_t(n_tokens) * sizeof(TokenId), 64);
    return encode_prompt(weights, texts.value().tokenizer, texts.value().chat, options,
                         default_context(weights, options),
                         {reinterpret_cast<TokenId*>(scratch.data()), size_t(n_tokens)},
                         scratch.subspan(token_bytes))
        .status();
}

Result<MemoryNeed> memory_needed(const Weights& weights, const Options& options, size_t n_workers,
                                 uint64_t n_text_bytes) {
    if (options.bench.wanted) return bench_memory(weights, options, n_workers);
    if (Status s = check_context(weights, options); !s.ok()) return s;
    const uint64_t n_bytes = prompt_bytes(weights, options, options.prompt) + n_text_bytes;
    const uint64_t wanted_ctx = default_context(weights, options);
    const uint64_t least_ctx =
        options.n_ctx != 0
            ? options.n_ctx
            // -n past any context means "until it is full": one block then is enough to start.
            : std::min<uint64_t>(wanted_ctx, max_tokens(n_bytes) + (options.n_predict < wanted_ctx
                                                                        ? options.n_predict
                                                                        : kKvPositions));
    const bool all_logits = !options.perplexity.empty();
    MemoryNeed need;
    if (!bytes_for(weights, options, n_workers, n_bytes, least_ctx, all_logits, &need.least) ||
        !bytes_for(weights, options, n_workers, n_bytes, wanted_ctx, all_logits, &need.wanted)) {
        return error(Code::no_memory, weights.file, ": a context of ", wanted_ctx,
                     " positions needs more than 2^64 bytes");
    }
    return need;
}

Status generate(const Machine& machine, const Weights& weights, const Options& options,
                Record* record) {
    Run run(machine, weights, options, record);
    return closed(run, record, run.generate());
}

Status perplexity(const Machine& machine, const Weights& weights, const Options& options,
                  std::string_view text, Record* record, double* out) {
    Run run(machine, weights, options, record);
    return closed(run, record, run.perplexity(text, out));
}

}  // namespace axiom
