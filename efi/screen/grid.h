// SPDX-License-Identifier: MIT
// Text as a terminal shows it, as a grid of cells, and which of them are not yet drawn. Lines scroll
// by moving the grid's first row, so that it costs no copying; what then has to be drawn anew is what
// differs, a few cells at a time. The last row may be a status that is no part of the text.
// Must not know: pixels.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/utf8.h"
#include "efi/screen/framebuffer.h"

namespace axiom::efi {

class Grid {
  public:
    static size_t bytes_needed(uint32_t n_columns, uint32_t n_rows);
    // `memory` is aligned to 8 bytes and outlives the grid. Everything is blank, and drawn so.
    // Up to Painter's limits. A grid of one row has no status.
    void init(std::span<uint8_t> memory, uint32_t n_columns, uint32_t n_rows,
              bool has_status = false);

    uint32_t n_text_rows() const { return n_text_rows_; }

    // UTF-8 in pieces of any size. Of control characters: \n (a new row, at its start), \r, \b, \t, and
    // of ANSI's escape sequences (ECMA-48) CUU, CUD, CUF, CUB, CUP to the first cell, ED and EL; others
    // are taken and do nothing.
    // `ink`: kDim or 0.
    void write(std::string_view text, Cell ink = 0);
    // What the status row says, UTF-8 without control characters, from now on; what does not fit is cut.
    // Without such a row, nothing.
    void set_status(std::string_view text);

    // Cells of one row that have to be drawn, which then count as drawn; empty: there are none, or more
    // than *n_compared were to be looked at. That is counted down.
    struct Run {
        uint32_t row = 0, column = 0;
        std::span<const Cell> cells;
    };
    Run next_run(size_t max_cells, size_t* n_compared);
    bool all_drawn() const;

  private:
    struct Dirty {  // columns of a row that may differ from what is drawn; none: first >= end
        uint16_t first, end;
    };
    enum class Escape : uint8_t { none, begun, parameters };

    void put(uint32_t point);
    void control(uint32_t point);
    void escape(uint32_t point);
    void new_row();
    void scroll();
    void erase(uint32_t row, uint32_t from, uint32_t to);
    void erase_below(bool from_the_top);
    void mark(uint32_t row, uint32_t first, uint32_t end);
    void show_cursor();
    Cell* cells(uint32_t row) {
        const uint32_t place = row < n_text_rows_ ? (row + top_) % n_text_rows_ : row;
        return wanted_ + size_t{place} * n_columns_;
    }

    uint32_t n_columns_ = 0, n_rows_ = 0;
    uint32_t n_text_rows_ = 0;
    Cell* wanted_ = nullptr;  // rows of text in a ring that begins with row top_, then the status
    Cell* drawn_ = nullptr;
    Dirty* dirty_ = nullptr;  // [n_rows]
    uint64_t dirty_rows_[Painter::kMaxRows / 64] = {};
    uint32_t top_ = 0;
    uint32_t row_ = 0,
             column_ = 0;  // column_ == n_columns_: the next character goes to the next row
    uint32_t cursor_row_ = 0, cursor_column_ = 0;  // where it is to be seen
    Cell blank_ = 0, ink_ = 0;
    Escape escape_ = Escape::none;
    uint32_t number_ = 0;
    bool has_number_ = false;
    axiom::Utf8Stream utf8_;
};

}  // namespace axiom::efi
