// SPDX-License-Identifier: MIT
// Pixels in fake framebuffers, and the grid of text that is drawn into them.
#include "efi/dev/screen.h"

#include <cstring>
#include <string>
#include <vector>

#include "efi/screen/font.h"
#include "efi/screen/framebuffer.h"
#include "efi/screen/grid.h"
#include "efi/screen/record_filter.h"
#include "test/unit/catch.h"
#include "test/unit/picture.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

using Format = GraphicsMode::Format;

// Memory with marks around it, and behind the pixels of each line: nothing else may be written.
struct FakePanel {
    static constexpr uint8_t kMark = 0xa5;
    static constexpr size_t kBefore = 4096;

    explicit FakePanel(GraphicsMode m) : bytes(kBefore + m.n_bytes + 64, kMark) {
        m.address = uint64_t(bytes.data() + kBefore);
        const Result<Framebuffer> checked = check_mode(m, {});
        INFO(checked.status().text());
        REQUIRE(checked.ok());
        framebuffer = checked.value();
    }
    uint32_t pixel(uint32_t x, uint32_t y) const {
        uint32_t value = 0;
        memcpy(&value, at(x, y), framebuffer.pixel_bytes);
        return value;
    }
    const uint8_t* at(uint32_t x, uint32_t y) const {
        return bytes.data() + kBefore + y * framebuffer.pitch_bytes + x * framebuffer.pixel_bytes;
    }
    bool marks_are_whole() const {
        size_t n_written = 0;
        for (const uint8_t b : bytes) n_written += b != kMark;
        size_t n_inside = 0;
        for (uint32_t y = 0; y < framebuffer.height; y++) {
            for (uint32_t i = 0; i < framebuffer.width * framebuffer.pixel_bytes; i++)
                n_inside += at(0, y)[i] != kMark;
        }
        return n_written == n_inside;
    }
    // The character in this cell of the small font, found by its pixels.
    uint32_t character(const Painter& p, uint32_t row, uint32_t column, uint32_t bright) const {
        const uint32_t left = (framebuffer.width - p.n_columns() * p.cell_width()) / 2;
        const uint32_t top = (framebuffer.height - p.n_rows() * p.cell_height()) / 2;
        for (size_t i = 0; i < kFontPoints.size(); i++) {
            const uint8_t* const rows = kFonts[0].glyph(i);
            bool same = true;
            for (uint32_t y = 0; same && y < 16; y++) {
                for (uint32_t x = 0; same && x < 8; x++) {
                    const bool on = (rows[y] >> (7 - x) & 1) != 0;
                    same = pixel(left + column * 8 + x, top + row * 16 + y) == (on ? bright : 0);
                }
            }
            if (same) return kFontPoints[i];
        }
        return 0;
    }

    std::vector<uint8_t> bytes;
    Framebuffer framebuffer;
};

GraphicsMode mode(Format format, uint32_t width, uint32_t height, uint32_t pixels_a_line,
                  uint32_t pixel_bytes = 4) {
    return {.n_bytes = uint64_t{pixels_a_line} * height * pixel_bytes,
            .width = width,
            .height = height,
            .pixels_a_line = pixels_a_line,
            .format = format};
}

GraphicsMode masks(uint32_t pixel_bytes, uint32_t red, uint32_t green, uint32_t blue,
                   uint32_t reserved) {
    GraphicsMode m = mode(Format::masks, 100, 50, 103, pixel_bytes);
    m.red = red, m.green = green, m.blue = blue, m.reserved = reserved;
    return m;
}

using test::Lines;
using test::Picture;

}  // namespace

