// SPDX-License-Identifier: MIT
// A grid of text, and what was drawn of it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "efi/screen/font.h"
#include "efi/screen/grid.h"
#include "test/unit/catch.h"

namespace axiom::test {

using efi::glyph_in, efi::Grid, efi::kFontPoints, efi::kInverse;
using Lines = std::vector<std::u32string>;

struct Picture {
    Picture(uint32_t columns, uint32_t rows, bool has_status = false)
        : n_columns(columns), n_rows(rows), memory(Grid::bytes_needed(columns, rows) / 8 + 1) {
        grid.init({reinterpret_cast<uint8_t*>(memory.data()), memory.size() * 8}, columns, rows,
                  has_status);
        lines.assign(rows, std::u32string(columns, U' '));
    }
    // At most max_cells; returns how many.
    size_t draw(size_t max_cells = ~size_t{0}, size_t n_compared = ~size_t{0}) {
        size_t n = 0;
        while (n < max_cells) {
            const Grid::Run run = grid.next_run(max_cells - n, &n_compared);
            if (run.cells.empty()) break;
            for (size_t i = 0; i < run.cells.size(); i++) {
                const bool inverse = (run.cells[i] & kInverse) != 0;
                if (inverse) cursor_row = run.row, cursor_column = uint32_t(run.column + i);
                lines[run.row][run.column + i] = kFontPoints[glyph_in(run.cells[i])];
            }
            n += run.cells.size();
        }
        return n;
    }
    // All of it drawn; trailing blanks cut, rows that are blank at the end left out.
    Lines show() {
        draw();
        CHECK(grid.all_drawn());
        Lines shown;
        for (const std::u32string& line : lines) {
            shown.push_back(line.substr(0, line.find_last_not_of(U' ') + 1));
        }
        while (!shown.empty() && shown.back().empty()) shown.pop_back();
        return shown;
    }
    Lines after(std::string_view text) {
        grid.write(text);
        return show();
    }

    uint32_t n_columns, n_rows;
    std::vector<uint64_t> memory;
    Grid grid;
    Lines lines;
    uint32_t cursor_row = 0, cursor_column = 0;
};

}  // namespace axiom::test
