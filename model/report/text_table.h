// SPDX-License-Identifier: MIT
// Lines of a table for people: a label, cells of one width, ASCII. Durations and rates with three or four
// digits. Must not know: what is in it.
#pragma once

#include "core/fmt.h"
#include "model/report/json_writer.h"

namespace axiom {

inline constexpr size_t kLabel = 12;  // width of the first column
inline constexpr size_t kCell = 12;   // width of the others

inline Text<24> duration(double ns) {
    if (ns < 1e3) return Text<24>(Fixed{ns, 0}, " ns");
    const double value = ns < 1e6 ? ns / 1e3 : ns < 1e9 ? ns / 1e6 : ns / 1e9;
    const char* unit = ns < 1e6 ? " us" : ns < 1e9 ? " ms" : " s";
    return Text<24>(Fixed{value, value < 10 ? 3 : value < 100 ? 2 : 1}, unit);
}

inline Text<24> rate(double value, const char* unit) {
    return Text<24>(Fixed{value, value < 10 ? 3 : value < 100 ? 2 : 1}, unit);
}

class Table {
  public:
    Table(TextSink write, void* context) : write_(write), context_(context) {}

    // A line of prose after a label.
    Table& label(std::string_view name) { return put(PadRight{name, kLabel}); }
    Table& cell(std::string_view text) { return put(PadLeft{text, kCell}); }
    template <class T>
    Table& put(const T& part) {
        line_.put(part);
        return *this;
    }
    // Ends the line; blanks at its end are dropped. Names come from files: what is not printable
    // ASCII must not reach a terminal, and no name may begin a line of its own.
    void end() {
        std::string_view text = line_.view();
        for (size_t i = 0; i < text.size(); i++) {
            if (buffer_[i] < 0x20 || buffer_[i] > 0x7e) buffer_[i] = '?';
        }
        while (text.ends_with(' ')) text.remove_suffix(1);
        write_(context_, text);
        write_(context_, "\n");
        line_.clear();
    }

  private:
    TextSink write_;
    void* context_;
    char buffer_[320] = {};
    Writer line_{buffer_, sizeof buffer_};
};

}  // namespace axiom
