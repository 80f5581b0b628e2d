// SPDX-License-Identifier: MIT
// The syntax tree between jinja_parse.cpp and jinja_run.cpp.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "packer/chat/jinja.h"

namespace axiom::packer::jinja {

enum class Kind {
    // expressions
    literal,      // value
    name,         // text
    list,         // kids
    map,          // kids: key, value, key, value, ...
    attribute,    // kids[0].text
    item,         // kids[0][kids[1]]
    slice,        // kids[0][kids[1]:kids[2]:kids[3]]; what is left out is a null kid
    call,         // kids[0](kids[1..]); names[i]: keyword of kids[i + 1], empty if by position
    filter,       // kids[0] | text(kids[1..]); names as in call
    test,         // kids[0] is text(kids[1..])
    negate,       // -kids[0]
    not_,         // not kids[0]
    and_,         // kids[0] and kids[1]
    or_,          // kids[0] or kids[1]
    binary,       // kids[0] text kids[1]; text is an operator, "in" or "not in"
    conditional,  // kids[1] if kids[0] else kids[2]; kids[2] may be null
    text_of,      // what the statement kids[0] writes
    unsupported,  // text: what was found; an error once it is evaluated
    // statements
    text,       // text as it stands
    output,     // {{ kids[0] }}
    block,      // kids one after another
    if_,        // kids: condition, block, condition, block, ..., and a last block for else
    for_,       // for names in kids[0] if kids[2]: kids[1], else kids[3]; 2 and 3 may be null
    set,        // names = kids[0]
    set_field,  // names[0].text = kids[0]
    set_block,  // names[0] = the text of kids[0]
    macro,      // text(names): kids[0]; kids[i + 1] is the default of names[i] or null
    break_,
    continue_,
};

struct Node {
    Kind kind;
    std::string text;
    Value value;
    std::vector<std::unique_ptr<Node>> kids;
    std::vector<std::string> names;
    int depth = 1;  // of the tree below; bounded, because running it recurses
};
using NodePtr = std::unique_ptr<Node>;

}  // namespace axiom::packer::jinja
