// SPDX-License-Identifier: MIT
// A conversation with a person: lines come from a terminal, answers go out as they are computed, and a
// turn reads only what the model has not read yet. The EFI image and axiom-host differ in the terminal.
// Must not know: how a line is typed, or what machine this is.
#pragma once

#include <cstdint>
#include <string_view>

#include "model/run/generate.h"

namespace axiom {

// Where the person sits.
class ChatTerminal {
  public:
    enum class Next : uint8_t {
        line,      // without its end; stays until the next call
        none_now,  // nothing whole has been typed: the machine's tasks are polled, then asked again
        stop,      // Ctrl-C while nothing is being answered
        end,       // no more lines will come
    };
    // `prompt` is shown where a person types.
    virtual Next next(std::string_view prompt, std::string_view* line) = 0;

    // How an answer goes on, a few times a second; empty: it has ended.
    virtual void status(std::string_view) {}
    // What /models says.
    virtual std::string_view models() const = 0;
    // Keeps the record as it is now (/save-record), without times of single tokens and layers; the text says
    // where.
    virtual Status save(const Record& record, std::string_view* where) = 0;

  protected:
    ~ChatTerminal() = default;
};

// Talks until the person ends it. `record` is filled as by generate(), with sums over all turns. The
// machine's `interrupted` stops an answer, not the conversation. What the loop itself has to say goes to
// machine.note, answers to machine.write.
Status chat(const Machine& machine, const Weights& weights, const Options& options,
            ChatTerminal& terminal, Record* record);

}  // namespace axiom
