// SPDX-License-Identifier: MIT
#include "bench/host_terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "core/fmt.h"

namespace axiom::host {
namespace {

constexpr size_t kLineBytes = 64 << 10;

// Keys come one by one, Ctrl-C among them, and nothing is shown by itself. Only while a line is typed:
// while an answer is written Ctrl-C is a signal, and whatever ends the program leaves the terminal usable.
class KeyMode {
  public:
    explicit KeyMode(const termios& before) : before_(before) {
        termios keys = before;
        keys.c_lflag &= ~tcflag_t(ICANON | ECHO | ISIG | IEXTEN);
        keys.c_iflag &= ~tcflag_t(IXON | ICRNL);
        keys.c_cc[VMIN] = 1;
        keys.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSADRAIN, &keys);
    }
    ~KeyMode() { tcsetattr(STDIN_FILENO, TCSADRAIN, &before_); }
    KeyMode(const KeyMode&) = delete;

  private:
    const termios& before_;
};

}  // namespace

HostTerminal::HostTerminal(HostMachine& machine, std::string_view model, FILE* records,
                           std::string_view records_name)
    : machine_(machine), model_(model), records_(records), where_(records_name) {
    is_typed_ =
        isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && tcgetattr(STDIN_FILENO, &before_) == 0;
    if (!is_typed_) return;
    text_.resize(2 * kLineBytes);
    history_.resize(kLineBytes);
    editor_.emplace(LineEditor::Setup{.text = text_,
                                      .history = history_,
                                      .write = machine_.machine.write,
                                      .write_context = machine_.machine.write_context});
}

HostTerminal::~HostTerminal() {
    status("");
}

void HostTerminal::write(std::string_view text) {
    machine_.machine.write(machine_.machine.write_context, text);
}

ChatTerminal::Next HostTerminal::next(std::string_view prompt, std::string_view* line) {
    machine_.flush();
    return is_typed_ ? next_typed(prompt, line) : next_plain(line);
}

ChatTerminal::Next HostTerminal::next_typed(std::string_view prompt, std::string_view* line) {
    const KeyMode keys(before_);
    // A window may have become another size since the last line.
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0)
        editor_->set_size(size.ws_col, size.ws_row);
    editor_->begin(prompt);
    for (;;) {
        machine_.flush();
        uint8_t byte;
        const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return Next::end;
        const LineEditor::Event event = editor_->feed(byte);
        if (event == LineEditor::Event::none) continue;
        machine_.flush();
        *line = editor_->line();
        return event == LineEditor::Event::line        ? Next::line
               : event == LineEditor::Event::cancelled ? Next::stop
                                                       : Next::end;
    }
}

ChatTerminal::Next HostTerminal::next_plain(std::string_view* line) {
    input_.erase(0, n_given_);
    n_given_ = 0;
    for (;;) {
        const size_t end = input_.find('\n');
        if (end != input_.npos || (has_ended_ && !input_.empty())) {
            *line = std::string_view(input_).substr(0, end);
            n_given_ = std::min(line->size() + 1, input_.size());
            if (line->ends_with('\r')) line->remove_suffix(1);
            return Next::line;
        }
        if (has_ended_) return Next::end;
        char buffer[4096];
        const ssize_t n = ::read(STDIN_FILENO, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) return Next::stop;
        if (n > 0) input_.append(buffer, size_t(n));
        has_ended_ = n <= 0;
    }
}

// In the window's title, which is given back: the text itself is a stream.
void HostTerminal::status(std::string_view text) {
    if (!is_typed_ || (text.empty() && !has_title_)) return;
    if (!has_title_) write("\x1b[22;2t");
    has_title_ = !text.empty();
    if (has_title_) {
        write(Text<128>("\x1b]2;axiom: ", text, "\x07"));
    } else {
        write("\x1b[23;2t");
    }
}

Status HostTerminal::save(const Record& record, std::string_view* where) {
    machine_.flush();
    FILE* const file = records_ != nullptr ? records_ : stdout;
    print_json(
        record,
        [](void* f, std::string_view text) {
            fwrite(text.data(), 1, text.size(), static_cast<FILE*>(f));
        },
        file);
    if (fflush(file) != 0) return error(Code::io, where_, ": cannot write");
    *where = records_ != nullptr ? std::string_view(where_) : "--json FILE would keep it";
    return {};
}

}  // namespace axiom::host
