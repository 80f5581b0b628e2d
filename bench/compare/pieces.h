// SPDX-License-Identifier: MIT
// Finds the pieces of a text that may be a record: JSON objects and rows of CSV. Any bytes may stand
// around them.
// Must not know: what a record says.
#pragma once

#include <cstddef>
#include <functional>
#include <string_view>

namespace axiom::compare {

struct Piece {
    enum class Kind {
        object,  // {...}, brackets balanced
        cut,     // looks like a record, and does not end
        row,     // of CSV, a line
        header,  // the row with the names
    };
    Kind kind;
    std::string_view text;
    size_t line;  // counted from 1
};

// An object begins first in its line, or after another one or a '[' there; AXIOM's begin anywhere and
// end in their line. Time is proportional to the text's length, whatever it is.
void find_pieces(std::string_view text, const std::function<void(const Piece&)>& found);

}  // namespace axiom::compare
