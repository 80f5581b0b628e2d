// SPDX-License-Identifier: MIT
// What can be typed besides messages.
#include <algorithm>

#include "model/chat/talk.h"

namespace axiom {

struct Talk::Command {
    std::string_view name, value, help;
    Status (Talk::*run)(std::string_view value);
};

constinit const Talk::Command Talk::kCommands[] = {
    {"/help", "", "print this; a message that begins with / is typed with //", &Talk::help},
    {"/stats", "", "what was read and written so far, and how fast", &Talk::stats},
    {"/system", "TEXT", "the system message from now on; - for none", &Talk::system},
    {"/temp", "X", "temperature; 0 = always the likeliest token", &Talk::temp},
    {"/seed", "N", "of the random draws, which begin anew", &Talk::seed},
    {"/drop", "", "forget the oldest turns, until half of the context is free", &Talk::drop},
    {"/reset", "", "forget the conversation, but for the system message", &Talk::reset},
    {"/models", "", "the models there are", &Talk::models},
    {"/save-record", "", "keep the record as it is now", &Talk::save_record},
    {"/exit", "", "end", &Talk::exit},
};

Status Talk::command(std::string_view line) {
    while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
    const size_t n_name = std::min(line.find(' '), line.size());
    std::string_view value = line.substr(n_name);
    while (value.starts_with(' ')) value.remove_prefix(1);
    for (const Command& c : kCommands) {
        if (c.name != line.substr(0, n_name)) continue;
        if (value.empty() || !c.value.empty()) return (this->*c.run)(value);
        say("error: ", c.name, ": found ", Quoted{value}, ", allowed nothing after it");
        return {};
    }
    say("error: found ", Quoted{line.substr(0, n_name)}, ", allowed what /help lists");
    return {};
}

Status Talk::help(std::string_view) {
    constexpr size_t kWidth = 16;
    for (const Command& c : kCommands)
        say("  ", PadRight{Text<32>(c.name, " ", c.value).view(), kWidth}, c.help);
    return {};
}

Status Talk::stats(std::string_view) {
    const auto rate = [](double n, double ns) { return Fixed{ns > 0 ? n * 1e9 / ns : 0, 2}; };
    say(r_->n_turns, " turns: ", r_->n_prompt, " tokens read, ", rate(r_->n_prompt, r_->prefill_ns),
        " t/s; ", r_->n_reused, " known; ", r_->n_gen, " written, ", rate(r_->n_gen, decode_ns_),
        " t/s; context ", session_->tokens().size(), " of ", r_->n_ctx);
    return {};
}

Status Talk::system(std::string_view value) {
    if (value.empty()) {
        say(conversation_->system().empty() ? "none" : conversation_->system());
    } else if (!conversation_->set_system(value == "-" ? "" : value)) {
        say("error: no room for ", value.size(), " bytes of text; /drop or /reset makes some");
    }
    return {};
}

void Talk::set(std::string_view name, std::string_view shown, std::string_view value) {
    if (Status s = set_option_by_name(name, shown, value, &options_); !s.ok())
        say("error: ", s.text());
}

Status Talk::temp(std::string_view value) {
    if (!value.empty()) set("--temp", "/temp", value);
    say("temperature ", Fixed{double(o_.temperature), 2});
    return {};
}

Status Talk::seed(std::string_view value) {
    if (!value.empty()) {
        set("--seed", "/seed", value);
        session_->restart({});
    }
    say("seed ", o_.seed);
    return {};
}

Status Talk::drop(std::string_view) {
    size_t n_dropped = 0, n_tokens = 0;
    const auto is_short = [&] {
        const Result<std::span<const TokenId>> tokens = conversation_->encode(o_);
        n_tokens = tokens.value().size();
        return tokens.ok() && n_tokens <= r_->n_ctx / 2;
    };
    // Without a message that waits there is no conversation to encode: its last turn stays.
    const bool has_waited = is_waiting_;
    if (!has_waited && !conversation_->add(ChatRole::user, "")) {
        if (!conversation_->drop_oldest_turn()) return {};
        n_dropped++;
        AXIOM_CHECK(conversation_->add(ChatRole::user, ""));
    }
    while (!is_short() && conversation_->drop_oldest_turn()) n_dropped++;
    if (!has_waited) conversation_->remove_last();
    say(n_dropped, " turns are forgotten.");
    return has_waited ? answer() : Status();
}

Status Talk::reset(std::string_view) {
    conversation_->clear();
    is_waiting_ = false;
    say("The conversation begins anew.");
    return {};
}

Status Talk::models(std::string_view) {
    say(terminal_.models());
    return {};
}

Status Talk::save_record(std::string_view) {
    fill_sums();
    std::string_view where;
    const Status status = terminal_.save(*r_, &where);
    say(status.ok() ? where : status.text());
    return {};
}

Status Talk::exit(std::string_view) {
    ended_ = true;
    return {};
}

}  // namespace axiom
