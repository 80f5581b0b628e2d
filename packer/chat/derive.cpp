// SPDX-License-Identifier: MIT
#include "packer/chat/derive.h"

#include <array>
#include <cstring>
#include <optional>

#include "packer/chat/jinja.h"

namespace axiom::packer {

namespace {

using format::ChatHeader;
using format::ChatKind;
using format::ChatSpan;
using format::ChatStrip;
using format::ChatStrips;

constexpr int64_t kWork = int64_t(1) << 28;  // steps and copied bytes for one template
constexpr CalendarDate kDates[] = {{2025, 4, 18}, {2031, 11, 2}};
constexpr Reasoning kReasonings[] = {Reasoning::by_template, Reasoning::on, Reasoning::off};

struct Message {
    ChatRole role;
    std::string content;
};
using Conversation = std::vector<Message>;

Message system(std::string content) {
    return {ChatRole::system, std::move(content)};
}
Message user(std::string content) {
    return {ChatRole::user, std::move(content)};
}
Message assistant(std::string content) {
    return {ChatRole::assistant, std::move(content)};
}

// --- the data before it is bytes

struct Joints {
    std::string begin, bare_begin, begin_system, after_system, assistant, user, generate, reasoned;
};
struct Parts {
    Joints modes[format::kChatModes];
    std::string reasoning_end, reasoning_begin, answer, reasoning_on, reasoning_off;
    ChatHeader header{};  // all but spans and sizes, which are serialize()'s
};

std::vector<uint8_t> serialize(const Parts& parts, std::string_view source, ChatKind kind) {
    ChatHeader h = parts.header;
    h.kind = kind;
    // Parts share text with each other (the three modes are nearly alike), not with the source.
    std::string text(source);
    h.source = {0, uint32_t(text.size())};
    const auto add = [&](std::string_view part) {
        const size_t found = text.find(part, source.size());
        const size_t begin = found == std::string::npos ? text.size() : found;
        if (found == std::string::npos) text += part;
        return ChatSpan{uint32_t(begin), uint32_t(begin + part.size())};
    };
    if (kind == ChatKind::joints) {
        for (size_t m = 0; m < format::kChatModes; m++) {
            const Joints& j = parts.modes[m];
            h.modes[m] = {add(j.begin),        add(j.bare_begin), add(j.begin_system),
                          add(j.after_system), add(j.assistant),  add(j.user),
                          add(j.generate),     add(j.reasoned)};
        }
        h.reasoning_end = add(parts.reasoning_end);
        h.reasoning_begin = add(parts.reasoning_begin);
        h.answer = add(parts.answer);
        h.reasoning_on = add(parts.reasoning_on);
        h.reasoning_off = add(parts.reasoning_off);
    }
    h.text_bytes = uint32_t(text.size());
    std::vector<uint8_t> out(sizeof h + text.size());
    std::memcpy(out.data(), &h, sizeof h);
    if (!text.empty()) std::memcpy(&out[sizeof h], text.data(), text.size());
    return out;
}

// --- the model's own template

class Subject {
  public:
    Subject(std::string_view source, const SpecialTexts& special)
        : special_(special), template_(jinja::Template::parse(source, &problem)) {}

    std::string problem;  // the first thing that went wrong, other than a system message refused

    // As llama.cpp does: what the template cannot take as a system message joins the user's.
    void find_system_support() {
        const auto seen =
            try_render({system("Zsystem"), user("Zuser")}, Reasoning::by_template, {});
        if (!seen.error.empty() && !seen.raised) problem = seen.error;
        merges_system_ = seen.text.find("Zsystem") == std::string::npos;
    }

    // `date` not known: dates are written as the packed file has them.
    std::optional<std::string> render(const Conversation& conversation, Reasoning reasoning,
                                      CalendarDate date) {
        if (!problem.empty()) return {};
        jinja::Rendered r;
        if (merges_system_ && conversation[0].role == ChatRole::system) {
            Conversation merged(conversation.begin() + 1, conversation.end());
            merged[0].content = conversation[0].content + "\n" + merged[0].content;
            r = try_render(merged, reasoning, date);
        } else {
            r = try_render(conversation, reasoning, date);
        }
        if (!r.error.empty()) {
            problem = (r.raised ? "it refuses a conversation: " : "") + r.error;
            return {};
        }
        if (special_.adds_bos && r.text.starts_with(special_.bos)) {
            r.text.erase(0, special_.bos.size());
        }
        return r.text;
    }

