// SPDX-License-Identifier: MIT
// The packed file's extent `chat`: on-disk structs, written by packer/ and read by model/text.
// Little-endian, naturally aligned, without padding holes.
#pragma once

#include <cstdint>

namespace axiom::format {

// Extent `chat`: ChatHeader, then text[text_bytes]. Parts are [begin, end) into text; a prompt
// expands to  begin_text  [system_prefix system system_suffix]  user_prefix user user_suffix
// assistant_prefix. When there is no system message the bracket is left out.
enum class ChatKind : uint32_t { none = 0, chatml = 1, llama2 = 2, llama3 = 3, zephyr = 4 };
struct ChatSpan {
    uint32_t begin, end;
};
struct ChatHeader {
    ChatKind kind;
    uint32_t text_bytes;
    ChatSpan begin_text, system_prefix, default_system, system_suffix;
    ChatSpan user_prefix, user_suffix, assistant_prefix;
};
static_assert(sizeof(ChatHeader) == 64);

}  // namespace axiom::format
