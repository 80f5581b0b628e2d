// SPDX-License-Identifier: MIT
// Fuzz target: chat templates. After the first byte an input is, if that is odd, changes to a valid
// chat extent (two bytes where, one byte what), and otherwise a template's text.
#include <cstdlib>
#include <iterator>
#include <vector>

#include "model/text/unicode.h"
#include "packer/chat/derive.h"

using namespace axiom;

namespace {

void require(bool condition) {
    if (!condition) abort();
}

// Whatever an extent says that could be opened, conversations fit the room for them.
void expand(const ChatTemplate& chat) {
    constexpr ChatMessage kMessages[] = {{ChatRole::system, " Be brief. /no_think\n"},
                                         {ChatRole::user, "\n Hi "},
                                         {ChatRole::assistant, "<think>a</think>\nb"},
                                         {ChatRole::user, " Bye\n"}};
    size_t n_written = 0;
    for (const ChatMessage& m : kMessages) n_written += m.content.size();
    for (const Reasoning reasoning : {Reasoning::by_template, Reasoning::on, Reasoning::off}) {
        Tokenizer::Segment room[ChatText::max_segments(std::size(kMessages))];
        ChatText text(room);
        const ChatStyle style{reasoning, (n_written & 1) != 0, {2026, 2, 3}};
        if (const Status s = chat.expand(kMessages, style, text); !s.ok()) {
            require(!s.text().empty());
            continue;
        }
        size_t n_bytes = 0;
        for (const auto& segment : text.segments()) n_bytes += segment.text.size();
        require(n_bytes <= n_written + chat.max_added_bytes(std::size(kMessages)));
        require(chat.expand_next(kMessages[0].content, "Hi", style, text).ok());
    }
}

// An extent that has something in every part.
const std::vector<uint8_t>& valid_extent() {
    static const packer::DerivedChat chat = packer::derive_chat(
        "{{ bos_token }}<sys>{{ strftime_now('%d %B %Y') }}{% if messages[0].role == 'system' %}"
        "{% set s = messages[0].content %}{% if '/no_think' in s %}{% set enable_thinking = false "
        "%}"
        "{% elif '/think' in s %}{% set enable_thinking = true %}{% endif %}"
        "{{ s.replace('/no_think', '').replace('/think', '').strip() }}{% endif %}"
        "{{ enable_thinking }}{% for m in messages if m.role != 'system' %}{% set c = m.content %}"
        "{% if m.role == 'assistant' %}{% set c = c.split('</think>')[-1].lstrip('\\n') %}"
        "{% endif %}<{{ m.role }}>{{ c }}</>{% endfor %}<assistant>",
        {"<s>", "</s>", false});
    require(chat.problem.empty());
    return chat.section;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const bool is_extent = data[0] & 1, adds_bos = data[0] & 2;
    const std::vector<uint8_t> rest(data + 1, data + size);
    if (is_extent) {
        std::vector<uint8_t> extent = valid_extent();
        for (size_t i = 0; i + 2 < rest.size(); i += 3) {
            extent[(rest[i] + 256u * rest[i + 1]) % extent.size()] = rest[i + 2];
        }
        const Result<ChatTemplate> chat = ChatTemplate::open("f.axm", 0, extent);
        require(chat.ok() || !chat.status().text().empty());
        if (chat.ok() && chat.value().present()) expand(chat.value());
        return 0;
    }
    const std::string source(rest.begin(), rest.end());
    if (!is_utf8(source)) return 0;
    const packer::DerivedChat d = packer::derive_chat(source, {"<s>", "</s>", adds_bos});
    const Result<ChatTemplate> chat = ChatTemplate::open("f.axm", 0, d.section);
    require(chat.ok());
    require(chat.value().source() == source);
    require(chat.value().present() == d.problem.empty());
    if (chat.value().present()) expand(chat.value());
    return 0;
}
