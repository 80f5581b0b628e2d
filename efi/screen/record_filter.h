// SPDX-License-Identifier: MIT
// Takes machine-readable lines, which begin with {"axiom":, out of a text for people: a record of four
// thousand characters would push the answer off the screen. Lines behind one that begin with {" belong to it
// (--trace).
#pragma once

#include <cstddef>
#include <string_view>

namespace axiom::efi {

class RecordFilter {
  public:
    // Passes on what is for people. A line that is not is counted, and `skipped(bytes)` called at its end,
    // with the newline still to come.
    template <class Write, class Skipped>
    void put(std::string_view text, Write&& write, Skipped&& skipped) {
        for (size_t i = 0; i < text.size();) {
            switch (state_) {
                case State::text: {
                    const size_t end = text.find('\n', i);
                    const size_t n = (end == text.npos ? text.size() : end + 1) - i;
                    write(text.substr(i, n));
                    i += n;
                    if (end != text.npos) begin_line();
                    break;
                }
                case State::matching:
                    if (text[i] == kStart[n_]) {
                        i++;
                        if (++n_ == kStart.size()) state_ = State::record;
                    } else if (follows_record_ && n_ >= 2) {
                        state_ = State::more;
                    } else {
                        if (n_ > 0) write(kStart.substr(0, n_));
                        state_ = State::text;
                        follows_record_ = false;
                    }
                    break;
                case State::record: {
                    const size_t end = text.find('\n', i);
                    const size_t n = (end == text.npos ? text.size() : end) - i;
                    n_ += n;
                    i += n;
                    if (end == text.npos) break;
                    skipped(n_);
                    state_ = State::text;
                    follows_record_ = true;
                    break;
                }
                case State::more: {
                    const size_t end = text.find('\n', i);
                    i = end == text.npos ? text.size() : end + 1;
                    if (end != text.npos) begin_line();
                    break;
                }
            }
        }
    }

  private:
    static constexpr std::string_view kStart = "{\"axiom\":";
    enum class State { text, matching, record, more };

    void begin_line() {
        state_ = State::matching;
        n_ = 0;
    }

    State state_ = State::matching;
    bool follows_record_ = false;
    size_t n_ = 0;  // of kStart's characters, then of the line's
};

}  // namespace axiom::efi