TEST_CASE("text is drawn in every pixel format and pitch, and nothing beside the pixels") {
    const struct {
        GraphicsMode mode;
        uint32_t pixel_bytes, bright, dim;
    } cases[] = {
        {mode(Format::rgb, 100, 50, 100), 4, 0xd0d0d0, 0x989898},
        {mode(Format::bgr, 101, 49, 128), 4, 0xd0d0d0, 0x989898},
        {masks(4, 0x3ff00000, 0xffc00, 0x3ff, 0xc0000000), 4, 0x343 << 20 | 0x343 << 10 | 0x343,
         0x262 << 20 | 0x262 << 10 | 0x262},
        {masks(4, 0xff, 0xff00, 0xff0000, 0xff000000), 4, 0xd0d0d0, 0x989898},
        {masks(3, 0xff0000, 0xff00, 0xff, 0), 3, 0xd0d0d0, 0x989898},
        {masks(2, 0xf800, 0x7e0, 0x1f, 0), 2, 26u << 11 | 52u << 5 | 26, 19u << 11 | 38u << 5 | 19},
        {masks(2, 0x7c00, 0x3e0, 0x1f, 0x8000), 2, 26u << 10 | 26u << 5 | 26,
         19u << 10 | 19u << 5 | 19},
        {masks(1, 0xe0, 0x1c, 0x3, 0), 1, 6u << 5 | 6u << 2 | 3, 4u << 5 | 4u << 2 | 2},
    };
    for (const auto& c : cases) {
        FakePanel panel(c.mode);
        CHECK(panel.framebuffer.pixel_bytes == c.pixel_bytes);
        const Painter painter(panel.framebuffer);
        REQUIRE(painter.n_columns() == 12);
        REQUIRE(painter.n_rows() == 3);
        painter.clear();
        const Cell cells[] = {glyph_of('A'), glyph_of(0x416), glyph_of(0x3a9)};
        painter.draw(1, 2, {cells, 3});
        painter.draw(2, 11, {cells, 1});
        const Cell dim = Cell(glyph_of('d') | kDim);
        painter.draw(0, 0, {&dim, 1});
        CHECK(panel.character(painter, 1, 2, c.bright) == 'A');
        CHECK(panel.character(painter, 1, 3, c.bright) == 0x416);
        CHECK(panel.character(painter, 1, 4, c.bright) == 0x3a9);
        CHECK(panel.character(painter, 2, 11, c.bright) == 'A');
        CHECK(panel.character(painter, 1, 5, c.bright) == ' ');
        CHECK(panel.character(painter, 0, 2, c.bright) == ' ');
        CHECK(panel.character(painter, 0, 0, c.dim) == 'd');
        CHECK(panel.marks_are_whole());
    }
}

TEST_CASE("colours go where the format has them") {
    const auto framebuffer = [](Format format) {
        GraphicsMode m = mode(format, 100, 50, 100);
        m.address = 0x80000000;
        return check_mode(m, {}).value();
    };
    CHECK(framebuffer(Format::rgb).red == 0xff);
    CHECK(framebuffer(Format::bgr).red == 0xff0000);
    CHECK(framebuffer(Format::bgr).blue == 0xff);
}

TEST_CASE("an inverse cell has its colours the other way around") {
    FakePanel panel(mode(Format::bgr, 100, 50, 100));
    const Painter painter(panel.framebuffer);
    painter.clear();
    const Cell cell = Cell(glyph_of(' ') | kInverse);
    painter.draw(0, 0, {&cell, 1});
    CHECK(panel.character(painter, 0, 0, 0) == 0);
    CHECK(panel.pixel(2, 1) == 0xd0d0d0);
    CHECK(panel.marks_are_whole());
}

TEST_CASE("characters are the largest of which 100 columns and 30 rows are there") {
    const struct {
        uint32_t width, height, columns, rows, cell_width;
    } cases[] = {{640, 480, 80, 30, 8},     {800, 600, 100, 37, 8},    {1024, 768, 128, 48, 8},
                 {1280, 800, 160, 50, 8},   {1920, 1080, 120, 33, 16}, {1080, 1920, 135, 120, 8},
                 {2560, 1440, 160, 45, 16}, {3840, 2160, 120, 33, 32}, {7680, 4320, 120, 33, 64},
                 {16384, 600, 512, 37, 8},  {320, 200, 40, 12, 8}};
    for (const auto& c : cases) {
        GraphicsMode m = mode(Format::bgr, c.width, c.height, c.width);
        m.address = 0x80000000;
        const Painter painter(check_mode(m, {}).value());
        INFO(c.width << "x" << c.height);
        CHECK(painter.n_columns() == c.columns);
        CHECK(painter.n_rows() == c.rows);
        CHECK(painter.cell_width() == c.cell_width);
        CHECK(painter.cell_height() == 2 * c.cell_width);
    }
}

