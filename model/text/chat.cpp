// SPDX-License-Identifier: MIT
// Opens a chat extent and expands it around messages.
// Must not know: what templates look like in a GGUF (packer/chat/).
#include "model/text/chat.h"

#include <algorithm>
#include <cstring>

#include "model/text/unicode.h"

namespace axiom {

namespace {

using format::ChatHeader;
using format::ChatJoints;
using format::ChatKind;
using format::ChatSpan;
using format::ChatStrip;
using format::ChatStrips;
using format::ReasoningKept;

constexpr auto kParse = Tokenizer::Specials::parse, kLiteral = Tokenizer::Specials::literal;

bool strips(ChatStrip strip, char c) {
    if (strip == ChatStrip::newlines) return c == '\n';
    return strip == ChatStrip::blanks && (c == ' ' || (c >= '\t' && c <= '\r'));
}

std::string_view stripped(ChatStrips how, std::string_view text) {
    while (!text.empty() && strips(how.left, text.front())) text.remove_prefix(1);
    while (!text.empty() && strips(how.right, text.back())) text.remove_suffix(1);
    return text;
}

struct Spans {
    std::string_view name;
    ChatSpan ChatJoints::*span;
    bool may_have_date;
};
constexpr Spans kJoints[] = {{"begin", &ChatJoints::begin, true},
                             {"bare_begin", &ChatJoints::bare_begin, true},
                             {"begin_system", &ChatJoints::begin_system, true},
                             {"after_system", &ChatJoints::after_system, true},
                             {"assistant", &ChatJoints::assistant, false},
                             {"user", &ChatJoints::user, false},
                             {"generate", &ChatJoints::generate, false},
                             {"reasoned", &ChatJoints::reasoned, false}};

// How a joint is cut: the text up to a date, and the date's format; then the rest follows.
struct Cut {
    std::string_view text, format, rest;
    bool has_date;
};
Cut cut_at_date(std::string_view joint) {
    const size_t begin = joint.find(format::kChatDate);
    if (begin == joint.npos) return {joint, {}, {}, false};
    const size_t end = joint.find(format::kChatDateEnd, begin);
    if (end == joint.npos) return {joint.substr(0, begin), joint.substr(begin + 1), {}, true};
    return {joint.substr(0, begin), joint.substr(begin + 1, end - begin - 1), joint.substr(end + 1),
            true};
}

bool dates_are_right(std::string_view joint, size_t max_dates) {
    size_t n_dates = 0;
    for (;;) {
        const Cut cut = cut_at_date(joint);
        if (cut.text.find(format::kChatDateEnd) != cut.text.npos) return false;
        if (!cut.has_date) return true;
        const bool closed = joint.size() > cut.text.size() + 1 + cut.format.size();
        if (!closed || cut.format.find(format::kChatDate) != cut.format.npos) return false;
        if (!is_date_format(cut.format) || ++n_dates > max_dates) return false;
        joint = cut.rest;
    }
}

// A conversation's first texts are at most two joints: begin_system and after_system.
constexpr size_t kMaxDatesOfJoint = ChatText::kMaxDates / 2;

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
    if (h.kind != ChatKind::none && h.kind != ChatKind::joints) {
        return field_error(file, "chat kind", offset(&h.kind), uint32_t(h.kind),
                           "0 (none), 1 (joints)");
    }
    const size_t n_text = bytes.size() - sizeof h;
    if (h.text_bytes != n_text) {
        return field_error(file, "chat text_bytes", offset(&h.text_bytes), h.text_bytes,
                           Text<48>(n_text, ", the rest of the extent").view());
    }
    t.text_ = {reinterpret_cast<const char*>(bytes.data()) + sizeof h, n_text};

