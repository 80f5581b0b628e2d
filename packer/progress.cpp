// SPDX-License-Identifier: MIT
#include "packer/progress.h"

#include <unistd.h>

#include "core/fmt.h"

namespace axiom::packer {

Progress::Progress(FILE* out)
    : out_(out), terminal_(isatty(fileno(out)) != 0), start_(std::chrono::steady_clock::now()) {}

double Progress::seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

void Progress::update(uint64_t done_bytes, uint64_t total_bytes, std::string_view what) {
    constexpr double kRedraw_s = 0.1, kLine_s = 1;
    constexpr int kBarWidth = 30;
    const double now_s = seconds();
    const double share = total_bytes ? double(done_bytes) / double(total_bytes) : 1;
    const int tenth = int(share * 10);
    const bool last = done_bytes == total_bytes;
    if (!last && now_s - last_drawn_s_ < (terminal_ ? kRedraw_s : kLine_s)) return;
    if (!terminal_ && tenth == last_tenth_) return;
    last_drawn_s_ = now_s;
    last_tenth_ = tenth;

    char text[256];
    Writer line(text, sizeof text);
    if (terminal_) {
        line.put("\r[");
        for (int i = 0; i < kBarWidth; i++) line.put(i < int(share * kBarWidth) ? '#' : '.');
        line.put("] ");
    }
    line.put(PadLeft{Text<8>(int(share * 100)), 3}).put("%  ").put(axiom::Bytes{done_bytes});
    if (now_s > 0) line.put("  ").put(Fixed{double(done_bytes) / 1e6 / now_s, 1}).put(" MB/s");
    line.put("  ").put(what);
    line.put(terminal_ ? "\033[K" : "\n");
    fwrite(text, 1, line.size(), out_);
    fflush(out_);
    line_open_ = terminal_;
}

void Progress::finish() {
    if (line_open_) fputc('\n', out_);
    line_open_ = false;
}

}  // namespace axiom::packer