TEST_CASE("every pixel of a character becomes a square where characters are drawn larger") {
    FakePanel panel(mode(Format::bgr, 3840, 2160, 3840));
    const Painter painter(panel.framebuffer);
    painter.clear();
    const Cell cell = glyph_of('R');
    painter.draw(32, 119, {&cell, 1});
    const uint32_t left = 119 * 32, top = (2160 - 33 * 64) / 2 + 32 * 64;
    const uint8_t* const rows = kFonts[1].glyph(cell);
    bool same = true;
    for (uint32_t y = 0; y < 64; y++) {
        for (uint32_t x = 0; x < 32; x++) {
            const uint32_t bits = uint32_t(rows[y / 2 * 2] << 8 | rows[y / 2 * 2 + 1]);
            const bool on = (bits >> (15 - x / 2) & 1) != 0;
            same = same && panel.pixel(left + x, top + y) == (on ? 0xd0d0d0u : 0);
        }
    }
    CHECK(same);
    CHECK(panel.marks_are_whole());
}

TEST_CASE("modes without a usable framebuffer are refused with what was found") {
    const auto refused = [](GraphicsMode m, std::string_view part,
                            std::span<const MemoryRegion> map = {}) {
        if (m.address == 0) m.address = 0x80000000;
        const Result<Framebuffer> f = check_mode(m, map);
        INFO(f.status().text());
        return !f.ok() && f.status().code() == Code::unsupported &&
               f.status().text().find(part) != std::string_view::npos;
    };
    CHECK(refused(mode(Format::blt_only, 100, 50, 100), "pixel format 3"));
    CHECK(refused(mode(Format(7), 100, 50, 100), "pixel format 7"));
    CHECK(refused(mode(Format::bgr, 0, 50, 100), "0x50"));
    CHECK(refused(mode(Format::bgr, 100, 8, 100), "100x8"));
    CHECK(refused(mode(Format::bgr, 100, 50, 99), "99 a line"));
    CHECK(refused(mode(Format::bgr, 20000, 50, 20000), "20000x50"));
    CHECK(refused(masks(4, 0, 0xff00, 0xff, 0), "masks 0x0"));
    CHECK(refused(masks(4, 0x50000, 0xff00, 0xff, 0), "masks 0x50000"));
    CHECK(refused(masks(4, 0xff00, 0xff00, 0xff, 0), "masks 0xff00"));
    GraphicsMode small = mode(Format::bgr, 100, 50, 100);
    small.n_bytes--;
    CHECK(refused(small, "needed 20000"));
    GraphicsMode far = mode(Format::bgr, 100, 50, 100);
    far.address = (uint64_t{1} << 47) - 4096;
    CHECK(refused(far, "below 2^47"));
    far.address = ~uint64_t{0} - 4096;
    CHECK(refused(far, "below 2^47"));
    far.address = 16;
    CHECK(refused(far, "first page"));
    MemoryRegion ram{0x80004000, 0x80100000, MemoryType::conventional, 0};
    CHECK(refused(mode(Format::bgr, 100, 50, 100), "RAM", {&ram, 1}));
    ram.begin = 0x80005000;
    CHECK(!refused(mode(Format::bgr, 100, 50, 100), "RAM", {&ram, 1}));
    ram = {0x80000000, 0x80100000, MemoryType::reserved, 0};
    CHECK(!refused(mode(Format::bgr, 100, 50, 100), "RAM", {&ram, 1}));
}

