// SPDX-License-Identifier: MIT
// The chat template as data: expands one user message (and an optional system message) into the
// segments the tokenizer takes. Template text may contain special tokens; a person's text may not.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "model/format/chat_section.h"
#include "model/text/tokenizer.h"

namespace axiom {

class ChatTemplate {
  public:
    // Checks kind, sizes, spans and that each part is UTF-8. The bytes outlive the template.
    static Result<ChatTemplate> open(std::string_view file, uint64_t extent_offset,
                                     std::span<const uint8_t> bytes);

    format::ChatKind kind() const { return header_.kind; }
    bool present() const { return header_.kind != format::ChatKind::none; }

    static constexpr size_t kMaxSegments = 8;
    using Segments = std::array<Tokenizer::Segment, kMaxSegments>;
    // The system message that the template supplies when a conversation has none; may be empty.
    std::string_view default_system() const { return part(header_.default_system); }

    // `system` empty: no system message, as llama.cpp's built-in templates do it. Returns the
    // number of segments written; they view into the template, `system` and `user`. Without a
    // template it is `user` alone. Llama 2 and 3 strip blanks around both messages, as their
    // templates do.
    size_t expand(std::string_view system, std::string_view user, Segments& out) const;

  private:
    std::string_view part(format::ChatSpan span) const {
        return {text_.data() + span.begin, span.end - span.begin};
    }
    format::ChatHeader header_{};
    std::string_view text_;
};

}  // namespace axiom
