// SPDX-License-Identifier: MIT
#include "packer/chat/jinja_builtins.h"

#include <algorithm>
#include <cctype>

namespace axiom::packer::jinja {

Value* Map::find(std::string_view key) {
    for (auto& [name, value] : items) {
        if (name == key) return &value;
    }
    return nullptr;
}

Value make(std::string_view text) {
    return {std::string(text)};
}
Value make(List items) {
    return {std::make_shared<List>(std::move(items))};
}
Value make(Map map) {
    return {std::make_shared<Map>(std::move(map))};
}

const Value* Arguments::at(size_t position, std::string_view name) const {
    for (size_t i = 0; i < items.size(); i++) {
        if (items[i].first.empty() ? i == position : items[i].first == name)
            return &items[i].second;
    }
    return nullptr;
}

namespace {

constexpr int64_t kMostNumber = int64_t(1) << 31;  // either way, so that nothing can overflow
constexpr std::string_view kBlanks = " \t\n\v\f\r";

std::string_view stripped(std::string_view text, std::string_view chars, bool left, bool right) {
    while (left && !text.empty() && chars.find(text.front()) != std::string_view::npos) {
        text.remove_prefix(1);
    }
    while (right && !text.empty() && chars.find(text.back()) != std::string_view::npos) {
        text.remove_suffix(1);
    }
    return text;
}

std::string with_case(std::string text, int (*change)(int)) {
    for (char& c : text) {
        if (uint8_t(c) < 0x80) c = char(change(uint8_t(c)));
    }
    return text;
}

// Characters of a UTF-8 text, each a string.
List characters(const std::string& text, Cost* cost) {
    List out;
    if (!cost->spend(text.size() * 16)) return out;
    for (size_t i = 0; i < text.size();) {
        size_t n = 1;
        while (i + n < text.size() && (uint8_t(text[i + n]) & 0xc0) == 0x80) n++;
        out.push_back(make(std::string_view(text).substr(i, n)));
        i += n;
    }
    return out;
}

Value joined(const List& items, std::string_view separator, Cost* cost) {
    std::string out;
    for (size_t i = 0; i < items.size(); i++) {
        if (i > 0) out += separator;
        out += to_text(items[i], cost);
        if (out.size() > kMaxText || !cost->spend(separator.size() + 1)) {
            return cost->fail("too long a text");
        }
    }
    return make(out);
}

Value replaced(const std::string& text, const std::string& from, const std::string& to,
               Cost* cost) {
    if (from.empty()) return cost->fail("replace of nothing");
    std::string out;
    size_t at = 0;
    for (size_t found; (found = text.find(from, at)) != std::string::npos;
         at = found + from.size()) {
        out.append(text, at, found - at);
        out += to;
        if (out.size() > kMaxText || !cost->spend(to.size())) return cost->fail("too long a text");
    }
    out.append(text, at);
    cost->spend(out.size());
    return make(out);
}

Value split(const std::string& text, const std::string& by, int64_t most, bool from_right,
            Cost* cost) {
    if (by.empty()) return cost->fail("split by nothing");
    List out;
    std::string_view rest = text;
    while (most != 0 && out.size() < kMaxItems && cost->spend(rest.size() / 8 + 1)) {
        const size_t found = from_right ? rest.rfind(by) : rest.find(by);
        if (found == std::string_view::npos) break;
        out.push_back(make(from_right ? rest.substr(found + by.size()) : rest.substr(0, found)));
        rest = from_right ? rest.substr(0, found) : rest.substr(found + by.size());
        most--;
    }
    if (out.size() == kMaxItems) return cost->fail("too long a list");
    out.push_back(make(rest));
    if (from_right) std::reverse(out.begin(), out.end());
    return make(std::move(out));
}

const std::string* text_at(const Arguments& arguments, size_t position, std::string_view name) {
    const Value* v = arguments.at(position, name);
    return v ? v->string() : nullptr;
}

// Methods and filters of a string that have the same name; *known is false for any other.
Value string_function(std::string_view name, const std::string& text, const Arguments& arguments,
                      bool* known, Cost* cost) {
    cost->spend(text.size());
    if (name == "strip" || name == "lstrip" || name == "rstrip" || name == "trim") {
        const std::string* chars = text_at(arguments, 0, "chars");
        if (!chars && !arguments.items.empty()) return cost->fail("strip of what is no text");
        return make(stripped(text, chars ? std::string_view(*chars) : kBlanks, name != "rstrip",
                             name != "lstrip"));
    }
    if (name == "upper") return make(with_case(text, std::toupper));
    if (name == "lower") return make(with_case(text, std::tolower));
    if (name == "capitalize" || name == "title") {
        std::string out = with_case(text, std::tolower);
        bool begins = true;
        for (char& c : out) {
            if (begins && uint8_t(c) < 0x80) c = char(std::toupper(uint8_t(c)));
            begins = name == "title" && !std::isalpha(uint8_t(c));
        }
        return make(out);
    }
    if (name == "replace") {
        const std::string* from = text_at(arguments, 0, "old");
        const std::string* to = text_at(arguments, 1, "new");
        if (!from || !to || arguments.items.size() != 2) return cost->fail("replace's arguments");
        return replaced(text, *from, *to, cost);
    }
    *known = false;
    return {};
}

Value pairs(Map& map) {
    List out;
    for (const auto& [key, value] : map.items) out.push_back(make(List{make(key), value}));
    return make(std::move(out));
}

// selectattr, rejectattr, select, reject: which items stay.
Value selected(std::string_view name, const Value& v, const Arguments& arguments, Cost* cost) {
    const bool by_attribute = name.ends_with("attr");
    const size_t n_own = by_attribute ? 1 : 0;  // arguments before the test's name
    const std::string* field = text_at(arguments, 0, "attribute");
    if (by_attribute && !field) return cost->fail(std::string(name) + " without a field");
    Arguments of_test;
    for (size_t i = n_own + 1; i < arguments.items.size(); i++) {
        of_test.items.push_back(arguments.items[i]);
    }
    const std::string* test_name = text_at(arguments, n_own, "");
    List out;
    for (const Value& e : truth(v) ? elements(v, cost) : List{}) {
        const Value subject = by_attribute ? attribute(e, *field, cost) : e;
        const bool is = test_name ? test(*test_name, subject, of_test, cost) : truth(subject);
        if (is == name.starts_with("select")) out.push_back(e);
        if (!cost->spend(1)) return {};
    }
    return make(std::move(out));
}

bool ordered(std::string_view op, auto a, auto b) {
    return op == "<" ? a < b : op == ">" ? a > b : op == "<=" ? a <= b : a >= b;
}

bool contains(const Value& container, const Value& what, Cost* cost) {
    if (const std::string* text = container.string()) {
        cost->spend(text->size());
        if (what.string()) return text->find(*what.string()) != std::string::npos;
        cost->fail("in a text, what is no text");
        return false;
    }
    if (Map* map = container.map()) return what.string() && map->find(*what.string());
    if (const List* list = container.list()) {
        return std::any_of(list->begin(), list->end(),
                           [&](const Value& e) { return equal(e, what, cost); });
    }
    if (!container.undefined()) cost->fail("in something that holds nothing");
    return false;
}

}  // namespace

bool truth(const Value& v) {
    if (const bool* b = v.get<bool>()) return *b;
    if (const int64_t* i = v.get<int64_t>()) return *i != 0;
    if (v.string()) return !v.string()->empty();
    if (v.list()) return !v.list()->empty();
    if (v.map()) return !v.map()->items.empty();
    return v.get<Function>() != nullptr;
}

bool equal(const Value& a, const Value& b, Cost* cost) {
    if (!cost->spend(1)) return false;
    const auto number = [](const Value& v, int64_t* out) {
        if (const bool* t = v.get<bool>()) *out = *t;
        if (const int64_t* i = v.get<int64_t>()) *out = *i;
        return v.get<bool>() || v.get<int64_t>();
    };
    int64_t x = 0, y = 0;
    if (number(a, &x) && number(b, &y)) return x == y;
    if (a.is.index() != b.is.index()) return false;
    if (a.string()) return cost->spend(a.string()->size()) && *a.string() == *b.string();
    if (a.list()) {
        return std::equal(a.list()->begin(), a.list()->end(), b.list()->begin(), b.list()->end(),
                          [&](const Value& p, const Value& q) { return equal(p, q, cost); });
    }
    if (Map* map = a.map()) {
        if (map->items.size() != b.map()->items.size()) return false;
        return std::all_of(map->items.begin(), map->items.end(), [&](const auto& entry) {
            const Value* other = b.map()->find(entry.first);
            return other && equal(entry.second, *other, cost);
        });
    }
    if (a.get<Function>()) cost->fail("comparison of functions");
    return true;  // none or undefined
}

std::string to_text(const Value& v, Cost* cost) {
    if (const bool* b = v.get<bool>()) return *b ? "True" : "False";
    if (const int64_t* i = v.get<int64_t>()) return std::to_string(*i);
    if (v.get<None>()) return "None";
    if (v.list() || v.map() || v.get<Function>()) cost->fail("a list, map or function as text");
    return v.string() ? *v.string() : std::string();
}

List elements(const Value& v, Cost* cost) {
    List out;
    if (v.list()) {
        for (const Value& e : *v.list()) out.push_back(cost->copy(e));
    }
    if (v.map()) {
        for (const auto& [key, value] : v.map()->items) out.push_back(make(key));
    }
    if (v.string()) out = characters(*v.string(), cost);
    if (v.get<None>() || v.get<bool>() || v.get<int64_t>() || v.get<Function>()) {
        cost->fail("a loop over what is no list");
    }
    cost->spend(out.size());
    return out;
}

Value attribute(const Value& object, std::string_view name, Cost* cost) {
    if (object.undefined()) return cost->fail("." + std::string(name) + " of what is undefined");
    Value* found = object.map() ? object.map()->find(name) : nullptr;
    return found ? cost->copy(*found) : Value{};
}

Value item(const Value& object, const Value& key, Cost* cost) {
    if (key.string()) return attribute(object, *key.string(), cost);
    const int64_t* index = key.get<int64_t>();
    if (object.undefined() || !index) return cost->fail("a subscript");
    if (!object.list() && !object.string()) return {};
    const List items = elements(object, cost);
    const int64_t i = *index < 0 ? *index + int64_t(items.size()) : *index;
    return i >= 0 && i < int64_t(items.size()) ? items[size_t(i)] : Value{};
}

// Python's rules: what is out of range is cut, and a negative step goes backwards.
Value slice(const Value& object, const Value (&parts)[3], Cost* cost) {
    if (!object.list() && !object.string()) return cost->fail("a slice of what is no list");
    for (const Value& p : parts) {
        if (!p.undefined() && !p.get<None>() && !p.get<int64_t>()) return cost->fail("a slice");
    }
    const List items = elements(object, cost);
    const int64_t n = int64_t(items.size());
    const int64_t step = parts[2].get<int64_t>() ? *parts[2].get<int64_t>() : 1;
    if (step == 0) return cost->fail("a slice with step 0");
    const int64_t low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
    const auto bound = [&](const Value& v, int64_t missing) {
        if (!v.get<int64_t>()) return missing;
        const int64_t i = *v.get<int64_t>();
        return std::clamp(i < 0 ? i + n : i, low, high);
    };
    const int64_t begin = bound(parts[0], step > 0 ? low : high);
    const int64_t end = bound(parts[1], step > 0 ? high : low);
    List out;
    const uint64_t stride = step > 0 ? uint64_t(step) : -uint64_t(step);
    const int64_t span = step > 0 ? end - begin : begin - end;
    for (uint64_t at = 0; span > 0 && at < uint64_t(span); at += stride) {
        out.push_back(items[size_t(step > 0 ? begin + int64_t(at) : begin - int64_t(at))]);
        if (stride > uint64_t(n)) break;
    }
    return object.list() ? make(std::move(out)) : joined(out, "", cost);
}

Value binary(std::string_view op, const Value& a, const Value& b, Cost* cost) {
    if (!cost->error.empty()) return {};
    if (op == "==") return {equal(a, b, cost)};
    if (op == "!=") return {!equal(a, b, cost)};
    if (op == "in") return {contains(b, a, cost)};
    if (op == "not in") return {!contains(b, a, cost)};
    const bool is_order = op[0] == '<' || op[0] == '>';
    // As in llama.cpp, what is undefined adds nothing to a text. Jinja calls it an error.
    const bool texts = (a.string() || a.undefined()) && (b.string() || b.undefined());
    if ((op == "+" && texts && (a.string() || b.string())) || op == "~") {
        std::string text = to_text(a, cost) + to_text(b, cost);
        if (text.size() > kMaxText || !cost->spend(text.size())) cost->fail("too long a text");
        return make(text);
    }
    if (a.string() && b.string() && is_order) return {ordered(op, *a.string(), *b.string())};
    if (a.list() && b.list() && op == "+") {
        List items = elements(a, cost);
        for (const Value& e : *b.list()) items.push_back(cost->copy(e));
        if (items.size() > kMaxItems) cost->fail("too long a list");
        return make(std::move(items));
    }
    const int64_t *i = a.get<int64_t>(), *j = b.get<int64_t>();
    if (i && j && std::max({*i, -*i, *j, -*j}) <= kMostNumber) {
        if (is_order) return {ordered(op, *i, *j)};
        if (op == "+") return {*i + *j};
        if (op == "-") return {*i - *j};
        if (op == "*") return {*i * *j};
        if (op == "%" && *j > 0) return {(*i % *j + *j) % *j};
        if (op == "//" && *j > 0) return {(*i - (*i % *j + *j) % *j) / *j};
    }
    return cost->fail("operator " + std::string(op) + " between such values");
}

Value filter(std::string_view name, const Value& v, const Arguments& arguments, Cost* cost) {
    if (!cost->error.empty()) return {};
    if (name == "default" || name == "d") {
        const Value* other = arguments.at(0, "default_value");
        const Value* falsy = arguments.at(1, "boolean");
        const bool missing = v.undefined() || (falsy && truth(*falsy) && !truth(v));
        return !missing ? v : other ? *other : make("");
    }
    if (name == "string") return make(to_text(v, cost));
    if (name == "safe") return v;
    if (v.string() || v.undefined()) {
        bool known = true;
        Value out = string_function(name, v.string() ? *v.string() : "", arguments, &known, cost);
        if (known) return out;
    }
    if (name == "length" || name == "count") {
        if (v.map()) return {int64_t(v.map()->items.size())};
        return {int64_t(elements(v, cost).size())};
    }
    if (name == "list") return make(elements(v, cost));
    if (name == "first" || name == "last") {
        const List items = elements(v, cost);
        return items.empty() ? Value{} : name == "first" ? items.front() : items.back();
    }
    if (name == "reverse" && v.list()) {
        List items = *v.list();
        std::reverse(items.begin(), items.end());
        return make(std::move(items));
    }
    if (name == "join") {
        const std::string* separator = text_at(arguments, 0, "d");
        if (arguments.items.size() > 1) return cost->fail("join's arguments");
        return joined(elements(v, cost), separator ? *separator : "", cost);
    }
    if (name == "items" && v.map()) return pairs(*v.map());
    if (name == "int" && v.get<int64_t>()) return v;
    if (name == "map" && arguments.items.size() == 1) {
        List out;
        const std::string* field = text_at(arguments, 1, "attribute");
        const std::string* by = text_at(arguments, 0, "");
        for (const Value& e : elements(v, cost)) {
            if (field) {
                out.push_back(attribute(e, *field, cost));
            } else if (by) {
                out.push_back(filter(*by, e, {}, cost));
            }
        }
        return make(std::move(out));
    }
    if (name == "select" || name == "reject" || name == "selectattr" || name == "rejectattr") {
        return selected(name, v, arguments, cost);
    }
    return cost->fail("filter " + std::string(name));
}

bool test(std::string_view name, const Value& v, const Arguments& arguments, Cost* cost) {
    if (!cost->error.empty()) return false;
    if (name == "defined") return !v.undefined();
    if (name == "undefined") return v.undefined();
    if (name == "none") return v.get<None>() != nullptr;
    if (name == "string") return v.string() != nullptr;
    if (name == "mapping") return v.map() != nullptr;
    if (name == "boolean") return v.get<bool>() != nullptr;
    if (name == "integer") return v.get<int64_t>() != nullptr;
    if (name == "number") return v.get<int64_t>() != nullptr || v.get<bool>() != nullptr;
    if (name == "true") return v.get<bool>() && *v.get<bool>();
    if (name == "false") return v.get<bool>() && !*v.get<bool>();
    if (name == "callable") return v.get<Function>() != nullptr;
    if (name == "iterable" || name == "sequence") return v.string() || v.list() || v.map();
    const Value* other = arguments.at(0, "");
    if (other) {
        if (name == "equalto" || name == "eq" || name == "==") return equal(v, *other, cost);
        if (name == "ne" || name == "!=") return !equal(v, *other, cost);
        if (name == "in") return contains(*other, v, cost);
    }
    const int64_t* n = v.get<int64_t>();
    if (n && name == "odd") return *n % 2 != 0;
    if (n && name == "even") return *n % 2 == 0;
    if (n && other && other->get<int64_t>() && *other->get<int64_t>() > 0 &&
        name == "divisibleby") {
        return *n % *other->get<int64_t>() == 0;
    }
    cost->fail("test " + std::string(name));
    return false;
}

Value method(std::string_view name, const Value& object, const Arguments& arguments, Cost* cost) {
    if (!cost->error.empty()) return {};
    if (const std::string* text = object.string()) {
        bool known = name != "trim";  // a filter only
        Value out = string_function(name, *text, arguments, &known, cost);
        if (known) return out;
        const std::string* other = text_at(arguments, 0, "sep");
        if (other && name == "startswith") return {text->starts_with(*other)};
        if (other && name == "endswith") return {text->ends_with(*other)};
        if (other && (name == "split" || name == "rsplit")) {
            const Value* most = arguments.at(1, "maxsplit");
            if (most && !most->get<int64_t>()) return cost->fail("split's arguments");
            return split(*text, *other, most ? *most->get<int64_t>() : -1, name == "rsplit", cost);
        }
        if (const Value* items = arguments.at(0, ""); items && name == "join") {
            return joined(elements(*items, cost), *text, cost);
        }
    }
    if (Map* map = object.map()) {
        if (name == "items" && arguments.items.empty()) return pairs(*map);
        const bool keys = name == "keys";
        if ((keys || name == "values") && arguments.items.empty()) {
            List out;
            for (const auto& [key, value] : map->items) out.push_back(keys ? make(key) : value);
            return make(std::move(out));
        }
        if (const std::string* key = text_at(arguments, 0, ""); key && name == "get") {
            const Value* found = map->find(*key);
            const Value* missing = arguments.at(1, "");
            return found ? *found : missing ? *missing : Value{None{}};
        }
    }
    if (List* list = object.list(); list && name == "append") {
        const Value* value = arguments.at(0, "");
        // Only plain values: a list inside itself would never end.
        if (!value || value->list() || value->map() || list->size() >= kMaxItems) {
            return cost->fail("append");
        }
        list->push_back(*value);
        return {None{}};
    }
    return cost->fail("method " + std::string(name));
}

Value function(std::string_view name, const Arguments& arguments, Cost* cost) {
    if (name == "namespace" || name == "dict") {
        Map map;
        for (const auto& [key, value] : arguments.items) {
            if (key.empty()) return cost->fail(std::string(name) + " of a value without a name");
            map.items.push_back({key, value});
        }
        return make(std::move(map));
    }
    if (name == "range" && !arguments.items.empty() && arguments.items.size() <= 3) {
        int64_t bounds[3] = {0, 0, 1};  // begin, end, step
        const size_t first = arguments.items.size() == 1 ? 1 : 0;
        for (size_t i = 0; i < arguments.items.size(); i++) {
            const int64_t* n = arguments.items[i].second.get<int64_t>();
            if (!n || *n > kMostNumber || *n < -kMostNumber) return cost->fail("range's arguments");
            bounds[first + i] = *n;
        }
        if (bounds[2] == 0) return cost->fail("range with step 0");
        List out;
        for (int64_t i = bounds[0]; bounds[2] > 0 ? i < bounds[1] : i > bounds[1]; i += bounds[2]) {
            if (out.size() == kMaxItems || !cost->spend(1)) return cost->fail("too long a list");
            out.push_back({i});
        }
        return make(std::move(out));
    }
    return cost->fail("function " + std::string(name));
}

}  // namespace axiom::packer::jinja
