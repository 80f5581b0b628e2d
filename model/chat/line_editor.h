// SPDX-License-Identifier: MIT
// A line typed at a terminal: editing, history, UTF-8. Fed with the bytes that a terminal sends for keys,
// it writes what changes the terminal's picture: text, \n, \r, and of ANSI's escape sequences (ECMA-48)
// CUU, CUF and ED. A line longer than the terminal goes on in the next rows.
// Must not know: what kind of terminal it is, or what a line means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/utf8.h"
#include "model/report/json_writer.h"  // TextSink

namespace axiom {

class LineEditor {
  public:
    struct Setup {
        std::span<char> text;      // half of it holds the line, half what history displaced
        std::span<char> history;   // of lines; the oldest make room. Empty: no history
        TextSink write = nullptr;  // '\n' begins a new row, at its first column
        void* write_context = nullptr;
    };
    enum class Event : uint8_t {
        none,
        line,       // Enter: line() is whole, and stays until begin()
        cancelled,  // Ctrl-C: line() is empty
        end,        // Ctrl-D on an empty line
    };

    explicit LineEditor(const Setup& setup);

    // Between lines: the terminal's columns, fewer than it has are harmless; and the rows that a line may fill,
    // of a longer one only those about the cursor show. 80 and 8 until then; never fewer than kMinColumns
    // and a row.
    static constexpr size_t kMinColumns = 8;
    void set_size(size_t n_columns, size_t n_rows);

    // A new empty line behind `prompt`, which stays where it is until the line ends. It has no control
    // characters and fewer columns than the terminal.
    void begin(std::string_view prompt);
    // The next byte of a key. After anything but `none` the terminal is at the start of a new row, and
    // begin() has to come before the next byte.
    Event feed(uint8_t byte);
    // Without control characters, valid UTF-8.
    std::string_view line() const { return {text_.data(), n_}; }
    // Bytes of it before the cursor.
    size_t cursor() const { return cursor_; }
    // The prompt and the line anew, after something else was written from the first column of a row.
    void redraw();

  private:
    struct Place {
        size_t row = 0, column = 0;
    };
    enum class Escape : uint8_t { none, begun, csi, ss3 };

    Event control(uint8_t byte);
    void escape(uint8_t byte);
    void key(uint8_t final, unsigned number);
    void insert(std::string_view character);
    void erase(size_t from, size_t to);
    void move(size_t to);
    void recall(bool older);
    void remember();
    void finish(std::string_view mark);

    size_t before(size_t at) const;  // the start of the character that ends at `at`
    size_t after(size_t at) const;
    size_t word_before(size_t at) const;
    size_t width_at(size_t at, size_t* n_bytes) const;
    Place place_of(size_t at) const;
    Place next_place(Place from, size_t width) const;

    void refresh();
    void go(Place to);
    void draw_rows();
    void write(std::string_view text) const { write_(write_context_, text); }

    std::span<char> text_, displaced_;
    std::span<char> history_;  // lines, each ended by '\n', oldest first
    size_t n_history_ = 0;     // bytes
    size_t recalled_ = 0;      // where in history_ the line came from; n_history_: from the keys
    TextSink write_;
    void* write_context_;
    size_t n_columns_ = 80, n_rows_ = 8;

    std::string_view prompt_;
    size_t n_ = 0, cursor_ = 0;
    size_t n_displaced_ = 0;
    size_t first_row_ = 0;  // the first that shows
    Place shown_;           // where the terminal's cursor is, from the first row that shows
    Escape escape_ = Escape::none;
    unsigned number_ = 0;
    Utf8Stream utf8_;
};

}  // namespace axiom