    const auto check = [&](std::string_view name, const ChatSpan& span, size_t max_dates,
                           bool dates) -> Status {
        if (span.begin > span.end || span.end > n_text) {
            return field_error(file, Text<64>("chat ", name).view(), offset(&span),
                               Text<48>("[", span.begin, ", ", span.end, ")").view(),
                               Text<48>("a range within ", n_text, " bytes").view());
        }
        const std::string_view text = t.part(span);
        if (!is_utf8(text) || (dates && !dates_are_right(text, max_dates))) {
            return field_error(file, Text<64>("chat ", name, " text").view(),
                               extent_offset + sizeof h + span.begin, Quoted{text},
                               max_dates ? "UTF-8 with at most two dates" : "UTF-8 without dates");
        }
        return {};
    };
    if (Status s = check("source", h.source, 0, false); !s.ok()) return s;
    const struct {
        std::string_view name;
        const ChatSpan* span;
    } plain[] = {{"reasoning_end", &h.reasoning_end},
                 {"reasoning_begin", &h.reasoning_begin},
                 {"answer", &h.answer},
                 {"reasoning_on", &h.reasoning_on},
                 {"reasoning_off", &h.reasoning_off}};
    for (const auto& p : plain) {
        if (Status s = check(p.name, *p.span, 0, true); !s.ok()) return s;
    }
    static constexpr std::string_view kModes[] = {"default", "on", "off"};
    for (size_t mode = 0; mode < format::kChatModes; mode++) {
        for (const Spans& s : kJoints) {
            const Text<48> name(s.name, ", reasoning ", kModes[mode]);
            const size_t max_dates = s.may_have_date ? kMaxDatesOfJoint : 0;
            if (Status e = check(name.view(), h.modes[mode].*s.span, max_dates, true); !e.ok()) {
                return e;
            }
        }
    }
    for (const ChatStrips* s : {&h.system, &h.first_user, &h.joined_user, &h.user, &h.assistant,
                                &h.answer_only, &h.reasoning}) {
        if (s->left > ChatStrip::blanks || s->right > ChatStrip::blanks) {
            return field_error(file, "chat strips", offset(s),
                               Text<16>(uint32_t(s->left), ", ", uint32_t(s->right)).view(),
                               "0 (nothing), 1 (newlines), 2 (blanks)");
        }
    }
    if (h.system_at_last > 1) {
        return field_error(file, "chat system_at_last", offset(&h.system_at_last),
                           uint32_t(h.system_at_last), "0 or 1");
    }
    if (h.reasoning_kept > ReasoningKept::if_begun) {
        return field_error(file, "chat reasoning_kept", offset(&h.reasoning_kept),
                           uint32_t(h.reasoning_kept), "0 (no), 1 (yes), 2 (if begun)");
    }
    return t;
}

bool ChatTemplate::can_switch_reasoning() const {
    const ChatJoints &on = joints(Reasoning::on), &off = joints(Reasoning::off);
    for (const Spans& s : kJoints) {
        if (part(on.*s.span) != part(off.*s.span)) return true;
    }
    return false;
}

bool ChatTemplate::has_default_system() const {
    const ChatJoints& j = joints(Reasoning::by_template);
    return part(j.begin) != part(j.bare_begin);
}

bool ChatTemplate::writes_date() const {
    for (const ChatJoints& j : header_.modes) {
        for (const Spans& s : kJoints) {
            if (cut_at_date(part(j.*s.span)).has_date) return true;
        }
    }
    return false;
}

size_t ChatTemplate::max_added_bytes(size_t n_messages) const {
    size_t longest = 0;
    for (const ChatJoints& j : header_.modes) {
        for (const Spans& s : kJoints) longest = std::max(longest, part(j.*s.span).size());
    }
    return (n_messages + 1) * longest + ChatText::kMaxDates * kMaxDateBytes;
}

bool ChatTemplate::rewrites_history(bool has_system) const {
    return !part(header_.reasoning_end).empty() || (has_system && header_.system_at_last != 0);
}

Status ChatTemplate::check_style(const ChatStyle& style) const {
    AXIOM_CHECK(present());
    if (style.reasoning != Reasoning::by_template && !can_switch_reasoning()) {
        return error(Code::bad_option, "option --reasoning: found ",
                     style.reasoning == Reasoning::on ? "on" : "off",
                     ", allowed nothing: this model's chat template cannot switch reasoning");
    }
    if (writes_date() && !style.date.known()) {
        return error(Code::bad_option,
                     "option --date: found none, and the clock could not be read; this model's "
                     "chat template writes the date");
    }
    return {};
}

// What is left of a system message, in pieces: reasoning marks cut it.
struct ChatTemplate::System {
    std::string_view pieces[ChatText::kMaxReasoningMarks + 1];
    size_t n_pieces = 0;
    Reasoning reasoning;
    bool switches = false;  // it had marks
    bool too_many = false;

