// SPDX-License-Identifier: MIT
// The terminal that axiom-host talks at: lines edited key by key where a person types, plain lines of
// standard input otherwise.
#pragma once

#include <termios.h>

#include <cstdio>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "bench/host_machine.h"
#include "model/chat/chat.h"
#include "model/chat/line_editor.h"

namespace axiom::host {

class HostTerminal final : public ChatTerminal {
  public:
    // `records`: where /save-record writes, called `records_name`; nullptr: standard output.
    HostTerminal(HostMachine& machine, std::string_view model, FILE* records,
                 std::string_view records_name);
    ~HostTerminal();

    Next next(std::string_view prompt, std::string_view* line) override;
    void status(std::string_view text) override;
    std::string_view models() const override { return model_; }
    Status save(const Record& record, std::string_view* where) override;

  private:
    Next next_typed(std::string_view prompt, std::string_view* line);
    Next next_plain(std::string_view* line);
    void write(std::string_view text);

    HostMachine& machine_;
    std::string_view model_;
    FILE* records_;
    std::string where_;
    bool is_typed_ = false;
    bool has_title_ = false;
    termios before_{};  // of the terminal
    std::vector<char> text_, history_;
    std::optional<LineEditor> editor_;
    std::string input_;   // bytes read and not handed out yet
    size_t n_given_ = 0;  // of them, with the last line
    bool has_ended_ = false;
};

}  // namespace axiom::host
