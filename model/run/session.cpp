// SPDX-License-Identifier: MIT
#include "model/run/session.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"

namespace axiom {

std::string_view stop_reason_name(StopReason reason) {
    switch (reason) {
        case StopReason::none:
            return "";
        case StopReason::length:
            return "length";
        case StopReason::end_of_text:
            return "end_of_text";
        case StopReason::stop_string:
            return "stop_string";
        case StopReason::context_full:
            return "context_full";
    }
    AXIOM_PANIC("stop reason");
}

Session::Session(const Setup& setup)
    : setup_(setup),
      sampler_(setup.options, setup.candidates),
      stops_(setup.stops),
      drafts_(setup.draft_table) {
    AXIOM_CHECK(setup.tokens.size() > setup.pool.n_ctx());
}

Status Session::open() {
    Result<Sequence> sequence = Sequence::open(setup_.pool);
    if (!sequence.ok()) return sequence.status();
    sequence_ = std::move(sequence.value());
    return {};
}

void Session::restart(std::span<const std::string_view> stops) {
    setup_.stops = stops;
    sampler_.restart();
}

size_t Session::n_common(std::span<const TokenId> tokens) const {
    const size_t most = std::min({sequence_.length(), n_tokens_, tokens.size() - 1});
    size_t n = 0;
    while (n < most && setup_.tokens[n] == tokens[n]) n++;
    return n >= sequence_.return_point() ? n : 0;
}

void Session::share(const Session& other) {
    const size_t n = other.n_common(tokens());
    if (n <= sequence_.length()) return;
    sequence_.close();  // so that the pool has a sequence for the fork
    Result<Sequence> fork = other.sequence_.fork();
    AXIOM_CHECK(fork.ok());
    sequence_ = std::move(fork.value());
    sequence_.truncate(n);
}

Status Session::resume(std::span<const TokenId> tokens) {
    AXIOM_CHECK(!tokens.empty());
    if (tokens.size() > setup_.pool.n_ctx()) {
        return error(Code::no_memory, "context full: ", uint64_t(tokens.size()), " tokens, ",
                     uint64_t(setup_.pool.n_ctx()), " allowed");
    }
    sequence_.truncate(n_common(tokens));
    std::copy(tokens.begin(), tokens.end(), setup_.tokens.begin());
    n_tokens_ = tokens.size();
    n_generated_ = n_drafted_ = n_drafts_accepted_ = 0;
    drafts_.clear();
    stops_ = StopStrings(setup_.stops);
    utf8_ = {};
    cancelled_ = false;
    stop_reason_ = setup_.options.n_predict == 0 ? StopReason::length : StopReason::none;
    return {};
}

size_t Session::add_rows(std::span<Row> rows) {
    if (cancelled_) return 0;
    const std::span<const TokenId> next = pending();
    const size_t n = std::min(rows.size(), next.size());
    for (size_t i = 0; i < n; i++) {
        rows[i] = {.sequence = &sequence_,
                   .position = sequence_.length() + i,
                   .token = next[i],
                   .wants_logits = i + 1 == next.size()};
    }
    return n;
}

size_t Session::add_drafts(std::span<Row> rows, size_t n) {
    // Not past the context, nor past the last token that will be generated.
    const size_t n_left = setup_.options.n_predict - n_generated_;
    size_t most = std::min(setup_.n_draft_max, rows.size() - n);
    most = std::min(most, setup_.pool.n_ctx() - n_tokens_);
    most = std::min(most, n_left - 1);
    std::span<const TokenId> drafts = drafts_.propose(tokens(), most);
    if (setup_.options.draft == Draft::when_it_pays)
        drafts = drafts.first(gate_.choose(drafts.size()));
    for (size_t i = 0; i < drafts.size(); i++) {
        setup_.tokens[n_tokens_ + i] = drafts[i];
        rows[n + i] = {.sequence = &sequence_,
                       .position = n_tokens_ + i,
                       .token = drafts[i],
                       .wants_logits = true};
    }
    return drafts.size();
}

size_t Session::pass_rows(size_t most) const {
    if (setup_.pass_size == nullptr) return most;
    return std::min(most, setup_.pass_size->next(pending().size()));
}

Status Session::read(PassStats* stats, bool drafts) {
    const Workspace& workspace = setup_.transformer.workspace();
    const std::span<Row> rows(workspace.rows, workspace.shape().n_batch);
    while (!pending().empty()) {
        if (cancelled_) return error(Code::interrupted, "cancelled");
        const size_t n = add_rows(rows.first(pass_rows(rows.size())));
        const size_t n_drafts = drafts && n == pending().size() ? add_drafts(rows, n) : 0;
        const uint64_t begin = ticks_now(), waited = setup_.transformer.wait_ticks();
        const ForwardTimes times = stats != nullptr ? stats->begin() : ForwardTimes{};
        const Status status = setup_.transformer.forward(rows.first(n + n_drafts), times);
        if (!status.ok()) return status;
        const uint64_t took = ticks_now() - begin;
        if (stats != nullptr) stats->end(took, n + n_drafts);
        if (setup_.pass_size != nullptr)
            setup_.pass_size->took(n + n_drafts, took, setup_.transformer.wait_ticks() - waited);
        if (drafts && n == 1) gate_.took(n_drafts, took);
        n_drafted_ += n_drafts;
        i_logits_ = 0;
    }
    return {};
}

TokenId Session::sample(std::span<const float> logits) {
    const std::span<const uint64_t> allowed = setup_.mask != nullptr
                                                  ? setup_.mask(setup_.mask_context, tokens())
                                                  : std::span<const uint64_t>();
    return sampler_.sample(logits, tokens(), allowed);
}

void Session::accept(TokenId id) {
    AXIOM_CHECK(!done() && n_tokens_ < setup_.tokens.size());
    if (sequence_.length() > n_tokens_) {  // a draft of this token has been read
        const bool is_right = setup_.tokens[n_tokens_] == id;
        gate_.judged(is_right);
        if (is_right) {
            n_drafts_accepted_++;
            i_logits_++;
        } else {
            sequence_.truncate(n_tokens_);
        }
    }
    setup_.tokens[n_tokens_++] = id;
    n_generated_++;
    char buffer[format::kMaxTokenBytes];
    const std::string_view bytes = bytes_of(id, buffer);
    if (ends_text(id)) {
        stop_reason_ = StopReason::end_of_text;
    } else if (stops_.put(bytes, [&](std::string_view text) { put_text(text); })) {
        stop_reason_ = StopReason::stop_string;
    } else if (n_generated_ == setup_.options.n_predict) {
        stop_reason_ = StopReason::length;
    } else if (n_tokens_ > setup_.pool.n_ctx()) {
        stop_reason_ = StopReason::context_full;
    }
    if (setup_.on_token != nullptr) setup_.on_token(setup_.on_token_context, id, bytes);
    if (!done()) return;
    if (sequence_.length() >= n_tokens_) sequence_.truncate(n_tokens_ - 1);
    flush();
}

bool Session::ends_text(TokenId id) const {
    return !setup_.options.ignore_eos && setup_.tokenizer.ends_generation(id);
}

std::string_view Session::bytes_of(TokenId id, std::span<char> buffer) const {
    if (ends_text(id)) return {};
    return setup_.tokenizer.decode(id, buffer, setup_.options.special);
}

void Session::retell(TextSink write, void* context) const {
    StopStrings stops(setup_.stops);
    Utf8Stream utf8;
    const auto pass_on = [&](std::string_view whole) { write(context, whole); };
    const auto put = [&](std::string_view text) { utf8.put(text, pass_on); };
    char buffer[format::kMaxTokenBytes];
    for (const TokenId id : tokens().last(n_generated_)) stops.put(bytes_of(id, buffer), put);
    stops.finish(put);
    utf8.finish(pass_on);
}

void Session::flush() {
    stops_.finish([&](std::string_view text) { put_text(text); });
    if (setup_.write == nullptr) return;
    utf8_.finish([&](std::string_view text) { setup_.write(setup_.write_context, text); });
}

void Session::put_text(std::string_view text) {
    if (setup_.write == nullptr) return;
    utf8_.put(text, [&](std::string_view whole) { setup_.write(setup_.write_context, whole); });
}

}  // namespace axiom
