// SPDX-License-Identifier: MIT
// The packed file's extent `chat`: on-disk structs, written by packer/ and read by model/text.
// Little-endian, naturally aligned, without padding holes.
#pragma once

#include <cstdint>

namespace axiom::format {

// Extent `chat`: ChatHeader, then text[text_bytes]. A ChatSpan is [begin, end) into text; spans may
// share text. A conversation is [system] user (assistant user)*, and its expansion ends where the
// assistant goes on:
//
//   with a system message     begin_system SYSTEM after_system USER
//   without                   begin USER, or bare_begin USER without the template's own message
//   a turn and the next       USER assistant ASSISTANT user USER
//   after the last user       generate
//
// The texts between what people write hold what a template writes around it, so an end of turn, an
// end-of-sequence token and the next turn's header are one text. A date stands in them as
// kChatDate FORMAT kChatDateEnd, FORMAT as strftime's (core/date.h says which).

// none: the file has no template, or one that is not understood (then `source` still is its text).
enum class ChatKind : uint32_t { none = 0, joints = 1 };

struct ChatSpan {
    uint32_t begin, end;
};

constexpr char kChatDate = '\x01', kChatDateEnd = '\x02';

struct ChatJoints {
    ChatSpan begin, bare_begin, begin_system, after_system;
    ChatSpan assistant, user, generate;
    ChatSpan reasoned;  // in place of `assistant`, before a reply that has reasoning
};
static_assert(sizeof(ChatJoints) == 64);

// What a template strips from either end of what was written.
enum class ChatStrip : uint8_t { nothing = 0, newlines = 1, blanks = 2 };
struct ChatStrips {
    ChatStrip left, right;
};

// Whether a model is to reason before it answers; the index of ChatHeader::modes. All modes are
// alike where a template has no switch.
enum class Reasoning : uint8_t { by_template = 0, on = 1, off = 2 };
constexpr uint32_t kChatModes = 3;

// Whether replies of earlier turns keep their reasoning; if_begun: only where reasoning_begin
// stands before it as well (otherwise the prompt began it, and the reply counts as one without).
enum class ReasoningKept : uint8_t { no = 0, yes = 1, if_begun = 2 };

struct ChatHeader {
    ChatKind kind;
    uint32_t text_bytes;
    ChatSpan source;  // the model's own template, a Jinja program
    ChatJoints modes[kChatModes];
    // A reply has reasoning if it has reasoning_end (</think>). ReasoningKept::no: only what
    // follows the last one is written, after `reasoned`. Otherwise: `reasoned`, what stands before
    // the first one and after reasoning_begin (<think>), `answer`, what follows it. Empty: there is
    // no such rule, replies are written whole.
    ChatSpan reasoning_end, reasoning_begin, answer;
    // Texts that switch reasoning where the system message has them (/think, /no_think); they are
    // taken out of it. Empty: there are none.
    ChatSpan reasoning_on, reasoning_off;
    // first_user: without a system message. joined_user: the one that follows the system message.
    // answer_only: what followed reasoning_end.
    ChatStrips system, first_user, joined_user, user, assistant, answer_only, reasoning;
    // 1: the system message stands before the last user message, not before the first. Then the
    // text before it is begin_system or, in later turns, user.
    uint8_t system_at_last;
    ReasoningKept reasoning_kept;
};
static_assert(sizeof(ChatHeader) == 264);

}  // namespace axiom::format
