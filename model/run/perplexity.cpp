// SPDX-License-Identifier: MIT
#include "model/run/perplexity.h"

#include <algorithm>
#include <utility>

#include "core/hash.h"
#include "core/mathf.h"
#include "model/run/prompt.h"

namespace axiom {
namespace {

// Rows of a pass: every one of them has logits, which are large.
constexpr size_t kMaxRows = 512;

uint64_t chunk_tokens(const Weights& weights, const Options& options) {
    if (options.n_ctx != 0) return options.n_ctx;
    return std::min<uint64_t>(512, weights.config.n_ctx_train);
}

RunNeed perplexity_need(const RunRequest& request, uint64_t n_ctx) {
    RunNeed need;
    need.engine = engine_shape(request, n_ctx);
    need.engine.n_batch = std::min(need.engine.n_batch, kMaxRows);
    need.engine.n_logit_rows = need.engine.n_batch;
    need.n_prompt_tokens = max_tokens(request.n_text_bytes);
    need.n_encoder_bytes = Tokenizer::scratch_bytes(size_t(request.n_text_bytes));
    return need;
}

class Perplexity : public RunBase {
  public:
    Perplexity(const Machine& machine, const Weights& weights, const Options& options,
               Record* record)
        : RunBase(machine, weights, options, record) {}
    Status run(std::string_view text, double* out);

  private:
    Status score_chunk(std::span<const TokenId> ids);
    void score(std::span<const float> logits, TokenId next);

    Sequence sequence_;
    double nll_ = 0;  // of the tokens scored
    size_t n_scored_ = 0;
    Xxh64 logits_hash_;
};

Status Perplexity::run(std::string_view text, double* out) {
    const Result<Texts> texts = open_texts(w_);
    if (!texts.ok()) return texts.status();
    const Tokenizer& tokenizer = texts.value().tokenizer;
    if (Status s = check_shape(w_, o_); !s.ok()) return s;
    if (Status s = begin(); !s.ok()) return s;
    const RunRequest asked = request(text.size());
    const Result<uint64_t> fitting =
        fitting_context(asked, perplexity_need, *m_.slab, chunk_tokens(w_, o_), false);
    if (!fitting.ok()) return fitting.status();
    const size_t n_ctx = size_t(fitting.value());
    if (Status s = create(perplexity_need(asked, n_ctx)); !s.ok()) return s;

    const Tokenizer::Segment segment{text, Tokenizer::Specials::literal};
    const Result<size_t> n_tokens =
        tokenizer.encode({&segment, 1}, true, memory_.prompt, memory_.encoder);
    if (!n_tokens.ok()) return n_tokens.status();
    const size_t n_chunks = n_tokens.value() / n_ctx;
    if (n_chunks == 0) {
        return error(Code::bad_option, "option --perplexity: the text has ",
                     uint64_t(n_tokens.value()), " tokens, allowed at least one chunk of ",
                     uint64_t(n_ctx), " (option -c)");
    }
    if (n_ctx < 3) {
        return error(Code::bad_option, "option -c: found ", uint64_t(n_ctx),
                     ", allowed at least 3 for --perplexity (half a chunk is context)");
    }
    Result<Sequence> sequence = Sequence::open(memory_.pool);
    if (!sequence.ok()) return sequence.status();
    sequence_ = std::move(sequence.value());

    for (size_t chunk = 0; chunk < n_chunks; chunk++) {
        const std::span<TokenId> ids = memory_.prompt.subspan(chunk * n_ctx, n_ctx);
        if (tokenizer.header().add_bos != 0) ids[0] = tokenizer.header().bos;
        if (Status s = score_chunk(ids); !s.ok()) return s;
        *out = double(exp_f32(float(nll_ / double(n_scored_))));
        write(Text<96>("[", uint64_t(chunk + 1), "/", uint64_t(n_chunks), "] perplexity ",
                       Fixed{*out, 4}, " over ", uint64_t(n_scored_), " tokens\n"));
    }
    r_->n_prompt = uint32_t(n_chunks * n_ctx);
    r_->logits_hash = logits_hash_.digest();
    return {};
}

// Scores each position while its logits stand: row i of a batch predicts the token after it.
Status Perplexity::score_chunk(std::span<const TokenId> ids) {
    const Workspace& ws = memory_.workspace;
    sequence_.truncate(0);
    while (sequence_.length() < ids.size()) {
        const size_t at = sequence_.length();
        const size_t n = std::min(ws.shape().n_batch, ids.size() - at);
        for (size_t i = 0; i < n; i++) ws.rows[i] = {&sequence_, at + i, ids[at + i], true};
        if (Status s = transformer().forward({ws.rows, n}); !s.ok()) return s;
        for (size_t i = 0; i < n; i++) {
            const std::span<const float> logits = ws.logits_row(i);
            logits_hash_.update(logits.data(), logits.size_bytes());
            if (m_.on_logits != nullptr) m_.on_logits(m_.on_logits_context, logits);
            const size_t position = at + i;
            if (position >= ids.size() / 2 && position + 1 < ids.size())
                score(logits, ids[position + 1]);
        }
    }
    return {};
}

void Perplexity::score(std::span<const float> logits, TokenId next) {
    const float max = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (const float logit : logits) sum += double(exp_f32(logit - max));
    nll_ += log_f64(sum) - double(logits[next] - max);
    n_scored_++;
}

}  // namespace

Result<MemoryNeed> perplexity_memory(const Weights& weights, const Options& options,
                                     size_t n_workers, uint64_t n_text_bytes) {
    if (Status s = check_shape(weights, options); !s.ok()) return s;
    const uint64_t n_ctx = chunk_tokens(weights, options);
    return memory_between({weights, options, n_workers, n_text_bytes}, perplexity_need, n_ctx,
                          n_ctx);
}

Status perplexity(const Machine& machine, const Weights& weights, const Options& options,
                  std::string_view text, Record* record, double* out) {
    Perplexity run(machine, weights, options, record);
    const Status status = run.run(text, out);
    run.close(status);
    return status;
}

}  // namespace axiom
