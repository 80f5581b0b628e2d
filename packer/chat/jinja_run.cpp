// SPDX-License-Identifier: MIT
// Runs a template's syntax tree. After an error everything returns at once, undefined.
#include <algorithm>

#include "packer/chat/jinja_builtins.h"
#include "packer/chat/jinja_node.h"

namespace axiom::packer::jinja {

namespace {

constexpr int kMaxCalls = 40;  // of macros inside macros

enum class Flow { next, break_, continue_ };

class Runner {
  public:
    Runner(const Map& variables, const Template::Strftime& strftime, int64_t* work)
        : strftime_(strftime), cost_{work, {}} {
        scopes_.push_back(variables);
        for (const std::string_view name :
             {"raise_exception", "strftime_now", "namespace", "range", "dict"}) {
            if (!scopes_[0].find(name)) {
                scopes_[0].items.push_back(
                    {std::string(name), {Function{std::string(name), nullptr}}});
            }
        }
    }
    Rendered run(const Node& root) {
        Rendered r;
        exec(root, &r.text);
        r.error = cost_.error;
        r.raised = raised_;
        return r;
    }

  private:
    const Template::Strftime& strftime_;
    Cost cost_;
    bool raised_ = false;
    int n_calls_ = 0;
    std::vector<Map> scopes_;  // the template's own first; then loops' or a macro's

    bool failed() const { return !cost_.error.empty(); }
    Value fail(const std::string& what) { return cost_.fail(what); }

    Value* find(std::string_view name) {
        for (size_t i = scopes_.size(); i-- > 0;) {
            if (Value* v = scopes_[i].find(name)) return v;
        }
        return nullptr;
    }
    static void assign(Map* map, const std::string& name, Value value) {
        if (Value* v = map->find(name)) {
            *v = std::move(value);
        } else {
            map->items.push_back({name, std::move(value)});
        }
    }

