// SPDX-License-Identifier: MIT
#include "efi/dev/screen.h"

#include <algorithm>

namespace axiom::efi {

Screen::Screen(const Framebuffer& to, bool has_status)
    : framebuffer_(to), painter_(to), has_status_(has_status) {
    name = "screen";
    if (!exists()) return;
    registers[0] = {to.range(), Cache::write_combining};
    memory.bytes = Grid::bytes_needed(painter_.n_columns(), painter_.n_rows());
    poll = [](Device& self, uint64_t) {
        Screen& screen = static_cast<Screen&>(self);
        screen.draw(screen.cells_per_poll(), kComparedPerPoll);
    };
}

void Screen::start() {
    if (!exists()) return;
    grid_.init({reinterpret_cast<uint8_t*>(memory.address), memory.bytes}, painter_.n_columns(),
               painter_.n_rows(), has_status_);
}

void Screen::write(std::string_view text, Cell ink) {
    if (exists()) grid_.write(text, ink);
}

void Screen::status(std::string_view text) {
    if (exists()) grid_.set_status(text);
}

size_t Screen::cells_per_poll() const {
    return std::max<size_t>(1, kBytesPerPoll / painter_.cell_bytes());
}

void Screen::draw_all() {
    draw(~size_t{0}, ~size_t{0});
}

void Screen::draw(size_t max_cells, size_t max_compared) {
    if (!exists()) return;
    if (!is_clear_) {
        is_clear_ = true;
        painter_.clear();
    }
    while (max_cells > 0) {
        const Grid::Run run = grid_.next_run(max_cells, &max_compared);
        if (run.cells.empty()) return;
        painter_.draw(run.row, run.column, run.cells);
        max_cells -= run.cells.size();
    }
}

}  // namespace axiom::efi
