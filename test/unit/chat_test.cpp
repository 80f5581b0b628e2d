// SPDX-License-Identifier: MIT
// Chat templates: from the Jinja text of a GGUF to what the tokenizer is given. The expected texts
// were made by Jinja 3.1.6 from the templates below, and agree with llama.cpp's
// llama_chat_apply_template (February 2025) save where a case says otherwise.
#include "model/text/chat.h"

#include <cstddef>

#include "packer/gguf_builder.h"
#include "test/unit/tokenizer_fixture.h"

using namespace axiom;
using format::ChatHeader;
using format::ChatKind;
using format::TokenType;

namespace {

// SmolLM2-135M-Instruct. llama_chat_apply_template leaves its default system message out.
const std::string kSmolLm2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
    "<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + "
    "'<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% endif %}";
const std::string kChatMl =
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + message['content'] "
    "+ "
    "'<|im_end|>' + '\\n'}}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' "
    "}}"
    "{% endif %}";
const std::string kQwen2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}"
    "{{ '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}{% endif %}" +
    kChatMl.substr(30);
const std::string kLlama2 =
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set "
    "system_message "
    "= messages[0]['content'] %}{% else %}{% set loop_messages = messages %}{% set system_message "
    "= false "
    "%}{% endif %}{% for message in loop_messages %}{% if loop.index0 == 0 and system_message != "
    "false %}"
    "{% set content = '<<SYS>>\\n' + system_message + '\\n<</SYS>>\\n\\n' + message['content'] %}"
    "{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == "
    "'assistant' %}"
    "{{ ' '  + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}";
const std::string kLlama3 =
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = "
    "'<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ message['content'] | "
    "trim + "
    "'<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant"
    "<|end_header_id|>\\n\\n' }}{% endif %}";
// llama_chat_apply_template takes it for Falcon 3 and writes no </s>.
const std::string kTinyLlama =
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' "
    "+ "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ "
    "'<|assistant|>\\n'  "
    "+ message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt "
    "%}\n"
    "{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";
const std::string kFalcon3 =
    "{% for message in messages %}{% if message['role'] == 'user' %}{{ '<|user|>\\n' + "
    "message['content'] + '\\n' }}{% elif message['role'] == 'assistant' %}{{ '<|assistant|>\\n' + "
    "message['content'] + eos_token }}{% endif %}{% endfor %}";

struct Chat {
    explicit Chat(const std::string& program, bool adds_bos = true) {
        const std::vector<std::string> tokens = {"<s>", "</s>", "a"};
        const std::vector<int32_t> types = {3, 3, 1};
        const std::vector<float> scores(3);
        gguf::Builder b;
        b.string("tokenizer.ggml.model", "llama").strings("tokenizer.ggml.tokens", tokens);
        b.integers("tokenizer.ggml.token_type", types).floats("tokenizer.ggml.scores", scores);
        b.u32("tokenizer.ggml.bos_token_id", 0).u32("tokenizer.ggml.eos_token_id", 1);
        b.boolean("tokenizer.ggml.add_bos_token", adds_bos);
        if (!program.empty()) b.string("tokenizer.chat_template", program);
        const std::vector<uint8_t> bytes = b.build();
        const auto file = gguf::File::parse("chat.gguf", bytes);
        REQUIRE(file.ok());
        const auto built = packer::build_chat_section(file.value(), &note);
        INFO(built.status().text());
        REQUIRE(built.ok());
        section = built.value();
        const auto opened = ChatTemplate::open("chat.axm", 0x3000, section);
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        chat = opened.value();
    }
    std::string expand(std::string_view system, std::string_view user) const {
        ChatTemplate::Segments segments;
        std::string text;
        const size_t n = chat.expand(system, user, segments);
        for (size_t i = 0; i < n; i++) text += segments[i].text;
        return text;
    }

    std::string note;
    std::vector<uint8_t> section;
    ChatTemplate chat;
};

void check_refused(const std::vector<uint8_t>& section, std::string_view field) {
    const auto opened = ChatTemplate::open("chat.axm", 0x3000, section);
    const std::string text(opened.status().text());
    INFO(field << ": " << text);
    CHECK_FALSE(opened.ok());
    CHECK(text.starts_with("chat.axm: chat"));
    CHECK(text.find(field) != std::string::npos);
    CHECK(text.find(" at offset 0x30") != std::string::npos);
    CHECK(text.find("allowed ") != std::string::npos);
}

}  // namespace

