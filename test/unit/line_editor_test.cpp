// SPDX-License-Identifier: MIT
#include "model/chat/line_editor.h"

#include <string>

#include "test/unit/catch.h"

using namespace axiom;

namespace {

using Event = LineEditor::Event;

constexpr const char* kUp = "\x1b[A";
constexpr const char* kDown = "\x1b[B";
constexpr const char* kRight = "\x1b[C";
constexpr const char* kLeft = "\x1b[D";
constexpr const char* kHome = "\x1b[H";
constexpr const char* kEnd = "\x1b[F";
constexpr const char* kDelete = "\x1b[3~";

// An editor whose last event and whose output are kept.
struct Typist {
    explicit Typist(size_t text_bytes = 200, size_t history_bytes = 100)
        : text(text_bytes, '?'), history(history_bytes, '?'), editor(setup()) {
        editor.begin("> ");
    }
    LineEditor::Setup setup() {
        return {
            .text = {text.data(), text.size()},
            .history = {history.data(), history.size()},
            .write = [](void* out, std::string_view t) { *static_cast<std::string*>(out) += t; },
            .write_context = &output};
    }
    Event type(std::string_view keys) {
        Event last = Event::none;
        for (const char c : keys) last = editor.feed(uint8_t(c));
        return last;
    }
    // What is in the line after these keys.
    std::string after(std::string_view keys) {
        type(keys);
        return std::string(editor.line());
    }
    // A whole line, and the next one begun.
    std::string enter(std::string_view keys) {
        REQUIRE(type(std::string(keys) + "\r") == Event::line);
        std::string line(editor.line());
        editor.begin("> ");
        return line;
    }

    std::string text, history, output;
    LineEditor editor;
};

std::string keys(std::initializer_list<std::string_view> parts) {
    std::string all;
    for (const std::string_view part : parts) all += part;
    return all;
}

}  // namespace

TEST_CASE("Enter ends a line with what was typed, and the next one begins empty") {
    Typist t;
    CHECK(t.type("hello") == Event::none);
    CHECK(t.type("\r") == Event::line);
    CHECK(t.editor.line() == "hello");
    t.editor.begin("> ");
    CHECK(t.editor.line() == "");
    CHECK(t.type("\n") == Event::line);
    CHECK(t.editor.line() == "");
}

TEST_CASE("typing at the end of a line writes the character and nothing else") {
    Typist t;
    t.type("ab");
    t.output.clear();
    t.type("\xc3\xa9");
    CHECK(t.output == "\xc3\xa9");
}

TEST_CASE("a line is edited where the cursor is") {
    const struct {
        std::string typed, line;
    } cases[] = {
        {keys({"ac", kLeft, "b"}), "abc"},
        {keys({"bc", kHome, "a", kEnd, "d"}), "abcd"},
        {keys({"bc\x01", "a\x05", "d"}), "abcd"},
        {keys({"bc\x1bOH", "a\x1bOF", "d"}), "abcd"},
        {keys({"bc\x1b[1~", "a\x1b[4~", "d"}), "abcd"},
        {keys({"abc", kLeft, kLeft, kRight, "X"}), "abXc"},
        {keys({"abc\x02\x02\x06X"}), "abXc"},
        {keys({"abc\x7f"}), "ab"},
        {keys({"abc\x08\x08\x08\x08"}), ""},
        {keys({"abc", kHome, "\x7f"}), "abc"},
        {keys({"abc", kHome, kDelete}), "bc"},
        {keys({"abc", kDelete}), "abc"},
        {keys({"abc", kHome, "\x04"}), "bc"},
        {keys({"one two", kLeft, kLeft, kLeft, "\x15"}), "two"},
        {keys({"one two", kLeft, kLeft, kLeft, "\x0b"}), "one "},
        {keys({"one two  \x17"}), "one "},
        {keys({"one two\x17\x17\x17"}), ""},
        {keys({"a\tb"}), "a b"},
        {keys({"a\x1b[15~\x1b[1;5Q\x1bx\x1b[2J\x07"
               "b"}),
         "ab"},
        {keys({"a\x1b[1\x1b[DX"}), "Xa"},
    };
    for (const auto& c : cases) {
        Typist t;
        INFO(c.typed);
        CHECK(t.after(c.typed) == c.line);
    }
}