  private:
    const SpecialTexts& special_;
    jinja::Template template_;
    int64_t work_ = kWork;
    bool merges_system_ = false;

    static std::string written_date(std::string_view format, CalendarDate date) {
        if (!date.known()) {
            return format::kChatDate + std::string(format) + format::kChatDateEnd;
        }
        if (!is_date_format(format)) return {};
        std::array<char, kMaxDateBytes> text;
        return {text.data(), format_date(date, format, text)};
    }
    jinja::Rendered try_render(const Conversation& conversation, Reasoning reasoning,
                               CalendarDate date) {
        static constexpr std::string_view kRoles[] = {"system", "user", "assistant"};
        jinja::List messages;
        for (const Message& m : conversation) {
            messages.push_back(
                jinja::make(jinja::Map{{{"role", jinja::make(kRoles[size_t(m.role)])},
                                        {"content", jinja::make(m.content)}}}));
        }
        jinja::Map variables{{{"messages", jinja::make(std::move(messages))},
                              {"bos_token", jinja::make(special_.bos)},
                              {"eos_token", jinja::make(special_.eos)},
                              {"add_generation_prompt", {true}},
                              {"date_string", jinja::make(written_date("%d %b %Y", date))},
                              {"datetime", jinja::make(written_date("%b %d %Y", date))},
                              {"enable_thinking", {reasoning != Reasoning::off}}}};
        // Granite's name for it; llama.cpp leaves it undefined.
        if (reasoning != Reasoning::by_template) {
            variables.items.push_back({"thinking", {reasoning == Reasoning::on}});
        }
        return template_.render(
            variables, [&](std::string_view format) { return written_date(format, date); }, &work_);
    }
};

// --- from renderings to data

class Derivation {
  public:
    Derivation(std::string_view source, const SpecialTexts& special)
        : source_(source), subject_(source, special) {}

    DerivedChat run() {
        derive();
        DerivedChat out;
        out.problem = !subject_.problem.empty() ? subject_.problem : problem_;
        const bool good = out.problem.empty();
        out.section =
            serialize(good ? parts_ : Parts{}, source_, good ? ChatKind::joints : ChatKind::none);
        if (good) out.default_system = default_system_;
        out.n_compared = n_compared_;
        return out;
    }

  private:
    std::string_view source_;
    Subject subject_;
    Parts parts_;
    std::string problem_, default_system_;
    size_t n_compared_ = 0;

    bool fail(std::string why) {
        if (problem_.empty()) problem_ = std::move(why);
        return false;
    }
    bool derive() {
        if (!subject_.problem.empty()) return false;
        if (source_.find(format::kChatDate) != source_.npos ||
            source_.find(format::kChatDateEnd) != source_.npos) {
            return fail("control characters in it");
        }
        subject_.find_system_support();
        for (const Reasoning reasoning : kReasonings) {
            if (!find_joints(reasoning)) return false;
        }
        if (!opens()) return fail("it writes something else than a date of today");
        for (const Reasoning reasoning : kReasonings) find_bare_begin(reasoning);
        return find_user_strips() && find_assistant_strips() && find_system_strips() && verify();
    }

    // The texts before, between and after the marks, which must come in this order, once each.
    std::optional<std::vector<std::string>> around(const Conversation& conversation,
                                                   Reasoning reasoning,
                                                   std::initializer_list<std::string_view> marks) {
        const auto text = subject_.render(conversation, reasoning, {});
        if (!text) return {};
        std::vector<std::string> out;
        size_t at = 0;
        for (const std::string_view mark : marks) {
            const size_t found = text->find(mark, at);
            if (found == std::string::npos || text->find(mark) != found ||
                text->find(mark, found + 1) != std::string::npos) {
                fail("a message's text does not come once and in its place");
                return {};
            }
            out.push_back(text->substr(at, found - at));
            at = found + mark.size();
        }
        out.push_back(text->substr(at));
        return out;
    }

