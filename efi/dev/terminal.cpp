// SPDX-License-Identifier: MIT
#include "efi/dev/terminal.h"

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr uint8_t kControlC = 0x03;

}  // namespace

Terminal::Terminal(Keys* keys, Console* console, RecordVariable* record, std::string_view models)
    : keys_(keys),
      record_(record),
      models_(models),
      editor_(
          {.text = text_, .history = history_, .write = Console::sink, .write_context = console}) {}

ChatTerminal::Next Terminal::next(std::string_view prompt, std::string_view* line) {
    using Event = LineEditor::Event;
    if (!is_editing_) editor_.begin(prompt);
    is_editing_ = true;
    // The queue of keys has no Ctrl-C.
    if (keys_->interrupted.exchange(false)) return after(editor_.feed(kControlC), line);
    for (char byte; keys_->next(&byte);) {
        const Event event = editor_.feed(uint8_t(byte));
        if (event != Event::none) return after(event, line);
    }
    pause_cpu();
    return Next::none_now;
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
