// SPDX-License-Identifier: MIT
#include "model/chat/chat.h"

#include <algorithm>

#include "core/clock.h"
#include "model/chat/talk.h"

namespace axiom {

Status Talk::start() {
    if (Status s = prepare(); !s.ok()) return s;
    // Whatever would be wrong with every message.
    if (has_prompt_tokens(o_, texts())) {
        const Result<size_t> n =
            encode_prompt(w_, texts(), o_, r_->n_ctx, memory_.prompt, memory_.encoder);
        if (!n.ok()) return n.status();
    }
    if (Status s = check_vocabulary(w_, texts()); !s.ok()) return s;
    conversation_.emplace(texts(), Conversation::Room{.text = memory_.chat_text,
                                                      .messages = memory_.chat_messages,
                                                      .segments = memory_.chat_segments,
                                                      .tokens = memory_.prompt,
                                                      .encoder = memory_.encoder});
    AXIOM_CHECK(conversation_->set_system(o_.system_prompt));
    Session::Setup s = setup();
    s.on_token = [](void* self, TokenId, std::string_view) {
        static_cast<Talk*>(self)->show_progress();
    };
    s.on_token_context = this;
    session_.emplace(s);
    begin_layers();
    return session_->open();
}

Status Talk::run() {
    if (Status s = start(); !s.ok()) return s;
    if (!o_.quiet) say("Type a message, or /help. Ctrl-C stops an answer, /exit ends.\n");
    Status status;
    if (!o_.prompt.empty()) status = add_message(o_.prompt);
    while (status.ok() && !ended_) {
        std::string_view line;
        switch (terminal_.next("> ", &line)) {
            case ChatTerminal::Next::line:
                n_stops_ = 0;
                status = hear(line);
                break;
            case ChatTerminal::Next::none_now:
                m_.loop->poll_tasks();
                break;
            case ChatTerminal::Next::stop:
                stopped();
                break;
            case ChatTerminal::Next::end:
                ended_ = true;
                break;
        }
    }
    fill_record();
    print_trace();
    return status;
}

void Talk::stopped() {
    if (m_.interrupted != nullptr) m_.interrupted->store(false);
    ended_ = ++n_stops_ == 2;
    if (!ended_) say("Ctrl-C once more, or /exit, ends.");
}

Status Talk::hear(std::string_view line) {
    if (line.find_first_not_of(" \t\r") == line.npos) return {};
    if (line.starts_with("//")) return add_message(line.substr(1));
    if (line.starts_with("/")) return command(line);
    return add_message(line);
}

Status Talk::add_message(std::string_view text) {
    if (is_waiting_) conversation_->remove_last();
    is_waiting_ = conversation_->add(ChatRole::user, text);
    if (is_waiting_) return answer();
    refuse(error(Code::no_memory, "no room for ", text.size(), " bytes more of text"), 0);
    return {};
}

// The last message can't be answered as it is: it waits where others can make room for it.
void Talk::refuse(const Status& why, size_t n_tokens) {
    const bool is_full = why.ok() || why.code() == Code::no_memory;
    const bool is_alone = conversation_->n_messages() <= 2;
    if (!is_full) {
        say("error: ", why.text());
    } else if (n_tokens != 0) {
        say("The conversation with this message has ", n_tokens, " tokens, the context ", r_->n_ctx,
            is_alone ? ": it is too long." : ".");
    } else {
        say("The conversation is too long: ", why.text(), ".");
    }
    if (is_full && !is_alone)
        say(is_waiting_ ? "/drop forgets the oldest turns and answers it, /reset forgets all."
                        : "/drop forgets the oldest turns, /reset all.");
    if (is_waiting_ && (!is_full || is_alone)) {
        conversation_->remove_last();
        is_waiting_ = false;
    }
}

// True if a person stopped what ended with this status.
bool Talk::take_interrupt(const Status& status) {
    if (status.code() != Code::interrupted) return false;
    m_.interrupted->store(false);
    return true;
}

Status Talk::answer() {
    const Result<std::span<const TokenId>> tokens = conversation_->encode(o_);
    const size_t n_tokens = tokens.value().size();
    if (!tokens.ok() || n_tokens >= r_->n_ctx) {
        refuse(tokens.status(), n_tokens);
        return {};
    }
    if (n_tokens == 0) {
        refuse(error(Code::bad_option, "found an empty message, allowed at least one token"), 0);
        return {};
    }
    // A Ctrl-C that came between an answer and this one meant neither.
    if (m_.interrupted != nullptr) m_.interrupted->store(false);
    if (Status s = session_->resume(tokens.value()); !s.ok()) return s;
    is_waiting_ = false;
    TurnCost turn;
    turn.n_reused = uint32_t(session_->sequence().length());
    turn.n_prompt = uint32_t(n_tokens) - turn.n_reused;
    r_->n_prompt += turn.n_prompt;

    const uint64_t begin = ticks_now();
    const Status status = prefill(*session_);
    turn.prefill_ns = m_.clock.seconds(ticks_now() - begin) * 1e9;
    if (take_interrupt(status)) {
        r_->n_prompt -= uint32_t(session_->pending().size());
        conversation_->remove_last();
        say("Stopped before the answer; the message is forgotten.");
        return {};
    }
    if (!status.ok()) return status;
    return write_answer(n_tokens, turn);
}

Status Talk::write_answer(size_t n_tokens, TurnCost& turn) {
    const uint64_t begin = answer_ticks_ = next_status_ticks_ = ticks_now();
    const Status status = decode(*session_);
    turn.decode_ns = m_.clock.seconds(ticks_now() - begin) * 1e9;
    session_->flush();
    write("\n");
    terminal_.status("");
    const bool is_stopped = take_interrupt(status);
    turn.n_gen = uint32_t(session_->n_generated());
    turn.stop_reason = is_stopped ? "interrupted" : stop_reason_name(session_->stop_reason());
    keep_answer();
    keep_cost(turn);
    if (!status.ok() && !is_stopped) return status;
    if (!o_.quiet) {
        const double seconds = turn.decode_ns * 1e-9;
        say("[", r_->n_turns, ": ", turn.n_prompt, " tokens read in ",
            Fixed{turn.prefill_ns * 1e-9, 2}, " s, ", turn.n_reused, " known; ", turn.n_gen,
            is_stopped ? " written and stopped, " : " written, ",
            Fixed{seconds > 0 ? double(turn.n_gen) / seconds : 0, 2}, " t/s; context ",
            n_tokens + turn.n_gen, " of ", r_->n_ctx, "]");
    }
    if (session_->stop_reason() == StopReason::context_full)
        say("The context is full. /drop forgets the oldest turns, /reset all.");
    if (!o_.quiet) say();  // between turns
    return {};
}

// The bytes as they came, whole characters or not, so that they become the same tokens again.
void Talk::keep_answer() {
    bool has_room = conversation_->add(ChatRole::assistant, "");
    const Tokenizer& tokenizer = texts().tokenizer;
    char buffer[format::kMaxTokenBytes];
    for (const TokenId id : session_->tokens().last(session_->n_generated())) {
        if (tokenizer.ends_generation(id)) continue;
        has_room = has_room && conversation_->append(tokenizer.decode(id, buffer));
    }
    if (has_room) return;
    // Neither a question without an answer nor half of one: the turn goes.
    if (conversation_->n_messages() % 2 != 0) conversation_->remove_last();
    conversation_->remove_last();
    say("There is no room to keep this turn, which is forgotten.");
}

void Talk::keep_cost(const TurnCost& turn) {
    r_->n_turns++;
    r_->n_reused += turn.n_reused;
    decode_ns_ += turn.decode_ns;
    if (n_kept_turns_ == memory_.chat_turns.size()) return;
    memory_.chat_turns[n_kept_turns_++] = turn;
    r_->turns = memory_.chat_turns.first(n_kept_turns_);
}

void Talk::show_progress() {
    const uint64_t now = ticks_now();
    if (now < next_status_ticks_ || session_->n_generated() < 2) return;
    next_status_ticks_ = now + m_.clock.ticks_per_second / 2;
    const size_t n = session_->n_generated();
    const double seconds = m_.clock.seconds(now - answer_ticks_);
    terminal_.status(Text<96>(n, " tokens, ", Fixed{double(n) / seconds, 2}, " t/s, context ",
                              session_->tokens().size(), " of ", r_->n_ctx));
}

Status chat(const Machine& machine, const Weights& weights, const Options& options,
            ChatTerminal& terminal, Record* record) {
    Options own = options;
    if (!own.has_predict) own.n_predict = UINT32_MAX;
    Machine m = machine;
    m.entry_ticks = 0;  // until the first token a person types: nothing of the machine's
    m.phases = nullptr;
    Talk run(m, weights, own, terminal, record);
    const Status status = run.run();
    run.close(status);
    return status;
}

}  // namespace axiom