TEST_CASE("Latin, Greek, Cyrillic and box drawing have glyphs, what has none becomes U+FFFD") {
    const auto has = [](uint32_t point) { return kFontPoints[glyph_of(point)] == point; };
    for (uint32_t p = 0x20; p < 0x7f; p++) CHECK(has(p));
    for (uint32_t p = 0xa0; p < 0x180; p++) CHECK(has(p));
    for (uint32_t p = 0x391; p < 0x3ca; p++) CHECK((p == 0x3a2 || has(p)));
    for (uint32_t p = 0x400; p < 0x460; p++) CHECK(has(p));
    for (uint32_t p = 0x2500; p < 0x2580; p++) CHECK(has(p));
    for (const uint32_t p : {0x2588, 0x2591, 0x20ac, 0x2013, 0x201c, 0x2026, 0x2192, 0x2264})
        CHECK(has(p));
    CHECK(kFontPoints.size() <= glyph_in(0xffff));
    for (const uint32_t p : {0x4e2d, 0x1f600, 0x07, 0x10ffff, 0xfffd})
        CHECK(kFontPoints[glyph_of(p)] == 0xfffd);
}

TEST_CASE("text fills rows, wraps at the last column and goes on below a newline") {
    Picture t(10, 5);
    CHECK(t.after("one\ntwo") == Lines{U"one", U"two"});
    CHECK(t.after("3456789") == Lines{U"one", U"two3456789"});
    CHECK(t.after("\nx") == Lines{U"one", U"two3456789", U"x"});
    CHECK(t.after("23456789abcd") == Lines{U"one", U"two3456789", U"x23456789a", U"bcd"});
    CHECK(t.cursor_row == 3);
    CHECK(t.cursor_column == 3);
}

TEST_CASE("UTF-8 arrives in pieces, malformed bytes become U+FFFD, marks are left out") {
    Picture t(20, 3);
    t.grid.write("\xd0");
    CHECK(t.after("\x96 \xce\xa9\xff\xe2\x94\x80 e\xcc\x81!") ==
          Lines{U"\u0416 \u03a9\ufffd\u2500 e!"});
}

TEST_CASE("a wide character takes two cells, whole ones") {
    Picture t(5, 3);
    CHECK(t.after("ab\xe4\xb8\xad"
                  "c") == Lines{U"ab\ufffd c"});
    CHECK(t.after("\rabcd\xe4\xb8\xad") == Lines{U"abcdc", U"\ufffd"});
}

TEST_CASE("control characters and escape sequences move the cursor and erase") {
    const struct {
        const char* text;
        Lines lines;
    } cases[] = {
        {"abc\rX", {U"Xbc"}},
        {"abc\b\bX", {U"aXc"}},
        {"\b\bX", {U"X"}},
        {"a\tb", {U"a       b"}},
        {"a\a\x01"
         "b\x7f",
         {U"ab"}},
        {"one\ntwo\x1b[AX", {U"oneX", U"two"}},
        {"one\ntwo\x1b[5AX", {U"oneX", U"two"}},
        {"one\x1b[2DX", {U"oXe"}},
        {"one\r\x1b[2CX", {U"onX"}},
        {"one\x1b[BX", {U"one", U"   X"}},
        {"one\r\x1b[C\x1b[K", {U"o"}},
        {"one\ntwo\x1b[A\r\x1b[J", {}},
        {"one\ntwo\x1b[2J\x1b[HX", {U"X"}},
        {"a\x1b[1;31mb\x1b[0m\x1b[?25l\x1b(\x1b[1;2Hc", {U"cb"}},
        {"a\x1b[99999999999Cb", {U"a        ", U""}},
        {"a\x1b[\x1b[Db", {U"b"}},
        {"a\x1b[1\nb", {U"a", U"b"}},
    };
    for (const auto& c : cases) {
        Picture t(10, 4);
        INFO(c.text);
        if (c.lines.size() == 2 && c.lines[1].empty()) {
            CHECK(t.after(c.text) == Lines{U"a        b"});
        } else {
            CHECK(t.after(c.text) == c.lines);
        }
    }
}

TEST_CASE("below the last row the text scrolls, and only what differs is drawn") {
    Picture t(10, 4);
    CHECK(t.after("1\n2\n3\n4") == Lines{U"1", U"2", U"3", U"4"});
    t.grid.write("\n5");
    CHECK(t.draw() <= 6);  // four characters that changed, the new one, the cursor twice
    CHECK(t.show() == Lines{U"2", U"3", U"4", U"5"});
    CHECK(t.after("\n\n\n\n\n6") == Lines{U"", U"", U"", U"6"});
    CHECK(t.draw() == 0);
}

