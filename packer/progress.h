// SPDX-License-Identifier: MIT
// How far packing is, for a person: a bar redrawn in place on a terminal, a line at most every
// second and every tenth of the way otherwise. Must not know: what is being packed.
#pragma once

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string_view>

namespace axiom::packer {

class Progress {
  public:
    // Draws on `out`, as a bar if that is a terminal.
    explicit Progress(FILE* out);

    // done <= total; `what` is at work.
    void update(uint64_t done_bytes, uint64_t total_bytes, std::string_view what);
    // Ends a bar's line, so that what follows starts on its own.
    void finish();

    double seconds() const;  // since construction

  private:
    FILE* out_;
    bool terminal_;
    bool line_open_ = false;
    int last_tenth_ = 0;
    double last_drawn_s_ = 0;
    std::chrono::steady_clock::time_point start_;
};

}  // namespace axiom::packer
