// SPDX-License-Identifier: MIT
// Chat templates: from the Jinja text of a GGUF to what the tokenizer is given. What llama.cpp's
// templates give is compared with its own engine in chat_golden_test.cpp; the texts expected here
// were made by Jinja 3.1.6 from the templates below.
#include "model/text/chat.h"

#include <cstddef>

#include "packer/chat/derive.h"
#include "packer/gguf_builder.h"
#include "test/unit/tokenizer_fixture.h"

using namespace axiom;
using format::ChatHeader;
using format::ChatKind;

namespace {

// SmolLM2-135M-Instruct
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
    kChatMl.substr(29);
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
const std::string kTinyLlama =
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\\n' + "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'system' %}\n{{ '<|system|>\\n' "
    "+ "
    "message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' %}\n{{ "
    "'<|assistant|>\\n'  "
    "+ message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt "
    "%}\n"
    "{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}";
// One that reasons, cuts reasoning out of earlier turns, and writes the date.
const std::string kReasoner =
    "{{ bos_token }}<sys>{{ strftime_now('%d %B %Y') }}{% if messages[0].role == 'system' %}"
    "{% set s = messages[0].content %}{% if '/no_think' in s %}{% set enable_thinking = false %}"
    "{% elif '/think' in s %}{% set enable_thinking = true %}{% endif %}"
    "{{ s.replace('/no_think', '').replace('/think', '').strip() }}{% endif %}"
    "{{ '</sys on>' if enable_thinking else '</sys off>' }}"
    "{% for m in messages if m.role != 'system' %}{% set c = m.content %}"
    "{% if m.role == 'assistant' %}{% set c = c.split('</think>')[-1].lstrip('\\n') %}{% endif %}"
    "<{{ m.role }}>{{ c }}</>{% endfor %}<assistant>"
    "{{ '<think>' if enable_thinking else '<think></think>' }}";

// GGUF -> section -> template.
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
    std::string expand(const std::vector<ChatMessage>& messages, const ChatStyle& style) const {
        std::vector<Tokenizer::Segment> room(ChatText::max_segments(messages.size()));
        ChatText text(room);
        const Status s = chat.expand(messages, style, text);
        INFO(s.text());
        REQUIRE(s.ok());
        return text_of(text);
    }
    // One message and perhaps a system message, as a run without a chat has them.
    std::string expand(std::string_view system, std::string_view user,
                       bool default_system = false) const {
        return expand({{ChatRole::system, system}, {ChatRole::user, user}},
                      {Reasoning::by_template, default_system, {}});
    }
    static std::string text_of(const ChatText& text) {
        std::string out;
        for (const auto& s : text.segments()) out += s.text;
        return out;
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
    CHECK(text.find(" at offset 0x3") != std::string::npos);
    CHECK(text.find("allowed ") != std::string::npos);
}

// Bytes of a section with something else at an offset.
template <class T>
std::vector<uint8_t> with(std::vector<uint8_t> section, size_t offset, T value) {
    std::memcpy(&section[offset], &value, sizeof value);
    return section;
}

const CalendarDate kDate{2026, 2, 3};

}  // namespace