TEST_CASE("a large screen scrolls an eighth of its rows at a time") {
    Picture t(10, 16);
    for (int i = 0; i < 16; i++) t.grid.write(i == 0 ? "a" : "\na");
    CHECK(t.show().size() == 16);
    CHECK(t.after("\nb").size() == 15);
    CHECK(t.after("\nb").size() == 16);
    CHECK(t.cursor_row == 15);
}

TEST_CASE("a status is in the last row, where text neither goes nor scrolls") {
    Picture t(10, 4, true);
    CHECK(t.grid.n_text_rows() == 3);
    t.grid.write("1\n2\n3");
    t.grid.set_status("state");
    CHECK(t.show() == Lines{U"1", U"2", U"3", U"state"});
    CHECK(t.after("\n4\n5") == Lines{U"3", U"4", U"5", U"state"});
    CHECK(t.after("\x1b[9BX") == Lines{U"3", U"4", U"5X", U"state"});
    CHECK(t.after("\x1b[2J") == Lines{U"", U"", U"", U"state"});
    t.grid.set_status("longer than the row");
    CHECK(t.show().back() == U"longer tha");
    t.grid.set_status("short");
    CHECK(t.show().back() == U"short");
    t.grid.set_status("");
    CHECK(t.after("\x1b[Hx") == Lines{U"x"});
}

TEST_CASE("what is written dim is dim, and what comes after it is not") {
    Picture t(10, 2);
    t.show();
    t.grid.write("a b", kDim);
    t.grid.write("c");
    size_t n_compared = 100;
    const Grid::Run run = t.grid.next_run(10, &n_compared);
    REQUIRE(run.cells.size() == 1);  // the blank behind it is one anyway
    CHECK(run.cells[0] == (glyph_of('a') | kDim));
    const Grid::Run next = t.grid.next_run(10, &n_compared);
    REQUIRE(next.cells.size() == 3);  // with the cursor
    CHECK(next.cells[0] == (glyph_of('b') | kDim));
    CHECK(next.cells[1] == glyph_of('c'));
}

TEST_CASE("of a status that changes only what differs is drawn") {
    Picture t(100, 5, true);
    t.grid.set_status("12 tokens, 39.78 t/s");
    t.show();
    t.grid.set_status("13 tokens, 39.81 t/s");
    CHECK(t.draw() == 3);
}

TEST_CASE("a grid without a row for it has no status") {
    Picture t(10, 2), one(10, 1, true);
    t.grid.set_status("state");
    CHECK(t.after("a\nb") == Lines{U"a", U"b"});
    one.grid.set_status("state");
    CHECK(one.after("a") == Lines{U"a"});
}

TEST_CASE("text that scrolled away before it was drawn is never drawn") {
    Picture t(10, 4);
    for (int i = 0; i < 1000; i++) t.grid.write("abcdefghij\n");
    CHECK(t.draw() <= 4 * 10);
    CHECK(t.show() == Lines{U"abcdefghij", U"abcdefghij", U"abcdefghij"});
}

TEST_CASE("a piece of work draws no more cells, and looks at no more, than it may") {
    Picture t(100, 30);
    for (int i = 0; i < 30; i++)
        t.grid.write(std::string(99, char('a' + i % 26)) + (i < 29 ? "\n" : ""));
    size_t n = 0, n_pieces = 0;
    while (!t.grid.all_drawn()) {
        const size_t drawn = t.draw(7, 50);
        REQUIRE(drawn <= 7);
        n += drawn;
        REQUIRE(++n_pieces < 1000);
    }
    CHECK(n == 30 * 99 + 1);
    CHECK(n_pieces >= n / 7);
    // Blank lines: nothing to draw, but cells to look at.
    t.grid.write("\x1b[2J\x1b[H");
    t.draw();
    for (int i = 0; i < 60; i++) t.grid.write("\n");
    size_t n_compared = 50;
    t.grid.next_run(7, &n_compared);
    CHECK(n_compared <= 49);
    CHECK(!t.grid.all_drawn());
}

