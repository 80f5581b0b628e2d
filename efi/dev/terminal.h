// SPDX-License-Identifier: MIT
// Where a person talks with the model on a machine of ours: keys in, the console out, one line edited at
// a time, and how an answer goes on in the screen's last row.
// Must not know: what the lines mean.
#pragma once

#include "efi/dev/console.h"
#include "efi/dev/keys.h"
#include "efi/dev/record_variable.h"
#include "model/chat/chat.h"
#include "model/chat/line_editor.h"

namespace axiom::efi {

class Terminal final : public ChatTerminal {
  public:
    // `record`: where /save-record keeps it; nullptr: nowhere. `models`: what /models says.
    Terminal(Keys* keys, Console* console, Screen* screen, RecordVariable* record,
             std::string_view models);

    Next next(std::string_view prompt, std::string_view* line) override;
    void status(std::string_view text) override { screen_->status(text); }
    std::string_view models() const override { return models_; }
    Status save(const Record& record, std::string_view* where) override;

  private:
    Next after(LineEditor::Event event, std::string_view* line);
    void fit_line();

    Keys* keys_;
    Console* console_;
    Screen* screen_;
    RecordVariable* record_;
    std::string_view models_;
    char text_[8 << 10], history_[8 << 10];
    LineEditor editor_;
    bool is_editing_ = false;
};

}  // namespace axiom::efi