    bool find_joints(Reasoning reasoning) {
        const Message s = system("Zsystem"), u1 = user("Zuser1"), a1 = assistant("Zreply1"),
                      u2 = user("Zuser2"), a2 = assistant("Zreply2"), u3 = user("Zuser3");
        const auto once = around({s, u1}, reasoning, {"Zsystem", "Zuser1"});
        const auto turns = around({u1, a1, u2, a2, u3}, reasoning,
                                  {"Zuser1", "Zreply1", "Zuser2", "Zreply2", "Zuser3"});
        const auto alone = around({u1}, reasoning, {"Zuser1"});
        const auto last = subject_.render({s, u1, a1, u2}, reasoning, {});
        if (!once || !turns || !alone || !last) return false;
        Joints& j = parts_.modes[size_t(reasoning)];
        j.begin = (*turns)[0];
        j.assistant = (*turns)[1];
        j.user = (*turns)[2];
        j.generate = (*turns)[5];
        if ((*turns)[3] != j.assistant || (*turns)[4] != j.user || (*alone)[0] != j.begin ||
            (*alone)[1] != j.generate) {
            return fail("turns of a conversation are not written alike");
        }
        j.begin_system = (*once)[0];
        j.after_system = (*once)[1];
        const bool at_last = last->find("Zsystem") > last->find("Zreply1");
        if (reasoning != Reasoning::by_template && at_last != bool(parts_.header.system_at_last)) {
            return fail("reasoning moves the system message");
        }
        parts_.header.system_at_last = at_last;
        return true;
    }

    // Where the system message that a template brings is nothing but a message like a given one, it
    // can be left out: what then begins the text is the user's header, which is the system's with
    // another name in it. Elsewhere (Llama 3.1's date, SmolLM3's metadata) it cannot.
    void find_bare_begin(Reasoning reasoning) {
        Joints& j = parts_.modes[size_t(reasoning)];
        j.bare_begin = j.begin;
        const size_t around = j.begin_system.size() + j.after_system.size();
        if (j.begin.size() <= around || !j.begin.starts_with(j.begin_system) ||
            !j.begin.ends_with(j.after_system)) {
            return;
        }
        const size_t role = j.begin_system.find("system");
        if (role == std::string::npos) return;
        std::string header = j.begin_system;
        header.replace(role, 6, "user");
        // What stands before the header only once: a beginning of sequence.
        size_t common = 0;
        while (common < header.size() && common < j.user.size() &&
               header[header.size() - 1 - common] == j.user[j.user.size() - 1 - common]) {
            common++;
        }
        const size_t n_before = header.size() - common;
        if (n_before > role || !j.after_system.ends_with(header.substr(n_before))) return;
        const std::string own = j.begin.substr(j.begin_system.size(), j.begin.size() - around);
        if (reasoning == Reasoning::by_template) default_system_ = own;
        // Granite asks for reasoning in it: then it is not to be left out.
        if (own == default_system_) j.bare_begin = header;
    }

    // --- the engine's expansion, and the template's
    bool opens() {
        return ChatTemplate::open("", 0, serialize(parts_, source_, ChatKind::joints)).ok();
    }
    std::optional<std::string> expand(const Conversation& conversation, Reasoning reasoning,
                                      CalendarDate date) {
        const std::vector<uint8_t> section = serialize(parts_, source_, ChatKind::joints);
        const Result<ChatTemplate> chat = ChatTemplate::open("", 0, section);
        if (!chat.ok()) return {};
        ChatStyle style;
        style.reasoning = chat.value().can_switch_reasoning() ? reasoning : Reasoning::by_template;
        style.date = date;
        std::vector<ChatMessage> messages;
        for (const Message& m : conversation) messages.push_back({m.role, m.content});
        std::vector<Tokenizer::Segment> room(ChatText::max_segments(messages.size()));
        ChatText text(room);
        if (!chat.value().expand(messages, style, text).ok()) return {};
        std::string out;
        for (const Tokenizer::Segment& s : text.segments()) out += s.text;
        return out;
    }
    bool same(const Conversation& conversation, Reasoning reasoning = Reasoning::by_template,
              CalendarDate date = kDates[0]) {
        const auto rendered = subject_.render(conversation, reasoning, date);
        return rendered && rendered == expand(conversation, reasoning, date);
    }