TEST_CASE("whatever bytes come, every pixel drawn is on the screen") {
    FakePanel panel(mode(Format::bgr, 173, 91, 180));
    Screen screen(panel.framebuffer);
    std::vector<uint64_t> memory(screen.memory.bytes / 8 + 1);
    screen.memory.address = uint64_t(memory.data());
    screen.start();
    uint64_t state = 1;
    std::string text;
    for (int i = 0; i < 200000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const uint8_t byte = uint8_t(state >> 56);
        constexpr std::string_view kOften = "\x1b[\n\r\b\tABCDHJK0123456789;";
        text += byte < 100 ? kOften[byte % kOften.size()] : char(byte);
        if (i % 97 == 0) {
            screen.write(text);
            text.clear();
            screen.poll(screen, 0);
        }
    }
    screen.draw_all();
    CHECK(panel.marks_are_whole());
}

TEST_CASE("a poll of the screen draws 16 KiB of pixels at most") {
    for (const uint32_t width : {800u, 1920u, 3840u}) {
        FakePanel panel(mode(Format::bgr, width, width * 9 / 16 + 150, width));
        Screen screen(panel.framebuffer, true);
        std::vector<uint64_t> memory(screen.memory.bytes / 8 + 1);
        screen.memory.address = uint64_t(memory.data());
        screen.start();
        screen.draw_all();
        const size_t n_cells = screen.cells_per_poll();
        CHECK(n_cells * screen.painter().cell_bytes() <= Screen::kBytesPerPoll);
        CHECK(n_cells >= 2);
        for (int i = 0; i < 200; i++) screen.write("\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88");
        screen.status("\xe2\x96\x88\xe2\x96\x88\xe2\x96\x88");
        const std::vector<uint8_t> before = panel.bytes;
        screen.poll(screen, 0);
        size_t n_changed = 0;
        for (size_t i = 0; i < before.size(); i++) n_changed += before[i] != panel.bytes[i];
        CHECK(n_changed > 0);
        CHECK(n_changed <= Screen::kBytesPerPoll);
    }
}

TEST_CASE("lines for machines become a short note on the screen, others stay as they are") {
    RecordFilter filter;
    std::string shown;
    const auto put = [&](std::string_view text) {
        filter.put(
            text, [&](std::string_view part) { shown += part; },
            [&](size_t n) { shown += "(" + std::to_string(n) + ")"; });
    };
    const std::string text =
        "a\n{\"axiom\":1,\"x\":2}\nb "
        "{\"axiom\":1}\n{\"axion\":1}\n{\n\n{\"axiom\":\n{\"axiom\":1,\"kind\":3}\nend";
    const std::string expected = "a\n(17)\nb {\"axiom\":1}\n{\"axion\":1}\n{\n\n(9)\n(20)\nend";
    put(text);
    CHECK(shown == expected);
    shown.clear();
    put("\n");
    for (const char c : text) put({&c, 1});
    CHECK(shown == "\n" + expected);
}

TEST_CASE("lines that begin with {\" behind one for machines are none for people either") {
    RecordFilter filter;
    std::string shown;
    filter.put(
        "{\"pass\":0}\n{\"axiom\":1}\n{\"pass\":1}\n{\"pass\":2}\n{\"axiom\":2}\n{x}\n{\"pass\":3}"
        "\n",
        [&](std::string_view part) { shown += part; }, [&](size_t) { shown += "()"; });
    CHECK(shown == "{\"pass\":0}\n()\n()\n{x}\n{\"pass\":3}\n");
}

TEST_CASE("a machine without a screen takes text and draws nothing") {
    Screen none{Framebuffer()};
    CHECK(!none.exists());
    CHECK(none.poll == nullptr);
    CHECK(none.memory.bytes == 0);
    CHECK(none.registers[0].range.size() == 0);
    none.start();
    none.write("text");
    none.draw_all();
}