TEST_CASE(
    "characters of several bytes are moved over and erased whole, with the marks they carry") {
    Typist t;
    CHECK(t.after(keys({"\xc3\xa9\xe4\xb8\xad\xf0\x9f\x98\x80", kLeft, "|"})) ==
          "\xc3\xa9\xe4\xb8\xad|\xf0\x9f\x98\x80");
    CHECK(t.after("\x7f\x7f") == "\xc3\xa9\xf0\x9f\x98\x80");
    CHECK(t.after(keys({kHome, kDelete})) == "\xf0\x9f\x98\x80");
    CHECK(t.after("\x05"
                  "e\xcc\x81\xcc\xa7") ==
          "\xf0\x9f\x98\x80"
          "e\xcc\x81\xcc\xa7");
    CHECK(t.after("\x7f") == "\xf0\x9f\x98\x80");
}

TEST_CASE("bytes that are not UTF-8, and control characters, never get into a line") {
    Typist t;
    CHECK(t.after("a\xff\xc3(\xc2\x9b"
                  "b") == "a\xef\xbf\xbd\xef\xbf\xbd(b");
}

TEST_CASE("a full line takes no more, and rings the bell") {
    Typist t(8);
    CHECK(t.after("abc\xc3\xa9") == "abc");
    CHECK(t.output.ends_with("\a"));
    CHECK(t.after("d") == "abcd");
    CHECK(t.after(keys({kHome, "X"})) == "abcd");
    CHECK(t.enter("") == "abcd");
}

TEST_CASE("Ctrl-C empties the line, Ctrl-D ends on an empty one only") {
    Typist t;
    CHECK(t.type("abc\x03") == Event::cancelled);
    CHECK(t.editor.line() == "");
    CHECK(t.output.ends_with("^C\n"));
    t.editor.begin("> ");
    CHECK(t.type("x\x04") == Event::none);
    CHECK(t.type("\x7f\x04") == Event::end);
}

TEST_CASE("history goes back and forth, and back to what was being typed") {
    Typist t;
    CHECK(t.enter("one") == "one");
    CHECK(t.enter("two") == "two");
    CHECK(t.after(keys({"dr", kUp})) == "two");
    CHECK(t.after(kUp) == "one");
    CHECK(t.after(kUp) == "one");
    CHECK(t.after("\x0e") == "two");
    CHECK(t.after(kDown) == "dr");
    CHECK(t.after(kDown) == "dr");
    CHECK(t.after("\x10") == "two");
    CHECK(t.enter("!") == "two!");
    CHECK(t.after(keys({kUp, kUp, kUp})) == "one");
}

TEST_CASE("history keeps neither empty lines nor the last line twice, nor what Ctrl-C dropped") {
    Typist t;
    t.enter("one");
    t.enter("one");
    t.enter("");
    t.type("two\x03");
    t.editor.begin("> ");
    CHECK(t.after(kUp) == "one");
    CHECK(t.after(kUp) == "one");
    CHECK(t.after(kDown) == "");
    CHECK(t.enter("ne") == "ne");  // ends the last line, and is another
    CHECK(t.after(keys({kUp, kUp})) == "one");
}

TEST_CASE("the oldest lines of a full history make room") {
    Typist t(200, 10);
    t.enter("aaa");
    t.enter("bbb");
    t.enter("ccc");
    CHECK(t.after(keys({kUp, kUp, kUp, kUp})) == "bbb");
    CHECK(t.enter("too long for it") == "bbbtoo long for it");
    CHECK(t.after(kUp) == "ccc");
    Typist none(200, 0);
    none.enter("aaa");
    CHECK(none.after(kUp) == "");
}