    // The strips with which both conversations that `make` makes come out right.
    template <class Make>
    bool find_strips(ChatStrips* strips, std::string_view whose, const Make& make) {
        constexpr ChatStrip kAll[] = {ChatStrip::nothing, ChatStrip::newlines, ChatStrip::blanks};
        for (const ChatStrip left : kAll) {
            for (const ChatStrip right : kAll) {
                *strips = {left, right};
                if (same(make("\n \tZ z\t \n")) && same(make(" \nZ z\n "))) return true;
            }
        }
        return fail("it changes " + std::string(whose) + " in a way that is not known");
    }
    bool find_user_strips() {
        ChatHeader& h = parts_.header;
        return find_strips(&h.first_user, "a first message",
                           [](const std::string& text) { return Conversation{user(text)}; }) &&
               find_strips(&h.user, "a later message", [](const std::string& text) {
                   return Conversation{user("u"), assistant("a"), user(text)};
               });
    }
    bool find_system_strips() {
        ChatHeader& h = parts_.header;
        if (source_.find("/no_think") != source_.npos &&
            !same({system("Zs /no_think"), user("u")})) {
            parts_.reasoning_on = "/think";
            parts_.reasoning_off = "/no_think";
        }
        return find_strips(&h.joined_user, "the message after a system message",
                           [](const std::string& text) {
                               return Conversation{system("s"), user(text)};
                           }) &&
               find_strips(&h.system, "a system message", [](const std::string& text) {
                   return Conversation{system(text), user("u")};
               });
    }
    bool find_assistant_strips() {
        const auto reply = [](const std::string& text) {
            return Conversation{user("u"), assistant(text), user("v")};
        };
        ChatHeader& h = parts_.header;
        if (!find_strips(&h.assistant, "a reply", reply)) return false;
        static constexpr std::string_view kMarks[][2] = {{"<think>", "</think>"},
                                                         {"[THINK]", "[/THINK]"},
                                                         {"<thinking>", "</thinking>"},
                                                         {"<thought>", "</thought>"}};
        for (const auto& [begin, end] : kMarks) {
            const std::string b(begin), e(end);
            std::string reasoned = b;
            reasoned.append("Zthought").append(e).append("Zreply");
            if (source_.find(end) == source_.npos || same(reply(reasoned))) continue;
            const auto text = subject_.render(reply(reasoned), Reasoning::by_template, {});
            if (!text) return false;
            parts_.reasoning_begin = b;
            parts_.reasoning_end = e;
            return text->find("Zthought") == std::string::npos ? find_cut(b, e) : find_kept(b, e);
        }
        return true;
    }
    // Reasoning is left out of earlier turns.
    bool find_cut(const std::string& begin, const std::string& end) {
        const std::string thought = begin + "x" + end;
        for (const Reasoning reasoning : kReasonings) {
            const auto texts =
                around({user("Zuser1"), assistant(thought + "Zreply"), user("Zuser2")}, reasoning,
                       {"Zuser1", "Zreply", "Zuser2"});
            if (!texts) return false;
            parts_.modes[size_t(reasoning)].reasoned = (*texts)[1];
        }
        return find_strips(&parts_.header.answer_only, "a reply after reasoning",
                           [&](const std::string& text) {
                               return Conversation{user("u"), assistant(thought + text), user("v")};
                           });
    }
    // Reasoning is written again, in the template's own way.
    bool find_kept(const std::string& begin, const std::string& end) {
        std::string reasoned = begin;
        reasoned.append("Zthought").append(end).append("Zreply");
        for (const Reasoning reasoning : kReasonings) {
            const auto texts = around({user("Zuser1"), assistant(reasoned), user("Zuser2")},
                                      reasoning, {"Zuser1", "Zthought", "Zreply", "Zuser2"});
            if (!texts) return false;
            parts_.modes[size_t(reasoning)].reasoned = (*texts)[1];
            parts_.answer = (*texts)[2];
        }
        ChatHeader& h = parts_.header;
        const auto reply = [&](const std::string& thought, const std::string& text) {
            std::string all = begin;
            all.append(thought).append(end).append(text);
            return Conversation{user("u"), assistant(all), user("v")};
        };
        h.reasoning_kept = format::ReasoningKept::yes;
        if (!find_strips(&h.reasoning, "reasoning",
                         [&](const std::string& s) { return reply(s, "x"); }) ||
            !find_strips(&h.answer_only, "a reply after reasoning",
                         [&](const std::string& s) { return reply("x", s); })) {
            return false;
        }
        if (!same({user("u"), assistant("x" + end + "y"), user("v")})) {
            h.reasoning_kept = format::ReasoningKept::if_begun;
        }
        return true;
    }

