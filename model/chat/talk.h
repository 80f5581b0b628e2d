// SPDX-License-Identifier: MIT
// The conversation as a run: turns and what they cost (chat.cpp), what can be typed besides messages
// (commands.cpp). Private to these two.
#pragma once

#include <optional>

#include "model/chat/chat.h"
#include "model/chat/conversation.h"
#include "model/run/generation.h"

namespace axiom {

class Talk final : public Generation {
  public:
    // `options` is written to, by commands.
    Talk(const Machine& machine, const Weights& weights, Options& options, ChatTerminal& terminal,
         Record* record)
        : Generation(machine, weights, options, record), options_(options), terminal_(terminal) {}
    Status run();

  private:
    struct Command;
    static const Command kCommands[];

    Status start();
    Status hear(std::string_view line);
    void stopped();
    // Turns. Status: what ends the run.
    Status add_message(std::string_view text);
    Status answer();
    Status write_answer(size_t n_tokens, TurnCost& turn);
    void keep_answer();
    void keep_cost(const TurnCost& turn);
    void refuse(const Status& why, size_t n_tokens);
    bool take_interrupt(const Status& status);
    void show_progress();

    // What can be typed.
    Status command(std::string_view line);
    Status help(std::string_view), stats(std::string_view), system(std::string_view),
        temp(std::string_view), seed(std::string_view), drop(std::string_view),
        reset(std::string_view), models(std::string_view), save_record(std::string_view),
        exit(std::string_view);
    void set(std::string_view name, std::string_view shown, std::string_view value);

    template <class... Parts>
    void say(const Parts&... parts) {
        m_.loop->poll_tasks();  // what was written before stands before
        m_.remark(Text<2048>(parts...));
        m_.remark("\n");
    }

    Options& options_;
    ChatTerminal& terminal_;
    std::optional<Conversation> conversation_;
    std::optional<Session> session_;
    bool ended_ = false;
    bool is_waiting_ = false;  // the last message has no answer: the context was full
    uint32_t n_stops_ = 0;     // Ctrl-C at the prompt, one after another
    size_t n_kept_turns_ = 0;  // in the record, one by one
    double decode_ns_ = 0;     // of all answers, with sampling
    uint64_t answer_ticks_ = 0, next_status_ticks_ = 0;
};

}  // namespace axiom
