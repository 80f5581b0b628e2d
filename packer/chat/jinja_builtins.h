// SPDX-License-Identifier: MIT
// What values can do: operators, filters, tests, methods. All spend from a Cost; an error stands
// there.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "packer/chat/jinja.h"

namespace axiom::packer::jinja {

constexpr size_t kMaxText = size_t(1) << 20;   // bytes of one string
constexpr size_t kMaxItems = size_t(1) << 14;  // of one list

struct Cost {
    int64_t* left;
    std::string error;  // the first one

    Value fail(const std::string& what) {
        if (error.empty()) error = what;
        return {};
    }
    // False, with an error, when there is nothing left to spend.
    bool spend(size_t n) {
        if (!error.empty()) return false;
        *left -= int64_t(n);
        if (*left < 0) fail("too much work");
        return error.empty();
    }
    // A copy of a value costs its text; lists and maps are shared.
    Value copy(const Value& v) { return spend(v.string() ? v.string()->size() : 1) ? v : Value{}; }
};

struct Arguments {
    std::vector<std::pair<std::string, Value>> items;  // the name is empty for one by position
    // By position, or by name; null if it was not given.
    const Value* at(size_t position, std::string_view name) const;
};

bool truth(const Value& v);
bool equal(const Value& a, const Value& b, Cost* cost);
std::string to_text(const Value& v, Cost* cost);
List elements(const Value& v, Cost* cost);  // what a loop goes over

Value attribute(const Value& object, std::string_view name, Cost* cost);
Value item(const Value& object, const Value& key, Cost* cost);
Value slice(const Value& object, const Value (&parts)[3], Cost* cost);
Value binary(std::string_view op, const Value& a, const Value& b, Cost* cost);
Value filter(std::string_view name, const Value& v, const Arguments& arguments, Cost* cost);
bool test(std::string_view name, const Value& v, const Arguments& arguments, Cost* cost);
Value method(std::string_view name, const Value& object, const Arguments& arguments, Cost* cost);
Value function(std::string_view name, const Arguments& arguments, Cost* cost);

}  // namespace axiom::packer::jinja
