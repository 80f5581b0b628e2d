// SPDX-License-Identifier: MIT
#include "efi/dev/terminal.h"

#include <algorithm>

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr uint8_t kControlC = 0x03;

}  // namespace

Terminal::Terminal(Keys* keys, Console* console, Screen* screen, RecordVariable* record,
                   std::string_view models)
    : keys_(keys),
      console_(console),
      screen_(screen),
      record_(record),
      models_(models),
      editor_(
          {.text = text_, .history = history_, .write = Console::sink, .write_context = console}) {}

ChatTerminal::Next Terminal::next(std::string_view prompt, std::string_view* line) {
    using Event = LineEditor::Event;
    if (!is_editing_) {
        fit_line();
        editor_.begin(prompt);
        is_editing_ = true;
    }
    // The queue of keys has no Ctrl-C.
    if (keys_->interrupted.exchange(false)) return after(editor_.feed(kControlC), line);
    for (char byte; keys_->next(&byte);) {
        const Event event = editor_.feed(uint8_t(byte));
        if (event != Event::none) return after(event, line);
    }
    pause_cpu();
    return Next::none_now;
}

// One picture of the line goes to both. How wide a terminal at the serial port is, nobody says: as wide as
// most are.
void Terminal::fit_line() {
    constexpr size_t kSerialColumns = 80, kRows = 8;
    if (!screen_->exists()) return editor_.set_size(kSerialColumns, kRows);
    const size_t n_columns = screen_->painter().n_columns();
    editor_.set_size(
        console_->is_on_screen_only() ? n_columns : std::min(n_columns, kSerialColumns),
        std::min<size_t>(screen_->n_text_rows(), kRows));
}

ChatTerminal::Next Terminal::after(LineEditor::Event event, std::string_view* line) {
    is_editing_ = false;
    *line = editor_.line();
    return event == LineEditor::Event::line        ? Next::line
           : event == LineEditor::Event::cancelled ? Next::stop
                                                   : Next::end;
}

Status Terminal::save(const Record& record, std::string_view* where) {
    if (record_ == nullptr)
        return error(Code::bad_option, "option --keep-record: found false, allowed true to save");
    *where = "The record is kept; the next start moves it into \\axiom\\records.jsonl.";
    return record_->write(record);
}

}  // namespace axiom::efi
