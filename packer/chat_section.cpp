// SPDX-License-Identifier: MIT
// tokenizer.chat_template of a GGUF -> the chat extent. Templates are Jinja programs; the known
// ones are recognised by the markers they write, and what they write for one message is kept as
// data.
#include <cstring>

#include "model/format/chat_section.h"
#include "model/format/tokenizer_section.h"
#include "model/text/unicode.h"
#include "packer/sections.h"

namespace axiom::packer {

namespace {

using format::ChatHeader;
using format::ChatKind;
using format::ChatSpan;
using format::kNoToken;

constexpr std::string_view kKey = "tokenizer.chat_template";

// What a template writes, before it becomes spans.
struct Parts {
    ChatKind kind = ChatKind::none;
    std::string begin_text, system_prefix, default_system, system_suffix;
    std::string user_prefix, user_suffix, assistant_prefix;
};

bool has(std::string_view text, std::string_view marker) {
    return text.find(marker) != std::string_view::npos;
}

// The texts of the special tokens that templates name: empty where there is none.
struct SpecialTexts {
    std::string bos, eos;
    bool adds_bos = false;
};

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

// A string literal's text in a Jinja program, up to (not with) the marker `end`: the escapes
// undone. Empty if the literal ends first, for then it is a program that goes on.
std::string literal_until(std::string_view program, std::string_view end) {
    std::string text;
    for (size_t i = 0; i < program.size(); i++) {
        if (program.substr(i).starts_with(end)) return text;
        if (program[i] == '\'' || program[i] == '"' || program.substr(i).starts_with("{{")) break;
        if (program[i] == '\\' && i + 1 < program.size()) {
            const char c = program[++i];
            text.push_back(c == 'n' ? '\n' : c == 't' ? '\t' : c);
        } else {
            text.push_back(program[i]);
        }
    }
    return {};
}

// The first system message that stands in a ChatML program word for word.
std::string chatml_default_system(std::string_view program) {
    for (const std::string_view start : {"<|im_start|>system\n", "<|im_start|>system\\n"}) {
        for (size_t at = program.find(start); at != std::string_view::npos;
             at = program.find(start, at + 1)) {
            std::string text = literal_until(program.substr(at + start.size()), "<|im_end|>");
            if (!text.empty()) return text;
        }
    }
    return {};
}

Parts chatml(std::string_view program) {
    Parts p;
    p.kind = ChatKind::chatml;
    p.system_prefix = "<|im_start|>system\n";
    p.default_system = chatml_default_system(program);
    p.system_suffix = p.user_suffix = "<|im_end|>\n";
    p.user_prefix = "<|im_start|>user\n";
    p.assistant_prefix = "<|im_start|>assistant\n";
    return p;
}

// The system message stands inside the first [INST]. Programs without <<SYS>> (Mistral 7B 0.1) put
// it on a line of its own, as llama.cpp does for them.
Parts llama2(std::string_view program) {
    Parts p;
    p.kind = ChatKind::llama2;
    p.begin_text = "[INST] ";
    p.system_prefix = has(program, "<<SYS>>") ? "<<SYS>>\n" : "";
    p.system_suffix = has(program, "<<SYS>>") ? "\n<</SYS>>\n\n" : "\n";
    p.user_suffix = " [/INST]";
    return p;
}

Parts llama3() {
    Parts p;
    p.kind = ChatKind::llama3;
    p.system_prefix = "<|start_header_id|>system<|end_header_id|>\n\n";
    p.user_prefix = "<|start_header_id|>user<|end_header_id|>\n\n";
    p.system_suffix = p.user_suffix = "<|eot_id|>";
    p.assistant_prefix = "<|start_header_id|>assistant<|end_header_id|>\n\n";
    return p;
}

Parts zephyr(const std::string& end) {
    Parts p;
    p.kind = ChatKind::zephyr;
    p.system_prefix = "<|system|>\n";
    p.user_prefix = "<|user|>\n";
    p.system_suffix = p.user_suffix = end + "\n";
    p.assistant_prefix = "<|assistant|>\n";
    return p;
}

// What ends a turn that begins with <|user|>, or nothing (Falcon 3 and others have no end).
std::string zephyr_end(std::string_view program, const SpecialTexts& special) {
    const size_t user = program.find("<|user|>");
    const std::string_view turn = program.substr(user, program.find("}}", user) - user);
    if (has(turn, "eos_token")) return special.eos;
    if (has(turn, "</s>")) return "</s>";
    if (has(turn, "<|endoftext|>")) return "<|endoftext|>";
    return {};
}

Parts recognise(std::string_view program, const SpecialTexts& special) {
    if (has(program, "<|im_start|>") && !has(program, "<|im_sep|>")) return chatml(program);
    if (has(program, "[INST] ") && !has(program, "[SYSTEM_PROMPT]") &&
        !has(program, "[AVAILABLE_TOOLS]") && !has(program, "' [INST] ' + system_message")) {
        return llama2(program);
    }
    if (has(program, "<|start_header_id|>") && has(program, "<|end_header_id|>")) return llama3();
    if (has(program, "<|user|>") && has(program, "<|assistant|>") && !has(program, "<|end|>")) {
        const std::string end = zephyr_end(program, special);
        if (!end.empty()) return zephyr(end);
    }
    return {};
}

std::vector<uint8_t> serialize(const Parts& p) {
    ChatHeader h{};
    h.kind = p.kind;
    std::string text;
    const auto add = [&](const std::string& part) {
        const ChatSpan span{uint32_t(text.size()), uint32_t(text.size() + part.size())};
        text += part;
        return span;
    };
    h.begin_text = add(p.begin_text);
    h.system_prefix = add(p.system_prefix);
    h.default_system = add(p.default_system);
    h.system_suffix = add(p.system_suffix);
    h.user_prefix = add(p.user_prefix);
    h.user_suffix = add(p.user_suffix);
    h.assistant_prefix = add(p.assistant_prefix);
    h.text_bytes = uint32_t(text.size());
    std::vector<uint8_t> out(sizeof h + text.size());
    std::memcpy(out.data(), &h, sizeof h);
    if (!text.empty()) std::memcpy(&out[sizeof h], text.data(), text.size());
    return out;
}

const char* kind_name(ChatKind kind) {
    switch (kind) {
        case ChatKind::none:
            return "none";
        case ChatKind::chatml:
            return "ChatML";
        case ChatKind::llama2:
            return "Llama 2";
        case ChatKind::llama3:
            return "Llama 3";
        case ChatKind::zephyr:
            return "Zephyr";
    }
    return "none";
}

}  // namespace

Result<std::vector<uint8_t>> build_chat_section(const gguf::File& file, std::string* note) {
    const Result<std::string_view> program = file.string(kKey, "");
    if (!program.ok()) return program.status();
    if (program.value().empty()) {
        *note = "no chat template in the file: prompts are taken as they are";
        return serialize({});
    }
    if (!is_utf8(program.value())) {
        return field_error(file.name(), kKey, file.find(kKey)->offset, "bytes that are not UTF-8",
                           "UTF-8");
    }
    const Result<SpecialTexts> special = special_texts(file);
    if (!special.ok()) return special.status();

    Parts parts = recognise(program.value(), special.value());
    if (parts.kind == ChatKind::none) {
        const std::string_view start = program.value().substr(0, 60);
        *note = "unknown chat template, prompts are taken as they are; it begins " +
                std::string(Text<300>(Quoted{start}).view());
        return serialize(parts);
    }
    const bool is_llama = parts.kind == ChatKind::llama2 || parts.kind == ChatKind::llama3;
    if (!special.value().adds_bos && (is_llama || has(program.value(), "bos_token"))) {
        parts.begin_text = special.value().bos + parts.begin_text;
    }
    *note = std::string(kind_name(parts.kind)) + " chat template";
    if (!parts.default_system.empty()) {
        *note += ", system message unless given: " +
                 std::string(Text<300>(Quoted{parts.default_system}).view());
    }
    return serialize(parts);
}

}  // namespace axiom::packer
