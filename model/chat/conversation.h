// SPDX-License-Identifier: MIT
// The messages of a conversation, in memory of a fixed size: the system's, which may be empty, then users'
// and assistants' in turn; and the tokens that a model is to go on from.
// Must not know: engines, or where messages come from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/report/options.h"
#include "model/run/prompt.h"

namespace axiom {

class Conversation {
  public:
    struct Room {
        std::span<char> text;
        std::span<ChatMessage> messages;         // at least one
        std::span<Tokenizer::Segment> segments;  // ChatText::max_segments(messages.size())
        std::span<TokenId> tokens;               // max_tokens(text.size())
        std::span<uint8_t> encoder;              // Tokenizer::scratch_bytes(text.size())
    };
    // `texts` outlive it.
    Conversation(const Texts& texts, const Room& room);

    // What does not fit changes nothing: false.
    [[nodiscard]] bool set_system(std::string_view text);
    [[nodiscard]] bool add(ChatRole role, std::string_view text);
    // To the last message.
    [[nodiscard]] bool append(std::string_view text);

    void remove_last();  // message
    // The first user's message and its answer; false where that is the last one of a user.
    bool drop_oldest_turn();
    void clear();  // all but the system's

    std::string_view system() const { return room_.messages[0].content; }
    size_t n_messages() const { return n_; }  // with the system's

    // The tokens of all of it, up to where the assistant goes on; the last message is a user's. no_memory:
    // more text than there is room for with what the template adds. They stay until the next call.
    Result<std::span<const TokenId>> encode(const Options& options);

  private:
    [[nodiscard]] bool resize(size_t i_message, size_t n_bytes);

    const Texts& texts_;
    Room room_;
    size_t n_ = 1;
    size_t n_bytes_ = 0;  // of all messages, one after another
};

}  // namespace axiom