    // --- statements
    Flow exec(const Node& n, std::string* out) {
        if (!cost_.spend(1)) return Flow::next;
        switch (n.kind) {
            case Kind::text:
                put(n.text, out);
                return Flow::next;
            case Kind::output:
                put(to_text(eval(*n.kids[0]), &cost_), out);
                return Flow::next;
            case Kind::block:
                for (const NodePtr& kid : n.kids) {
                    const Flow flow = exec(*kid, out);
                    if (flow != Flow::next || failed()) return flow;
                }
                return Flow::next;
            case Kind::if_:
                return exec_if(n, out);
            case Kind::for_:
                return exec_for(n, out);
            case Kind::set:
                exec_set(n);
                return Flow::next;
            case Kind::set_block: {
                std::string text;
                const Flow flow = exec(*n.kids[0], &text);
                assign(&scopes_.back(), n.names[0], make(text));
                return flow;
            }
            case Kind::set_field: {
                Value value = eval(*n.kids[0]);
                Value* object = find(n.names[0]);
                if (object == nullptr || object->map() == nullptr) {
                    fail("assignment to a field of " + n.names[0]);
                } else {
                    assign(object->map(), n.text, std::move(value));
                }
                return Flow::next;
            }
            case Kind::macro:
                assign(&scopes_.back(), n.text, {Function{n.text, &n}});
                return Flow::next;
            case Kind::break_:
                return Flow::break_;
            case Kind::continue_:
                return Flow::continue_;
            default:
                fail("statement");
                return Flow::next;
        }
    }
    void put(const std::string& text, std::string* out) {
        if (cost_.spend(text.size()) && out->size() + text.size() <= kMaxText) {
            *out += text;
        } else {
            fail("too long a text");
        }
    }
    Flow exec_if(const Node& n, std::string* out) {
        size_t i = 0;
        for (; i + 1 < n.kids.size(); i += 2) {
            if (truth(eval(*n.kids[i]))) return failed() ? Flow::next : exec(*n.kids[i + 1], out);
        }
        return i < n.kids.size() && !failed() ? exec(*n.kids[i], out) : Flow::next;
    }
    void exec_set(const Node& n) {
        Value value = eval(*n.kids[0]);
        if (n.names.size() == 1) {
            assign(&scopes_.back(), n.names[0], std::move(value));
        } else {
            unpack(n.names, value, &scopes_.back());
        }
    }
    void unpack(const std::vector<std::string>& names, const Value& value, Map* into) {
        const List* list = value.list();
        if (list == nullptr || list->size() != names.size()) {
            fail("unpacking of something else than " + std::to_string(names.size()) + " values");
            return;
        }
        for (size_t i = 0; i < names.size(); i++) assign(into, names[i], (*list)[i]);
    }
    Flow exec_for(const Node& n, std::string* out) {
        const Value over = eval(*n.kids[0]);
        List items = elements(over, &cost_);
        const auto bind = [&](const Value& item) {
            Map scope;
            if (n.names.size() == 1) {
                assign(&scope, n.names[0], item);
            } else {
                unpack(n.names, item, &scope);
            }
            return scope;
        };
        if (n.kids[2]) {
            List chosen;
            for (const Value& item : items) {
                scopes_.push_back(bind(item));
                if (truth(eval(*n.kids[2]))) chosen.push_back(item);
                scopes_.pop_back();
            }
            items = std::move(chosen);
        }
        if (items.empty() && n.kids[3] && !failed()) return exec(*n.kids[3], out);
        for (size_t i = 0; i < items.size() && !failed(); i++) {
            scopes_.push_back(bind(items[i]));
            assign(&scopes_.back(), "loop", loop_value(items, i));
            const Flow flow = exec(*n.kids[1], out);
            scopes_.pop_back();
            if (flow == Flow::break_) break;
        }
        return Flow::next;
    }
    static Value loop_value(const List& items, size_t i) {
        const int64_t n = int64_t(items.size()), at = int64_t(i);
        return make(Map{{{"index", {at + 1}},
                         {"index0", {at}},
                         {"revindex", {n - at}},
                         {"revindex0", {n - at - 1}},
                         {"first", {i == 0}},
                         {"last", {i + 1 == items.size()}},
                         {"length", {n}},
                         {"previtem", i > 0 ? items[i - 1] : Value{}},
                         {"nextitem", i + 1 < items.size() ? items[i + 1] : Value{}}}});
    }

