// SPDX-License-Identifier: MIT
#include "efi/screen/grid.h"

#include <algorithm>
#include <bit>

#include "core/round.h"
#include "core/text_width.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kEscape = 0x1b;
constexpr uint32_t kTab = 8;

// Rows that one scrolling makes free. Each draws most of the screen anew: with a large font, a slow
// framebuffer and few layers a token, a row at a time could not keep up with the text.
constexpr uint32_t rows_to_scroll(uint32_t n_rows) {
    return std::max(1u, n_rows / 8);
}

}  // namespace

size_t Grid::bytes_needed(uint32_t n_columns, uint32_t n_rows) {
    const size_t n_cells = size_t{n_columns} * n_rows;
    return round_up(2 * n_cells * sizeof(Cell), alignof(Dirty)) + n_rows * sizeof(Dirty);
}

void Grid::init(std::span<uint8_t> memory, uint32_t n_columns, uint32_t n_rows, bool has_status) {
    AXIOM_CHECK(memory.size() >= bytes_needed(n_columns, n_rows));
    AXIOM_CHECK(n_columns > 0 && n_columns <= Painter::kMaxColumns && n_rows > 0 &&
                n_rows <= Painter::kMaxRows);
    *this = Grid();
    n_columns_ = n_columns;
    n_rows_ = n_rows;
    n_text_rows_ = n_rows - (has_status && n_rows > 1);
    blank_ = glyph_of(' ');
    const size_t n_cells = size_t{n_columns} * n_rows;
    wanted_ = reinterpret_cast<Cell*>(memory.data());
    drawn_ = wanted_ + n_cells;
    dirty_ = reinterpret_cast<Dirty*>(memory.data() +
                                      round_up(2 * n_cells * sizeof(Cell), alignof(Dirty)));
    std::fill_n(wanted_, 2 * n_cells, blank_);
    std::fill_n(dirty_, n_rows, Dirty{});
    mark(0, 0, 1);  // the cursor
}

// ---- text ----------------------------------------------------------------------------------

void Grid::write(std::string_view text, Cell ink) {
    if (n_rows_ == 0) return;
    ink_ = ink;
    utf8_.put(text, [this](std::string_view sequence) {
        const uint32_t point = utf8_point(sequence);
        if (point < 0x20 && point != kEscape) {
            escape_ = Escape::none;
            control(point);
        } else if (point == kEscape || escape_ != Escape::none) {
            escape(point);
        } else {
            put(point);
        }
    });
    show_cursor();
}

void Grid::put(uint32_t point) {
    const size_t width = columns_of(point);
    if (width == 0 || point == 0x7f || (point >= 0x80 && point < 0xa0)) return;
    if (column_ + width > n_columns_) new_row();
    // The second cell of a wide character, of which the font has none, stays blank.
    for (size_t i = 0; i < width && column_ < n_columns_; i++) {
        cells(row_)[column_] = i == 0 && point != ' ' ? Cell(glyph_of(point) | ink_) : blank_;
        mark(row_, column_, column_ + 1);
        column_++;
    }
}

void Grid::control(uint32_t point) {
    switch (point) {
        case '\n':
            return new_row();
        case '\r':
            column_ = 0;
            return;
        case '\b':
            column_ = std::min(column_, n_columns_ - 1);
            if (column_ > 0) column_--;
            return;
        case '\t':
            column_ = std::min(uint32_t(round_up(column_ + 1, kTab)), n_columns_ - 1);
            return;
        default:
            return;
    }
}

// Of several parameters the first counts; what has an intermediate or private one is none of ours.
void Grid::escape(uint32_t point) {
    if (point == kEscape) {
        escape_ = Escape::begun;
        return;
    }
    if (escape_ == Escape::begun) {
        escape_ = point == '[' ? Escape::parameters : Escape::none;
        number_ = 0;
        has_number_ = false;
        return;
    }
    if (point >= '0' && point <= '9') {
        number_ = std::min(number_ * 10 + (point - '0'), 1000u);
        has_number_ = true;
        return;
    }
    if (point < 0x40) return;
    escape_ = Escape::none;
    const uint32_t n = has_number_ ? std::max(number_, 1u) : 1;
    if (point >= 'A' && point <= 'D') column_ = std::min(column_, n_columns_ - 1);
    switch (point) {
        case 'A':
            row_ -= std::min(row_, n);
            break;
        case 'B':
            row_ = std::min(row_ + n, n_text_rows_ - 1);
            break;
        case 'C':
            column_ = std::min(column_ + n, n_columns_ - 1);
            break;
        case 'D':
            column_ -= std::min(column_, n);
            break;
        case 'H':
            row_ = column_ = 0;
            break;
        case 'J':
            erase_below(has_number_ && number_ == 2);
            break;
        case 'K':
            erase(row_, std::min(column_, n_columns_), n_columns_);
            break;
        default:
            break;
    }
}