TEST_CASE("SmolLM2's template brings its own system message, used only when asked for") {
    const Chat chat(kSmolLm2);
    CHECK(chat.chat.kind() == ChatKind::chatml);
    CHECK(chat.expand("", "Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    CHECK(chat.expand(chat.chat.default_system(), " Hi there\n") ==
          "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
          "<|im_end|>\n<|im_start|>user\n Hi there\n<|im_end|>\n<|im_start|>assistant\n");
    CHECK(chat.expand("Be brief. ", "Hi") ==
          "<|im_start|>system\nBe brief. <|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
          "<|im_start|>assistant\n");
    CHECK(chat.note.find("SmolLM, trained by") != std::string::npos);
}

TEST_CASE("ChatML with and without a system message of its own") {
    CHECK(Chat(kChatMl).expand("", "Hi") ==
          "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    const Chat qwen2(kQwen2);
    CHECK(
        qwen2.expand(qwen2.chat.default_system(), " Hi there\n") ==
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n Hi there\n"
        "<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("Llama 2's template strips messages and puts the system message inside the instruction") {
    const Chat chat(kLlama2);
    CHECK(chat.chat.kind() == ChatKind::llama2);
    CHECK(chat.expand("", " Hi there\n") == "[INST] Hi there [/INST]");
    CHECK(chat.expand("Be brief. ", "Hi") == "[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\nHi [/INST]");
}

TEST_CASE("Llama 3's template") {
    const Chat chat(kLlama3);
    CHECK(chat.chat.kind() == ChatKind::llama3);
    CHECK(chat.expand("", " Hi there\n") ==
          "<|start_header_id|>user<|end_header_id|>\n\nHi there<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n");
    CHECK(chat.expand("Be brief. ", "Hi") ==
          "<|start_header_id|>system<|end_header_id|>\n\nBe brief.<|eot_id|>"
          "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>"
          "<|start_header_id|>assistant<|end_header_id|>\n\n");
}

TEST_CASE("TinyLlama's template ends turns with the end-of-sequence token") {
    const Chat chat(kTinyLlama);
    CHECK(chat.chat.kind() == ChatKind::zephyr);
    CHECK(chat.expand("", " Hi there\n") == "<|user|>\n Hi there\n</s>\n<|assistant|>\n");
    CHECK(chat.expand("Be brief. ", "Hi") ==
          "<|system|>\nBe brief. </s>\n<|user|>\nHi</s>\n<|assistant|>\n");
}

TEST_CASE("the template begins a text only where the tokenizer does not") {
    CHECK(Chat(kLlama2, false).expand("", "Hi") == "<s>[INST] Hi [/INST]");
    CHECK(Chat(kLlama3, false).expand("", "Hi").starts_with("<s><|start_header_id|>user"));
    CHECK(Chat(kChatMl, false).expand("", "Hi").starts_with("<|im_start|>user"));
}

TEST_CASE("templates that are not known are said, and prompts stay as they are") {
    for (const std::string& program : {std::string("{{ messages[0]['content'] }}"), kFalcon3,
                                       std::string("<|im_start|><|im_sep|>"),
                                       std::string("{{ '[INST] ' }}{{ '[AVAILABLE_TOOLS]' }}")}) {
        const Chat chat(program);
        CHECK_FALSE(chat.chat.present());
        CHECK(chat.note.find("unknown chat template") != std::string::npos);
        CHECK(chat.expand("ignored", "Hi") == "Hi");
    }
    const Chat none("");
    CHECK_FALSE(none.chat.present());
    CHECK(none.note.find("no chat template") != std::string::npos);
}

TEST_CASE("what people write is never read as template text") {
    const Chat chat(kSmolLm2);
    ChatTemplate::Segments segments;
    const size_t n = chat.chat.expand("SYSTEM", "USER", segments);
    REQUIRE(n == 7);
    for (size_t i = 0; i < n; i++) {
        const bool from_a_person = segments[i].text == "SYSTEM" || segments[i].text == "USER";
        CHECK((segments[i].specials == Tokenizer::Specials::literal) == from_a_person);
    }
}

TEST_CASE("a chat extent that lies is refused by name") {
    const std::vector<uint8_t> section = Chat(kSmolLm2).section;
    const auto with = [&](size_t offset, uint32_t value) {
        std::vector<uint8_t> changed = section;
        std::memcpy(&changed[offset], &value, 4);
        return changed;
    };
    for (size_t n = 0; n < section.size(); n++) {
        check_refused({section.begin(), section.begin() + ptrdiff_t(n)},
                      n < sizeof(ChatHeader) ? "extent size" : "text_bytes");
    }
    check_refused(with(offsetof(ChatHeader, kind), 5), "kind");
    check_refused(with(offsetof(ChatHeader, kind), 0), "text_bytes");
    check_refused(with(offsetof(ChatHeader, text_bytes), 0xffffffff), "text_bytes");
    const char* names[] = {"begin_text",  "system_prefix", "default_system",  "system_suffix",
                           "user_prefix", "user_suffix",   "assistant_prefix"};
    for (size_t i = 0; i < 7; i++) {
        const size_t span = offsetof(ChatHeader, begin_text) + 8 * i;
        check_refused(with(span, 0xffffffff), names[i]);
        check_refused(with(span + 4, uint32_t(section.size())), names[i]);
    }
    std::vector<uint8_t> not_utf8 = section;
    not_utf8.back() = 0x80;
    check_refused(not_utf8, "assistant_prefix text");
}