    bool empty() const { return n_pieces == 0; }
};

ChatTemplate::System ChatTemplate::read_system(std::string_view content,
                                               Reasoning reasoning) const {
    const std::string_view on = part(header_.reasoning_on), off = part(header_.reasoning_off);
    System out;
    const bool has_off = !off.empty() && content.find(off) != content.npos;
    const bool has_on = !on.empty() && content.find(on) != content.npos;
    out.switches = has_off || has_on;
    out.reasoning = has_off ? Reasoning::off : has_on ? Reasoning::on : reasoning;
    const auto add = [&](std::string_view piece) {
        if (piece.empty()) return;
        if (out.n_pieces == std::size(out.pieces)) {
            out.too_many = true;
        } else {
            out.pieces[out.n_pieces++] = piece;
        }
    };
    size_t begin = 0;
    for (size_t i = 0; i < content.size();) {
        const std::string_view rest = content.substr(i);
        const size_t n = !off.empty() && rest.starts_with(off) ? off.size()
                         : !on.empty() && rest.starts_with(on) ? on.size()
                                                               : 0;
        if (n > 0) add(content.substr(begin, i - begin));
        i += n > 0 ? n : 1;
        if (n > 0) begin = i;
    }
    add(content.substr(begin));

    // The ends are stripped as if the pieces were one text.
    const ChatStrips left{header_.system.left, ChatStrip::nothing};
    const ChatStrips right{ChatStrip::nothing, header_.system.right};
    size_t first = 0;
    while (first < out.n_pieces &&
           (out.pieces[first] = stripped(left, out.pieces[first])).empty()) {
        first++;
    }
    while (out.n_pieces > first &&
           (out.pieces[out.n_pieces - 1] = stripped(right, out.pieces[out.n_pieces - 1])).empty()) {
        out.n_pieces--;
    }
    out.n_pieces -= first;
    for (size_t i = 0; i < out.n_pieces && first > 0; i++) out.pieces[i] = out.pieces[first + i];
    return out;
}

namespace {

void put(std::span<Tokenizer::Segment> room, size_t* n, std::string_view text,
         Tokenizer::Specials specials) {
    if (text.empty()) return;
    AXIOM_CHECK(*n < room.size());
    room[(*n)++] = {text, specials};
}

}  // namespace

void ChatTemplate::put_joint(ChatSpan span, const ChatStyle& style, ChatText& out) const {
    for (std::string_view joint = part(span); !joint.empty();) {
        const Cut cut = cut_at_date(joint);
        put(out.room_, &out.n_, cut.text, kParse);
        if (cut.has_date) {
            AXIOM_CHECK(out.n_dates_ < ChatText::kMaxDates);
            auto& buffer = out.dates_[out.n_dates_++];
            const size_t n = format_date(style.date, cut.format, buffer);
            put(out.room_, &out.n_, {buffer.data(), n}, kParse);
        }
        joint = cut.rest;
    }
}

// With the text before it: what an assistant wrote in an earlier turn.
void ChatTemplate::put_assistant(const ChatJoints& j, std::string_view content,
                                 ChatText& out) const {
    const ChatHeader& h = header_;
    const std::string_view begin = part(h.reasoning_begin), end = part(h.reasoning_end);
    const bool kept = h.reasoning_kept != ReasoningKept::no;
    const size_t at = end.empty() ? content.npos : kept ? content.find(end) : content.rfind(end);
    const size_t begins = at == content.npos || !kept || begin.empty()
                              ? content.npos
                              : content.substr(0, at).rfind(begin);
    const bool not_begun = h.reasoning_kept == ReasoningKept::if_begun && begins == content.npos;
    if (at == content.npos || not_begun) {
        put_joint(j.assistant, {}, out);
        put(out.room_, &out.n_, stripped(h.assistant, content), kLiteral);
        return;
    }
    put_joint(j.reasoned, {}, out);
    if (kept) {
        const size_t from = begins == content.npos ? 0 : begins + begin.size();
        put(out.room_, &out.n_, stripped(h.reasoning, content.substr(from, at - from)), kLiteral);
        put_joint(h.answer, {}, out);
    }
    put(out.room_, &out.n_, stripped(h.answer_only, content.substr(at + end.size())), kLiteral);
}

Status ChatTemplate::expand(std::span<const ChatMessage> messages, const ChatStyle& style,
                            ChatText& out) const {
    if (Status s = check_style(style); !s.ok()) return s;
    out.n_ = out.n_dates_ = 0;
    const bool given = !messages.empty() && messages[0].role == ChatRole::system;
    const System system = read_system(given ? messages[0].content : "", style.reasoning);
    if (system.too_many) {
        return error(Code::unsupported, "the system message switches reasoning more than ",
                     ChatText::kMaxReasoningMarks, " times");
    }
    if (given) messages = messages.subspan(1);
    AXIOM_CHECK(messages.size() % 2 == 1);

    const ChatJoints& j = joints(system.reasoning);
    // A system message that only switched reasoning is no wish for none.
    const bool bare = !style.default_system && !system.switches;
    const size_t system_before = header_.system_at_last ? messages.size() - 1 : 0;
    for (size_t i = 0; i < messages.size(); i++) {
        const std::string_view content = messages[i].content;
        if (i % 2 == 1) {
            AXIOM_CHECK(messages[i].role == ChatRole::assistant);
            put_assistant(j, content, out);
            continue;
        }
        AXIOM_CHECK(messages[i].role == ChatRole::user);
        const bool joined = !system.empty() && i == system_before;
        if (i > 0) {
            put_joint(j.user, style, out);
        } else if (joined) {
            put_joint(j.begin_system, style, out);
        } else {
            put_joint(bare ? j.bare_begin : j.begin, style, out);
        }
        if (joined) {
            for (size_t p = 0; p < system.n_pieces; p++) {
                put(out.room_, &out.n_, system.pieces[p], kLiteral);
            }
            put_joint(j.after_system, style, out);
        }
        put(out.room_, &out.n_,
            stripped(joined   ? header_.joined_user
                     : i == 0 ? header_.first_user
                              : header_.user,
                     content),
            kLiteral);
    }
    put_joint(j.generate, style, out);
    return {};
}

Status ChatTemplate::expand_next(std::string_view system, std::string_view user,
                                 const ChatStyle& style, ChatText& out) const {
    if (Status s = check_style(style); !s.ok()) return s;
    out.n_ = out.n_dates_ = 0;
    const ChatJoints& j = joints(read_system(system, style.reasoning).reasoning);
    put_joint(j.user, style, out);
    put(out.room_, &out.n_, stripped(header_.user, user), kLiteral);
    put_joint(j.generate, style, out);
    return {};
}

}  // namespace axiom