void Grid::new_row() {
    column_ = 0;
    if (row_ + 1 < n_text_rows_) {
        row_++;
    } else {
        scroll();
    }
}

void Grid::scroll() {
    const uint32_t n = rows_to_scroll(n_text_rows_);
    top_ = (top_ + n) % n_text_rows_;
    row_ = n_text_rows_ - n;
    cursor_row_ -= std::min(cursor_row_, n);
    for (uint32_t row = 0; row < n_text_rows_; row++) mark(row, 0, n_columns_);
    for (uint32_t row = row_; row < n_text_rows_; row++)
        std::fill_n(cells(row), n_columns_, blank_);
}

void Grid::erase(uint32_t row, uint32_t from, uint32_t to) {
    if (from >= to) return;
    std::fill_n(cells(row) + from, to - from, blank_);
    mark(row, from, to);
}

void Grid::erase_below(bool from_the_top) {
    if (!from_the_top) erase(row_, column_, n_columns_);
    for (uint32_t row = from_the_top ? 0 : row_ + 1; row < n_text_rows_; row++)
        erase(row, 0, n_columns_);
}

void Grid::set_status(std::string_view text) {
    if (n_text_rows_ == n_rows_) return;
    const uint32_t row = n_rows_ - 1;
    uint32_t column = 0;
    axiom::Utf8Stream stream;
    stream.put(text, [&](std::string_view sequence) {
        const uint32_t point = utf8_point(sequence);
        for (size_t i = 0; i < columns_of(point) && column < n_columns_; i++)
            cells(row)[column++] = Cell((i == 0 ? glyph_of(point) : blank_) | kDim);
    });
    std::fill_n(cells(row) + column, n_columns_ - column, blank_);
    mark(row, 0, n_columns_);
}

// ---- what is to be drawn -------------------------------------------------------------------

void Grid::mark(uint32_t row, uint32_t first, uint32_t end) {
    Dirty& d = dirty_[row];
    const bool clean = d.first >= d.end;
    d.first = uint16_t(clean ? first : std::min<uint32_t>(d.first, first));
    d.end = uint16_t(clean ? end : std::max<uint32_t>(d.end, end));
    dirty_rows_[row / 64] |= uint64_t{1} << row % 64;
}

void Grid::show_cursor() {
    mark(cursor_row_, cursor_column_, cursor_column_ + 1);
    cursor_row_ = row_;
    cursor_column_ = std::min(column_, n_columns_ - 1);
    mark(cursor_row_, cursor_column_, cursor_column_ + 1);
}

bool Grid::all_drawn() const {
    return std::all_of(dirty_rows_, std::end(dirty_rows_), [](uint64_t rows) { return rows == 0; });
}

// From the lowest row up: that is where text appears, and where whoever reads it looks.
Grid::Run Grid::next_run(size_t max_cells, size_t* n_compared) {
    for (size_t i = std::size(dirty_rows_); i-- > 0;) {
        while (dirty_rows_[i] != 0) {
            const uint32_t row = uint32_t(i * 64) + uint32_t(std::bit_width(dirty_rows_[i])) - 1;
            Dirty& d = dirty_[row];
            const Cell* const wanted = cells(row);
            Cell* const drawn = drawn_ + size_t{row} * n_columns_;
            const auto cell = [&](uint32_t column) {
                const bool has_cursor = row == cursor_row_ && column == cursor_column_;
                return Cell(wanted[column] ^ (has_cursor ? kInverse : 0));
            };
            while (d.first < d.end && cell(d.first) == drawn[d.first]) {
                if (*n_compared == 0) return {};
                --*n_compared;
                d.first++;
            }
            const uint32_t first = d.first;
            uint32_t end = first;
            while (end < d.end && end - first < max_cells && cell(end) != drawn[end]) {
                drawn[end] = cell(end);
                end++;
            }
            d.first = uint16_t(end);
            if (d.first >= d.end) {
                d = {};
                dirty_rows_[i] &= ~(uint64_t{1} << row % 64);
            }
            if (end > first) return {row, first, {drawn + first, end - first}};
            if (max_cells == 0) return {};
        }
    }
    return {};
}

}  // namespace axiom::efi