    // --- conversations the data was not derived from
    uint32_t random_state_ = 1;
    uint32_t random(uint32_t n) {
        random_state_ = random_state_ * 1664525 + 1013904223;
        return (random_state_ >> 8) % n;
    }
    std::string random_content() {
        static constexpr std::string_view kWords[] = {
            "Hello",     "w\xc3\xb6rld", "\xe4\xbd\xa0\xe5\xa5\xbd",
            "{{ x }}",   "{% if %}",     "<b>",
            "'",         "\"",           "\\n",
            "3.",        "# system",     "user",
            "assistant", "[INST]",       "<|im_end|>",
            "</s>",      "<thing>",      "a b",
            "<<SYS>>",   "None"};
        static constexpr std::string_view kGaps[] = {"", " ", "\n", "\t", "  ", "\n\n", "\r\n"};
        std::string text;
        const uint32_t n = 1 + random(4);
        for (uint32_t i = 0; i < n; i++) {
            text += kGaps[random(std::size(kGaps))];
            text += kWords[random(std::size(kWords))];
        }
        return text + std::string(kGaps[random(std::size(kGaps))]);
    }
    std::string random_reply() {
        std::string text = random_content();
        if (parts_.reasoning_end.empty() && source_.find("</think>") == source_.npos) return text;
        switch (random(4)) {
            case 0:  // with the line breaks that models write, and without
                return "<think>\n" + text + "\n</think>\n\n" + random_content();
            case 1:
                return "<think>" + text + "</think>" + random_content();
            case 2:  // where the prompt began the reasoning
                return text + "</think>\n\n" + random_content();
            default:
                return text;
        }
    }
    bool verify() {
        for (size_t i = 0; i < 48; i++) {
            Conversation c;
            if (i & 1) c.push_back(system(random_content()));
            c.push_back(user(random_content()));
            for (size_t turns = i / 2 % 4; turns > 0; turns--) {
                c.push_back(assistant(random_reply()));
                c.push_back(user(random_content()));
            }
            const Reasoning reasoning = kReasonings[i / 8 % 3];
            if (!same(c, reasoning, kDates[i % 2])) {
                return fail("it renders a conversation in a way that cannot be kept as data");
            }
            n_compared_++;
        }
        if (parts_.reasoning_off.empty()) return true;
        for (const Reasoning reasoning : kReasonings) {
            for (const char* text : {"/no_think", " /think\n", "Be brief. /no_think", "/think Be\n",
                                     " Be /no_think brief", "/no_think /think x"}) {
                if (!same({system(text), user("u"), assistant("a"), user("v")}, reasoning)) {
                    return fail("it reads " + parts_.reasoning_off + " in a way that is not known");
                }
                n_compared_++;
            }
        }
        return true;
    }
};

}  // namespace

DerivedChat derive_chat(std::string_view source, const SpecialTexts& special) {
    return Derivation(source, special).run();
}

std::string_view chat_format_name(const ChatTemplate& chat) {
    static constexpr struct {
        std::string_view mark, name;
    } kFormats[] = {{"<|im_sep|>", "Phi-4"},
                    {"<|im_start|>", "ChatML"},
                    {"<|start_header_id|>", "Llama 3"},
                    {"<start_of_turn>", "Gemma"},
                    {"<|start_of_role|>", "Granite"},
                    {"<|end|>", "Phi"},
                    {"<|assistant|>", "Zephyr"},
                    {"[/INST]", "Mistral"},
                    {"<\xef\xbd\x9c"
                     "Assistant\xef\xbd\x9c>",
                     "DeepSeek"}};
    if (!chat.present()) return "none";
    const std::string_view generate = chat.generate_text(Reasoning::by_template);
    for (const auto& f : kFormats) {
        if (generate.find(f.mark) != generate.npos) return f.name;
    }
    return "other";
}

}  // namespace axiom::packer
