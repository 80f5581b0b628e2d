// SPDX-License-Identifier: MIT
// tokenizer.chat_template of a GGUF -> the chat extent. packer/chat/derive.h does it; here are the
// keys and what a person is told.
#include <cstring>

#include "model/format/tokenizer_section.h"
#include "model/text/chat.h"
#include "model/text/unicode.h"
#include "packer/chat/derive.h"
#include "packer/sections.h"

namespace axiom::packer {

namespace {

using format::kNoToken;

constexpr std::string_view kKey = "tokenizer.chat_template";

Result<SpecialTexts> special_texts(const gguf::File& file) {
    const Result<std::vector<uint8_t>> section = build_tokenizer_section(file);
    if (!section.ok()) return section.status();
    format::TokenizerHeader header;
    std::memcpy(&header, section.value().data(), sizeof header);
    const Result<std::vector<std::string_view>> tokens = file.strings("tokenizer.ggml.tokens");
    if (!tokens.ok()) return tokens.status();
    SpecialTexts texts;
    texts.adds_bos = header.add_bos;
    if (header.bos != kNoToken) texts.bos = tokens.value()[header.bos];
    if (header.eos != kNoToken) texts.eos = tokens.value()[header.eos];
    return texts;
}

std::string quoted(std::string_view text) {
    return std::string(Text<300>(Quoted{text}).view());
}

}  // namespace

Result<std::vector<uint8_t>> build_chat_section(const gguf::File& file, std::string* note) {
    const Result<std::string_view> program = file.string(kKey, "");
    if (!program.ok()) return program.status();
    const std::string_view source = program.value();
    if (!is_utf8(source)) {
        return field_error(file.name(), kKey, file.find(kKey)->offset, "bytes that are not UTF-8",
                           "UTF-8");
    }
    const Result<SpecialTexts> special = special_texts(file);
    if (!special.ok()) return special.status();

    DerivedChat derived = derive_chat(source, special.value());
    if (source.empty()) {
        *note = "no chat template in the file: prompts are taken as they are";
    } else if (!derived.problem.empty()) {
        *note = "unknown chat template (" + derived.problem +
                "), prompts are taken as they are; it begins " + quoted(source.substr(0, 60));
    } else {
        const Result<ChatTemplate> chat = ChatTemplate::open(file.name(), 0, derived.section);
        if (!chat.ok()) return chat.status();
        *note = std::string(chat_format_name(chat.value())) + " chat template";
        if (chat.value().can_switch_reasoning()) *note += ", --reasoning on or off";
        if (!derived.default_system.empty()) {
            *note +=
                ", its own system message with --default-system: " + quoted(derived.default_system);
        }
    }
    return std::move(derived.section);
}

}  // namespace axiom::packer