    // --- expressions
    Value eval(const Node& n) {
        if (!cost_.spend(1)) return {};
        switch (n.kind) {
            case Kind::literal:
                return cost_.copy(n.value);
            case Kind::name: {
                const Value* v = find(n.text);
                return v ? cost_.copy(*v) : Value{};
            }
            case Kind::list: {
                List items;
                for (const NodePtr& kid : n.kids) items.push_back(eval(*kid));
                return make(std::move(items));
            }
            case Kind::map: {
                Map map;
                for (size_t i = 0; i + 1 < n.kids.size(); i += 2) {
                    const Value key = eval(*n.kids[i]);
                    if (key.string() == nullptr) return fail("a key that is no string");
                    assign(&map, *key.string(), eval(*n.kids[i + 1]));
                }
                return make(std::move(map));
            }
            case Kind::attribute:
                return attribute(eval(*n.kids[0]), n.text, &cost_);
            case Kind::item:
                return item(eval(*n.kids[0]), eval(*n.kids[1]), &cost_);
            case Kind::slice: {
                Value parts[3];
                for (size_t i = 0; i < 3; i++) {
                    if (n.kids[i + 1]) parts[i] = eval(*n.kids[i + 1]);
                }
                return slice(eval(*n.kids[0]), parts, &cost_);
            }
            case Kind::call:
                return call(n);
            case Kind::filter: {
                const Value subject = eval(*n.kids[0]);
                return filter(n.text, subject, arguments(n), &cost_);
            }
            case Kind::test: {
                const Value subject = eval(*n.kids[0]);
                return {test(n.text, subject, arguments(n), &cost_)};
            }
            case Kind::negate: {
                const Value v = eval(*n.kids[0]);
                if (!v.get<int64_t>()) return fail("minus before what is no number");
                return {-*v.get<int64_t>()};
            }
            case Kind::not_:
                return {!truth(eval(*n.kids[0]))};
            case Kind::and_: {
                Value left = eval(*n.kids[0]);
                return truth(left) ? eval(*n.kids[1]) : left;
            }
            case Kind::or_: {
                Value left = eval(*n.kids[0]);
                return truth(left) ? left : eval(*n.kids[1]);
            }
            case Kind::binary: {
                const Value left = eval(*n.kids[0]);
                return binary(n.text, left, eval(*n.kids[1]), &cost_);
            }
            case Kind::text_of: {
                std::string text;
                exec(*n.kids[0], &text);
                return make(text);
            }
            case Kind::conditional:
                if (truth(eval(*n.kids[0]))) return eval(*n.kids[1]);
                return n.kids[2] ? eval(*n.kids[2]) : Value{};
            default:
                return fail(n.text.empty() ? "expression" : n.text);
        }
    }
    Arguments arguments(const Node& n) {
        Arguments out;
        for (size_t i = 0; i < n.names.size(); i++) {
            out.items.push_back({n.names[i], eval(*n.kids[i + 1])});
        }
        return out;
    }
    Value call(const Node& n) {
        const Node& callee = *n.kids[0];
        if (callee.kind == Kind::attribute) {
            const Value object = eval(*callee.kids[0]);
            Value* own = object.map() ? object.map()->find(callee.text) : nullptr;
            if (own == nullptr) return method(callee.text, object, arguments(n), &cost_);
            return call_function(*own, callee.text, arguments(n));
        }
        return call_function(eval(callee), callee.text, arguments(n));
    }
    Value call_function(const Value& callee, const std::string& name, const Arguments& arguments) {
        const Function* f = callee.get<Function>();
        if (failed()) return {};
        if (f == nullptr) return fail("call of " + (name.empty() ? "an expression" : name));
        if (f->macro) return call_macro(*f->macro, arguments);
        if (f->name == "raise_exception") {
            const Value* message = arguments.at(0, "message");
            raised_ = true;
            return fail(message && message->string() ? *message->string() : "raise_exception");
        }
        if (f->name == "strftime_now") {
            const Value* format = arguments.at(0, "format");
            if (!format || !format->string()) return fail("strftime_now without a format");
            return make(strftime_(*format->string()));
        }
        return function(f->name, arguments, &cost_);
    }
    // A macro sees the template's own names and its parameters.
    Value call_macro(const Node& macro, const Arguments& arguments) {
        if (++n_calls_ > kMaxCalls) return fail("too many macros inside each other");
        Map scope;
        size_t n_used = 0;
        for (size_t i = 0; i < macro.names.size(); i++) {
            const Value* given = arguments.at(i, macro.names[i]);
            n_used += given != nullptr;
            const NodePtr& by_default = macro.kids[i + 1];
            assign(&scope, macro.names[i],
                   given        ? *given
                   : by_default ? eval(*by_default)
                                : Value{});
        }
        if (n_used != arguments.items.size()) return fail("arguments of macro " + macro.text);
        std::vector<Map> caller(std::make_move_iterator(scopes_.begin() + 1),
                                std::make_move_iterator(scopes_.end()));
        scopes_.resize(1);
        scopes_.push_back(std::move(scope));
        std::string text;
        exec(*macro.kids[0], &text);
        scopes_.resize(1);
        scopes_.insert(scopes_.end(), std::make_move_iterator(caller.begin()),
                       std::make_move_iterator(caller.end()));
        n_calls_--;
        return make(text);
    }
};

}  // namespace

Rendered Template::render(const Map& variables, const Strftime& strftime, int64_t* work) const {
    if (!root_) return {{}, "no template", false};
    return Runner(variables, strftime, work).run(*root_);
}

}  // namespace axiom::packer::jinja
