// SPDX-License-Identifier: MIT
// The screen after the exit: a grid of text, drawn into the firmware's framebuffer a few cells between
// two layers, or at once where nothing computes.
// Must not know: what the text says, or when waiting is allowed.
#pragma once

#include <string_view>

#include "efi/dev/device.h"
#include "efi/screen/framebuffer.h"
#include "efi/screen/grid.h"

namespace axiom::efi {

class Screen : public Device {
  public:
    // width 0: there is no screen, and everything written is dropped. `has_status`: the last row is for
    // status().
    explicit Screen(const Framebuffer& to, bool has_status = false);
    bool exists() const { return framebuffer_.width != 0; }
    const Painter& painter() const { return painter_; }
    const Framebuffer& framebuffer() const { return framebuffer_; }

    // After the exit, with this device's memory: an empty grid. Nothing is drawn yet.
    void start();
    uint32_t n_text_rows() const { return grid_.n_text_rows(); }
    // UTF-8, as Grid takes it.
    void write(std::string_view text, Cell ink = 0);
    // How what is under way goes on, as Grid::set_status() takes it. No part of the text: where that is
    // kept or compared, this is not in it.
    void status(std::string_view text);
    // All that is not drawn yet: up to tens of milliseconds.
    void draw_all();

    // What a poll draws at most, and how many cells it looks at to find them. The budget of one boundary:
    // 16 KiB take some microseconds where writes are combined.
    static constexpr size_t kBytesPerPoll = 16 << 10, kComparedPerPoll = 1024;
    size_t cells_per_poll() const;

  private:
    void draw(size_t max_cells, size_t max_compared);

    Framebuffer framebuffer_;
    Painter painter_;
    Grid grid_;
    bool has_status_;
    bool is_clear_ = false;  // what the firmware left on the screen is gone
};

}  // namespace axiom::efi
