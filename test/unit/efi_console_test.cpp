// SPDX-License-Identifier: MIT
// The console in front of a serial port that is memory, and a line edited on the screen's grid.
#include "efi/dev/console.h"

#include <algorithm>
#include <string>
#include <vector>

#include "core/text_width.h"
#include "efi/dev/serial.h"
#include "model/chat/line_editor.h"
#include "test/unit/catch.h"
#include "test/unit/picture.h"

using namespace axiom;
using namespace axiom::efi;
using test::Picture;

namespace {

// A UART that takes whatever comes at once, as emulated ones do: its registers, the last byte in the first.
struct FakeUart final : RegisterAccess {
    static constexpr uint8_t kAllEmpty = 0x60;  // line status
    uint8_t registers[8] = {0, 0, 0, 0, 0, kAllEmpty, 0, 0};
    Serial serial{{uint64_t(registers), false, 8, 1}, 0, true, *this};
    uint32_t read(const Register& where, unsigned) override {
        return *reinterpret_cast<const uint8_t*>(where.address);
    }
    void write(const Register& where, unsigned, uint32_t value) override {
        *reinterpret_cast<uint8_t*>(where.address) = uint8_t(value);
    }
    char last() const { return char(registers[0]); }
};

constexpr std::string_view kMark = "\xcc\x81", kWide = "\xe4\xb8\xad", kAccented = "\xc3\xa9";

// Where the characters of a prompt and a line have to be, worked out one by one.
struct Layout {
    explicit Layout(uint32_t columns) : n_columns(columns), rows(1) {}

    void put(std::string_view character) {
        const uint32_t point = utf8_point(character), width = uint32_t(columns_of(point));
        if (width == 0) return;
        make_room(width);
        rows.back() += char32_t(kFontPoints[glyph_of(point)]);
        if (width == 2) rows.back() += U' ';
    }
    // For a character of that width: in the next row where this one has none.
    void make_room(uint32_t width) {
        if (rows.back().size() + width > n_columns) rows.emplace_back();
    }

    uint32_t n_columns;
    test::Lines rows;
};

std::string_view character_at(std::string_view text, size_t at) {
    return text.substr(at, utf8_length(uint8_t(text[at])));
}

std::u32string trimmed(std::u32string line) {
    return line.substr(0, line.find_last_not_of(U' ') + 1);
}

// An editor in front of a grid, a few lines of which are full already.
struct Desk {
    Desk(uint32_t columns, uint32_t rows) : picture(columns, rows, true), editor(setup()) {
        for (uint32_t i = 0; i + 3 < rows; i++) picture.grid.write("above\n");
        editor.set_size(columns, picture.grid.n_text_rows());
        editor.begin("> ");
    }
    LineEditor::Setup setup() {
        return {.text = {text, sizeof text},
                .history = {history, sizeof history},
                .write = [](void* grid, std::string_view t) { static_cast<Grid*>(grid)->write(t); },
                .write_context = &picture.grid};
    }
    // What is on the screen is the line, whole, the cursor where the `n_before` first bytes end.
    void check(size_t n_before) {
        const std::string_view line = editor.line();
        Layout whole(picture.n_columns);
        whole.put(">");
        whole.put(" ");
        Layout before = whole;
        for (size_t i = 0; i < line.size(); i += character_at(line, i).size()) {
            whole.put(character_at(line, i));
            if (i < n_before) before.put(character_at(line, i));
        }
        // Where a character can be put next; a mark has the place of what it belongs to.
        uint32_t next = 1;
        if (n_before < line.size())
            next = std::max(next, uint32_t(columns_of(utf8_point(character_at(line, n_before)))));
        before.make_room(next);
        picture.show();
        const size_t row = before.rows.size() - 1;
        REQUIRE(picture.cursor_row >= row);
        CHECK(picture.cursor_column == before.rows.back().size());
        const size_t top = picture.cursor_row - row;
        for (size_t i = 0; top + i < picture.grid.n_text_rows(); i++) {
            const std::u32string wanted = i < whole.rows.size() ? whole.rows[i] : U"";
            CHECK(trimmed(picture.lines[top + i]) == trimmed(wanted));
        }
        if (top > 0) CHECK(trimmed(picture.lines[top - 1]) == above);
    }

    std::u32string above = U"above";
    char text[96], history[200];
    Picture picture;
    LineEditor editor;
};

}  // namespace

TEST_CASE("a poll of the console gives the serial port 16 bytes at most") {
    FakeUart uart;
    uart.serial.start();
    REQUIRE(uart.serial.exists());
    Console console;
    std::vector<uint64_t> memory(console.memory.bytes / 8);
    console.memory.address = uint64_t(memory.data());
    console.use_serial(&uart.serial);
    console.write("abcdefghijklmnopqrstuvwxyz");
    console.poll(console, 0);
    CHECK(uart.last() == 'p');
    console.poll(console, 0);
    CHECK(uart.last() == 'z');
    console.write("0123456789abcdefghijklmno");
    console.flush();
    CHECK(uart.last() == 'o');
}

TEST_CASE("a line with wide characters and marks is where the screen has it, whatever is typed") {
    const std::string_view keys[] = {"a",    "b",      " ",      kWide,    kWide,   kAccented,
                                     kMark,  "\x1b[D", "\x1b[D", "\x1b[C", "\x01",  "\x05",
                                     "\x7f", "\x04",   "\x17",   "\x1b[A", "\x1b[B"};
    for (const uint32_t columns : {8u, 9u, 11u, 80u}) {
        Desk desk(columns, 12);
        uint64_t state = columns;
        for (int i = 0; i < 3000; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            const std::string_view key = keys[(state >> 40) % std::size(keys)];
            if (key == "\x04" && desk.editor.line().empty()) continue;  // the end
            for (const char byte : key) desk.editor.feed(uint8_t(byte));
            INFO(columns << " columns, key " << i);
            desk.check(desk.editor.cursor());
        }
    }
}

TEST_CASE("a line of exactly the terminal's columns ends in one new row") {
    Desk desk(10, 8);
    for (const char c : std::string_view("12345678")) desk.editor.feed(uint8_t(c));
    desk.check(8);
    CHECK(desk.editor.feed('\r') == LineEditor::Event::line);
    desk.editor.begin("> ");
    desk.above = U"> 12345678";
    desk.check(0);
}

TEST_CASE("of a line longer than its rows those about the cursor show, and none above is touched") {
    Desk desk(10, 9);
    desk.editor.feed(uint8_t('\r'));
    desk.editor.set_size(10, 3);
    desk.editor.begin("> ");
    for (int i = 0; i < 46; i++) desk.editor.feed(uint8_t('a' + i % 26));
    const auto row = [&](uint32_t i) { return trimmed(desk.picture.lines[i]); };
    desk.picture.show();
    const uint32_t last = desk.picture.cursor_row;
    CHECK(row(last) == U"mnopqrst");
    CHECK(row(last - 1) == U"cdefghijkl");
    CHECK(row(last - 2) == U"stuvwxyzab");
    CHECK(row(last - 3) == U">");
    desk.editor.feed(0x01);  // Ctrl-A
    desk.picture.show();
    CHECK(row(last - 2) == U"> abcdefgh");
    CHECK(row(last - 3) == U">");
    CHECK(desk.picture.cursor_row == last - 2);
    CHECK(desk.picture.cursor_column == 2);
}
