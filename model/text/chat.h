// SPDX-License-Identifier: MIT
// The chat template as data: expands a conversation into the segments the tokenizer takes. Template
// text may contain special tokens; what people and models wrote may not.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/date.h"
#include "core/status.h"
#include "model/format/chat_section.h"
#include "model/text/tokenizer.h"

namespace axiom {

enum class ChatRole : uint8_t { system, user, assistant };
struct ChatMessage {
    ChatRole role;
    std::string_view content;
};

using format::Reasoning;

struct ChatStyle {
    Reasoning reasoning = Reasoning::by_template;
    // Without a system message: the one that the template brings, where it can be left out.
    bool default_system = true;
    CalendarDate date;
};

// What an expansion writes to: segments in order, in the caller's room. They view into the
// template, the messages and this object, which all outlive them.
class ChatText {
  public:
    // A conversation of n messages never has more segments than this.
    static constexpr size_t kMaxDates = 4, kMaxReasoningMarks = 8;
    static constexpr size_t max_segments(size_t n_messages) {
        return 4 * n_messages + 2 + 2 * kMaxDates + kMaxReasoningMarks;
    }

    explicit ChatText(std::span<Tokenizer::Segment> room) : room_(room) {}
    ChatText(const ChatText&) = delete;
    ChatText& operator=(const ChatText&) = delete;
    std::span<const Tokenizer::Segment> segments() const { return room_.first(n_); }

  private:
    friend class ChatTemplate;
    std::span<Tokenizer::Segment> room_;
    size_t n_ = 0;
    std::array<std::array<char, kMaxDateBytes>, kMaxDates> dates_;
    size_t n_dates_ = 0;
};

class ChatTemplate {
  public:
    // Checks kind, sizes, spans, and that each part is UTF-8 with dates that can be written. The
    // bytes outlive the template.
    static Result<ChatTemplate> open(std::string_view file, uint64_t extent_offset,
                                     std::span<const uint8_t> bytes);

    bool present() const { return header_.kind != format::ChatKind::none; }
    // The model's own template, a Jinja program; empty if its file has none. With a source but not
    // present(), the template was not understood, and prompts can only be given as they are.
    std::string_view source() const { return part(header_.source); }

    bool can_switch_reasoning() const;
    bool has_default_system() const;  // one that ChatStyle::default_system leaves out
    bool writes_date() const;

    // A whole conversation up to where the assistant goes on: [system] user (assistant user)*, as
    // the model's own template renders it. A system message of which nothing is left once the
    // template has stripped it counts as none. Needs present(), and room for
    // ChatText::max_segments(messages.size()). bad_option: reasoning is to be switched and the
    // template cannot, or it writes the date and none is known.
    Status expand(std::span<const ChatMessage> messages, const ChatStyle& style,
                  ChatText& out) const;

    // What follows an assistant's message when the user goes on, up to where the assistant does:
    // the end of its turn, the user's turn, the beginning of the next. The text of expand() for a
    // conversation is that for its beginning, the last assistant's message and this, unless
    // rewrites_history(). `system` is the conversation's, which may switch reasoning.
    Status expand_next(std::string_view system, std::string_view user, const ChatStyle& style,
                       ChatText& out) const;

    // True if earlier turns of a conversation read differently once it goes on: reasoning is taken
    // out of them, or the system message stands before the last user message.
    bool rewrites_history(bool has_system) const;

    // A bound for what expand() adds to the contents of n messages.
    size_t max_added_bytes(size_t n_messages) const;

    // For people: what stands between a user's message and the assistant's.
    std::string_view generate_text(Reasoning reasoning) const {
        return part(header_.modes[size_t(reasoning)].generate);
    }

  private:
    std::string_view part(format::ChatSpan span) const {
        return {text_.data() + span.begin, span.end - span.begin};
    }
    Status check_style(const ChatStyle& style) const;
    const format::ChatJoints& joints(Reasoning reasoning) const {
        return header_.modes[size_t(reasoning)];
    }
    struct System;
    System read_system(std::string_view content, Reasoning reasoning) const;
    void put_joint(format::ChatSpan span, const ChatStyle& style, ChatText& out) const;
    void put_assistant(const format::ChatJoints& joints, std::string_view content,
                       ChatText& out) const;

    format::ChatHeader header_{};
    std::string_view text_;
};

}  // namespace axiom