TEST_CASE("SmolLM2's template brings its own system message, used only when asked for") {
    const Chat chat(kSmolLm2);
    CHECK(chat.expand("", "Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    CHECK(chat.expand("", " Hi there\n", true) ==
          "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face"
          "<|im_end|>\n<|im_start|>user\n Hi there\n<|im_end|>\n<|im_start|>assistant\n");
    CHECK(chat.expand("Be brief. ", "Hi", true) ==
          "<|im_start|>system\nBe brief. <|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
          "<|im_start|>assistant\n");
    CHECK(chat.chat.has_default_system());
    CHECK(chat.chat.source() == kSmolLm2);
    CHECK(chat.note.find("ChatML chat template") != std::string::npos);
    CHECK(chat.note.find("SmolLM, trained by") != std::string::npos);
}

TEST_CASE("ChatML with and without a system message of its own") {
    const Chat chatml(kChatMl), qwen2(kQwen2);
    CHECK(chatml.expand("", "Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    CHECK(chatml.expand("", "Hi", true) == chatml.expand("", "Hi"));
    CHECK_FALSE(chatml.chat.has_default_system());
    CHECK(qwen2.expand("", "Hi") == chatml.expand("", "Hi"));
    CHECK(
        qwen2.expand("", " Hi there\n", true) ==
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n Hi there\n"
        "<|im_end|>\n<|im_start|>assistant\n");
}

TEST_CASE("Llama 2's template strips messages and puts the system message inside the instruction") {
    const Chat chat(kLlama2, false);
    CHECK(chat.expand("", " Hi there\n") == "<s>[INST] Hi there [/INST]");
    CHECK(chat.expand(" Be brief. ", " Hi ") ==
          "<s>[INST] <<SYS>>\n Be brief. \n<</SYS>>\n\n Hi [/INST]");
    CHECK(chat.expand({{ChatRole::user, "a"}, {ChatRole::assistant, " b\n"}, {ChatRole::user, "c"}},
                      {}) == "<s>[INST] a [/INST] b </s><s>[INST] c [/INST]");
    CHECK(chat.note.find("Mistral chat template") != std::string::npos);
}

TEST_CASE("Llama 3's template") {
    const Chat chat(kLlama3);
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
    CHECK(chat.expand("", " Hi there\n") == "<|user|>\n Hi there\n</s>\n<|assistant|>\n");
    CHECK(chat.expand("Be brief. ", "Hi") ==
          "<|system|>\nBe brief. </s>\n<|user|>\nHi</s>\n<|assistant|>\n");
}

TEST_CASE("the template begins a text only where the tokenizer does not") {
    CHECK(Chat(kLlama2, false).expand("", "Hi") == "<s>[INST] Hi [/INST]");
    CHECK(Chat(kLlama2, true).expand("", "Hi") == "[INST] Hi [/INST]");
    CHECK(Chat(kLlama3, false).expand("", "Hi").starts_with("<s><|start_header_id|>user"));
    CHECK(Chat(kLlama3, true).expand("s", "Hi").starts_with("<|start_header_id|>system"));
    CHECK(Chat(kChatMl, false).expand("", "Hi").starts_with("<|im_start|>user"));
}

TEST_CASE("a system message that a template refuses or ignores joins the first user's") {
    const std::string turns =
        "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}{% endfor %}[assistant]";
    const Chat refuses(
        "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}" + turns);
    CHECK(refuses.expand(" s ", " u ") == "[user]s \n u[assistant]");
    CHECK(refuses.expand({{ChatRole::system, "s"},
                          {ChatRole::user, "u"},
                          {ChatRole::assistant, " a "},
                          {ChatRole::user, " v "}},
                         {}) == "[user]s\nu[assistant]a[user]v[assistant]");
    const Chat ignores(
        "{% for m in messages if m.role != 'system' %}[{{ m.role }}]{{ m.content }}"
        "{% endfor %}[assistant]");
    CHECK(ignores.expand("s", "u") == "[user]s\nu[assistant]");
    CHECK(refuses.expand(" \n", " u ") == "[user]u[assistant]");
}

TEST_CASE("a system message may stand before the last user message") {
    const Chat chat(
        "{% for m in messages if m.role != 'system' %}{% if m.role == 'user' %}[I]"
        "{{ messages[0].content + ': ' if loop.last and messages[0].role == 'system' }}"
        "{{ m.content }}[/I]{% else %}{{ m.content + eos_token }}{% endif %}{% endfor %}");
    CHECK(chat.expand("s", "u") == "[I]s: u[/I]");
    CHECK(chat.expand({{ChatRole::system, "s"},
                       {ChatRole::user, "u"},
                       {ChatRole::assistant, "a"},
                       {ChatRole::user, "v"}},
                      {}) == "[I]u[/I]a</s>[I]s: v[/I]");
    CHECK(chat.chat.rewrites_history(true));
    CHECK_FALSE(chat.chat.rewrites_history(false));
}

TEST_CASE("reasoning is switched on and off, by option and by what the system message says") {
    const Chat chat(kReasoner);
    CHECK(chat.chat.can_switch_reasoning());
    CHECK(chat.chat.writes_date());
    const std::vector<ChatMessage> hi = {{ChatRole::user, "Hi"}};
    const auto style = [](Reasoning r) { return ChatStyle{r, true, kDate}; };
    const std::string on = "<sys>03 February 2026</sys on><user>Hi</><assistant><think>";
    const std::string off = "<sys>03 February 2026</sys off><user>Hi</><assistant><think></think>";
    CHECK(chat.expand(hi, style(Reasoning::by_template)) == on);
    CHECK(chat.expand(hi, style(Reasoning::on)) == on);
    CHECK(chat.expand(hi, style(Reasoning::off)) == off);
    for (const char* system : {"/no_think", " /no_think\n", "/think /no_think"}) {
        CHECK(chat.expand({{ChatRole::system, system}, hi[0]}, style(Reasoning::on)) == off);
    }
    CHECK(chat.expand({{ChatRole::system, "/think"}, hi[0]}, style(Reasoning::off)) == on);
    CHECK(chat.expand({{ChatRole::system, " Be /no_think brief. /think "}, hi[0]},
                      style(Reasoning::on)) ==
          "<sys>03 February 2026Be  brief.</sys off><user>Hi</><assistant><think></think>");
    std::string many;
    for (size_t i = 0; i < ChatText::kMaxReasoningMarks + 2; i++) many += "x /think";
    std::vector<Tokenizer::Segment> room(ChatText::max_segments(2));
    ChatText text(room);
    const ChatMessage messages[] = {{ChatRole::system, many}, {ChatRole::user, "Hi"}};
    CHECK(chat.chat.expand(messages, style(Reasoning::on), text).code() == Code::unsupported);
}

TEST_CASE("reasoning is cut out of earlier replies") {
    const Chat chat(kReasoner);
    const auto reply = [&](std::string_view text) {
        const std::string all =
            chat.expand({{ChatRole::user, "u"}, {ChatRole::assistant, text}, {ChatRole::user, "v"}},
                        {Reasoning::off, true, kDate});
        const size_t from = all.find("<assistant>") + 11;
        return all.substr(from, all.find("</>", from) - from);
    };
    CHECK(reply("<think>\nwell\n</think>\n\nyes ") == "yes ");
    CHECK(reply("well</think>yes</think>no") == "no");
    CHECK(reply("\nyes\n") == "yes\n");
    CHECK(reply("a</think>") == "");
    CHECK(chat.chat.rewrites_history(false));
}

TEST_CASE("reasoning that a template writes again in its own way stays") {
    const std::string turns =
        "{% for m in messages %}[{{ m.role }}]{% set c = m.content %}{% if m.role == 'assistant' "
        "and "
        "'<think>' in c and '</think>' in c %}{% set p = c.split('</think>') %}"
        "THOUGHT {{ p[0].split('<think>')[-1].strip() }}; {{ p[1].lstrip('\\n') }}{% else %}{{ c }}"
        "{% endif %}{% endfor %}[assistant]";
    const Chat chat(turns);
    const auto reply = [&](std::string_view text) {
        return chat.expand(
            {{ChatRole::user, "u"}, {ChatRole::assistant, text}, {ChatRole::user, "v"}}, {});
    };
    CHECK(reply("<think>\n hm \n</think>\n\n ok\n") ==
          "[user]u[assistant]THOUGHT hm;  ok\n[user]v[assistant]");
    CHECK(reply("hm</think>ok") == "[user]u[assistant]hm</think>ok[user]v[assistant]");
}

TEST_CASE("a conversation goes on by what follows the reply") {
    for (const std::string& program : {kSmolLm2, kLlama2, kLlama3, kTinyLlama}) {
        const Chat chat(program, false);
        INFO(chat.note);
        const std::vector<ChatMessage> before = {{ChatRole::system, "s"}, {ChatRole::user, "u"}};
        const std::vector<ChatMessage> after = {{ChatRole::system, "s"},
                                                {ChatRole::user, "u"},
                                                {ChatRole::assistant, "a"},
                                                {ChatRole::user, " v\n"}};
        std::vector<Tokenizer::Segment> room(ChatText::max_segments(1));
        ChatText next(room);
        REQUIRE(chat.chat.expand_next("s", " v\n", {}, next).ok());
        const std::string reply = program == kLlama2 ? " a" : program == kTinyLlama ? "a" : "a";
        CHECK(chat.expand(before, {}) + reply + Chat::text_of(next) == chat.expand(after, {}));
        CHECK_FALSE(chat.chat.rewrites_history(true));
    }
    const Chat reasoner(kReasoner);
    std::vector<Tokenizer::Segment> room(ChatText::max_segments(1));
    ChatText next(room);
    REQUIRE(reasoner.chat.expand_next("/no_think", "v", {Reasoning::on, true, kDate}, next).ok());
    CHECK(Chat::text_of(next) == "</><user>v</><assistant><think></think>");
}

TEST_CASE("what is asked of a chat template and it cannot do is an error that names the option") {
    std::vector<Tokenizer::Segment> room(ChatText::max_segments(1));
    ChatText text(room);
    const ChatMessage hi[] = {{ChatRole::user, "Hi"}};
    for (const Reasoning r : {Reasoning::on, Reasoning::off}) {
        const Status s = Chat(kChatMl).chat.expand(hi, {r, false, {}}, text);
        CHECK(s.code() == Code::bad_option);
        CHECK(s.text().starts_with("option --reasoning: found o"));
    }
    const Status s = Chat(kReasoner).chat.expand(hi, {}, text);
    CHECK(s.code() == Code::bad_option);
    CHECK(s.text().starts_with("option --date: "));
}

TEST_CASE("templates that are not understood are said, and their text is kept") {
    const std::string all = "{% for m in messages %}{{ m.role + m.content }}{% endfor %}";
    const std::pair<std::string, const char*> programs[] = {
        {"{{ messages[0]['content'] }}", "does not come once"},
        {"{{ messages | tojson }}", "filter tojson"},
        {"{% include 'chatml' %}", "statement include"},
        {all + "{{ messages | length }}", "not written alike"},
        {all + "{{ messages[0].content }}", "does not come once"},
        {all + "{{ raise_exception('never') }}", "refuses a conversation: never"},
        {all + "{{ strftime_now('%H:%M') }}", "a date of today"},
        {all + "{{ strftime_now('%d')[:1] }}", "a date of today"},
        {all + "{{ strftime_now('%d') | length }}", "in a way that is not known"},
        {all + "\x01", "control characters"},
        {"{% for m in messages %}{{ m.role + m.content | upper }}{% endfor %}",
         "does not come once"},
        {"{% for m in messages %}{{ m.role }}{{ loop.index }}{{ m.content }}{% endfor %}",
         "not written alike"},
        {"{% for m in messages %}{{ m.role + m.content.strip('\\t') }}{% endfor %}",
         "cannot be kept as data"},
        {"{% for m in messages %}{{ m.role + m.content.replace('[INST]', '') }}{% endfor %}",
         "cannot be kept as data"},
    };
    for (const auto& [program, why] : programs) {
        const Chat chat(program);
        INFO(program << ": " << chat.note);
        CHECK_FALSE(chat.chat.present());
        CHECK(chat.chat.source() == program);
        CHECK(chat.note.starts_with("unknown chat template ("));
        CHECK(chat.note.find(why) != std::string::npos);
    }
    const Chat none("");
    CHECK_FALSE(none.chat.present());
    CHECK(none.chat.source().empty());
    CHECK(none.note.find("no chat template") != std::string::npos);
}

TEST_CASE("what people write is never read as template text") {
    const Chat chat(kSmolLm2);
    std::vector<Tokenizer::Segment> room(ChatText::max_segments(4));
    ChatText text(room);
    const ChatMessage messages[] = {{ChatRole::system, "SYSTEM"},
                                    {ChatRole::user, "USER"},
                                    {ChatRole::assistant, "REPLY"},
                                    {ChatRole::user, "AGAIN"}};
    REQUIRE(chat.chat.expand(messages, {}, text).ok());
    size_t n_literal = 0;
    for (const auto& s : text.segments()) {
        const bool written =
            s.text == "SYSTEM" || s.text == "USER" || s.text == "REPLY" || s.text == "AGAIN";
        CHECK((s.specials == Tokenizer::Specials::literal) == written);
        n_literal += written;
    }
    CHECK(n_literal == 4);
}

TEST_CASE("the most that a template adds is known before it does") {
    for (const std::string& program : {kSmolLm2, kLlama2, kLlama3, kTinyLlama, kReasoner}) {
        const Chat chat(program, false);
        for (const bool own : {false, true}) {
            const std::string text = chat.expand({{ChatRole::system, "s"}, {ChatRole::user, "u"}},
                                                 {Reasoning::by_template, own, kDate});
            CHECK(text.size() <= 2 + chat.chat.max_added_bytes(2));
        }
    }
}

TEST_CASE("dates are written as strftime writes them") {
    const auto text = [](CalendarDate date, std::string_view format) {
        std::array<char, kMaxDateBytes> out;
        REQUIRE(is_date_format(format));
        return std::string(out.data(), format_date(date, format, out));
    };
    CHECK(text({2025, 4, 8}, "%d %b %Y") == "08 Apr 2025");
    CHECK(text({2025, 4, 8}, "%B %-d, %y (%A, %a)") == "April 8, 25 (Tuesday, Tue)");
    CHECK(text({2025, 4, 8}, "%e|%j|%F|%D|%%|%h|%-m") == " 8|098|2025-04-08|04/08/25|%|Apr|4");
    CHECK(text({2024, 12, 31}, "%j %A") == "366 Tuesday");
    CHECK(text({2000, 3, 1}, "%j %A") == "061 Wednesday");
    CHECK(text({1900, 1, 1}, "%j %A") == "001 Monday");
    CHECK(text({2100, 3, 1}, "%j %A") == "060 Monday");
    for (const char* format : {"%H", "%", "%-", "%-F", "%q", "%A%A%A%A%A%A%A%A"}) {
        CHECK_FALSE(is_date_format(format));
    }
    const CalendarDate d = parse_date("2026-02-03T12:00:00Z");
    CHECK((d.year == 2026 && d.month == 2 && d.day == 3));
    CHECK(parse_date("2024-02-29").known());
    for (const char* wrong :
         {"", "2026", "2026-2-03", "2026-13-01", "2026-00-01", "2026-02-29", "2026-01-32",
          "2026-01-00", "1899-01-01", "2026/01/01", "2o26-01-01", "2026-01-011"}) {
        INFO(wrong);
        CHECK_FALSE(parse_date(wrong).known());
    }
}

TEST_CASE("a chat extent that lies is refused by name") {
    const std::vector<uint8_t> section = Chat(kReasoner).section;
    for (size_t n = 0; n < section.size(); n++) {
        check_refused({section.begin(), section.begin() + ptrdiff_t(n)},
                      n < sizeof(ChatHeader) ? "extent size" : "text_bytes");
    }
    check_refused(with(section, offsetof(ChatHeader, kind), uint32_t(2)), "kind");
    check_refused(with(section, offsetof(ChatHeader, text_bytes), uint32_t(0xffffffff)),
                  "text_bytes");
    const auto check_span = [&](size_t at, const std::string& name) {
        check_refused(with(section, at, uint32_t(0xffffffff)), name);
        check_refused(with(section, at + 4, uint32_t(section.size())), name);
    };
    check_span(offsetof(ChatHeader, source), "source");
    check_span(offsetof(ChatHeader, reasoning_end), "reasoning_end");
    check_span(offsetof(ChatHeader, reasoning_begin), "reasoning_begin");
    check_span(offsetof(ChatHeader, answer), "answer");
    check_span(offsetof(ChatHeader, reasoning_on), "reasoning_on");
    check_span(offsetof(ChatHeader, reasoning_off), "reasoning_off");
    const char* joints[] = {"begin",     "bare_begin", "begin_system", "after_system",
                            "assistant", "user",       "generate",     "reasoned"};
    const char* modes[] = {"default", "on", "off"};
    for (size_t m = 0; m < 3; m++) {
        for (size_t i = 0; i < 8; i++) {
            check_span(offsetof(ChatHeader, modes) + sizeof(format::ChatJoints) * m + 8 * i,
                       std::string(joints[i]) + ", reasoning " + modes[m]);
        }
    }
    for (size_t i = 0; i < 14; i++) {
        check_refused(with(section, offsetof(ChatHeader, system) + i, uint8_t(3)), "strips");
    }
    check_refused(with(section, offsetof(ChatHeader, system_at_last), uint8_t(2)),
                  "system_at_last");
    check_refused(with(section, offsetof(ChatHeader, reasoning_kept), uint8_t(3)),
                  "reasoning_kept");

    std::vector<uint8_t> not_utf8 = section;
    not_utf8[sizeof(ChatHeader)] = 0x80;
    check_refused(not_utf8, "source text");

    // A date where none may stand, one that cannot be written, one without an end.
    ChatHeader h;
    std::memcpy(&h, section.data(), sizeof h);
    const format::ChatSpan dated = h.modes[0].begin;
    const size_t user = offsetof(ChatHeader, modes) + offsetof(format::ChatJoints, user);
    check_refused(with(section, user, dated), "user, reasoning default text");
    const std::string text(section.begin() + sizeof h, section.end());
    const size_t percent = text.find("%d %B %Y\x02", dated.begin);
    REQUIRE(percent < dated.end);
    check_refused(with(section, sizeof h + percent + 1, 'H'), "begin, reasoning default text");
    check_refused(with(section, sizeof h + percent + 8, 'x'), "begin, reasoning default text");
    check_refused(with(section, sizeof h + percent - 1, 'x'), "begin, reasoning default text");
}
