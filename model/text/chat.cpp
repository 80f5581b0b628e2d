// SPDX-License-Identifier: MIT
// Opens a chat extent and expands it around a person's message.
// Must not know: what templates look like in a GGUF (packer/chat_section.cpp).
#include "model/text/chat.h"

#include <cstring>

#include "model/text/unicode.h"

namespace axiom {

namespace {

using format::ChatHeader;
using format::ChatKind;
using format::ChatSpan;

// Llama's own templates strip what people wrote; the others do not.
bool strips_messages(ChatKind kind) {
    return kind == ChatKind::llama2 || kind == ChatKind::llama3;
}

bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view strip(std::string_view text) {
    while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
    while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
    return text;
}

}  // namespace

Result<ChatTemplate> ChatTemplate::open(std::string_view file, uint64_t extent_offset,
                                        std::span<const uint8_t> bytes) {
    if (bytes.size() < sizeof(ChatHeader)) {
        return field_error(file, "chat extent size", extent_offset, bytes.size(),
                           Text<32>("at least ", sizeof(ChatHeader)).view());
    }
    ChatTemplate t;
    ChatHeader& h = t.header_;
    std::memcpy(&h, bytes.data(), sizeof h);
    const auto offset = [&](const void* field) {
        return extent_offset +
               uint64_t(static_cast<const char*>(field) - reinterpret_cast<const char*>(&h));
    };
    if (uint32_t(h.kind) > uint32_t(ChatKind::zephyr)) {
        return field_error(file, "chat kind", offset(&h.kind), uint32_t(h.kind),
                           "0 (none), 1 (chatml), 2 (llama2), 3 (llama3), 4 (zephyr)");
    }
    const size_t n_text = bytes.size() - sizeof h;
    if (h.text_bytes != n_text || (h.kind == ChatKind::none && n_text != 0)) {
        return field_error(
            file, "chat text_bytes", offset(&h.text_bytes), h.text_bytes,
            h.kind == ChatKind::none
                ? std::string_view("0, and no text in the extent, without a template")
                : Text<48>(n_text, ", the rest of the extent").view());
    }
    t.text_ = {reinterpret_cast<const char*>(bytes.data()) + sizeof h, n_text};

    const struct {
        std::string_view name;
        const ChatSpan* span;
    } spans[] = {{"begin_text", &h.begin_text},
                 {"system_prefix", &h.system_prefix},
                 {"default_system", &h.default_system},
                 {"system_suffix", &h.system_suffix},
                 {"user_prefix", &h.user_prefix},
                 {"user_suffix", &h.user_suffix},
                 {"assistant_prefix", &h.assistant_prefix}};
    uint32_t end = 0;  // parts stand in this order and share no text
    for (const auto& s : spans) {
        if (s.span->begin < end || s.span->begin > s.span->end || s.span->end > n_text) {
            return field_error(file, Text<32>("chat ", s.name).view(), offset(s.span),
                               Text<48>("[", s.span->begin, ", ", s.span->end, ")").view(),
                               Text<48>("begin from ", end, " up to end up to ", n_text).view());
        }
        end = s.span->end;
        if (!is_utf8(t.part(*s.span))) {
            return field_error(file, Text<48>("chat ", s.name, " text").view(),
                               extent_offset + sizeof h + s.span->begin, Quoted{t.part(*s.span)},
                               "UTF-8");
        }
    }
    return t;
}

size_t ChatTemplate::expand(std::string_view system, std::string_view user, Segments& out) const {
    constexpr auto parse = Tokenizer::Specials::parse, literal = Tokenizer::Specials::literal;
    size_t n = 0;
    const auto put = [&](std::string_view text, Tokenizer::Specials specials) {
        if (!text.empty()) out[n++] = {text, specials};
    };
    if (!present()) {
        put(user, literal);
        return n;
    }
    if (strips_messages(header_.kind)) {
        system = strip(system);
        user = strip(user);
    }
    put(part(header_.begin_text), parse);
    if (!system.empty()) {
        put(part(header_.system_prefix), parse);
        put(system, literal);
        put(part(header_.system_suffix), parse);
    }
    put(part(header_.user_prefix), parse);
    put(user, literal);
    put(part(header_.user_suffix), parse);
    put(part(header_.assistant_prefix), parse);
    return n;
}

}  // namespace axiom
