// SPDX-License-Identifier: MIT
// The part of Jinja that chat templates are written in, after Jinja's template designer
// documentation with trim_blocks and lstrip_blocks on, as chat templates are rendered everywhere.
// Templates come with a model, so they are hostile: nesting, work and sizes are bounded. What is
// not known here (a filter, a method, a statement) is an error by name, never a guess.
// Must not know: chat formats (packer/chat/derive.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace axiom::packer::jinja {

struct Node;
struct Value;
using List = std::vector<Value>;
struct Map {  // keys are strings, in the order they were set
    std::vector<std::pair<std::string, Value>> items;
    Value* find(std::string_view key);
};
// A macro of the template, or a function that every template has (then macro is null).
struct Function {
    std::string name;
    const Node* macro = nullptr;
};

struct Undefined {};
struct None {};
// Lists and maps are shared, as in Python; nothing makes a cycle of them.
struct Value {
    std::variant<Undefined, None, bool, int64_t, std::string, std::shared_ptr<List>,
                 std::shared_ptr<Map>, Function>
        is;

    template <class T>
    const T* get() const {
        return std::get_if<T>(&is);
    }
    const std::string* string() const { return get<std::string>(); }
    List* list() const {
        const auto* p = get<std::shared_ptr<List>>();
        return p ? p->get() : nullptr;
    }
    Map* map() const {
        const auto* p = get<std::shared_ptr<Map>>();
        return p ? p->get() : nullptr;
    }
    bool undefined() const { return get<Undefined>() != nullptr; }
};

Value make(std::string_view text);
Value make(List items);
Value make(Map map);

// What a rendering gave. `raised`: the template itself refused the conversation.
struct Rendered {
    std::string text;
    std::string error;  // empty: rendered
    bool raised = false;
};

class Template {
  public:
    static constexpr size_t kMaxBytes = size_t(1) << 18;

    // *error says what is not understood; then nothing can be rendered.
    static Template parse(std::string_view source, std::string* error);

    // `strftime` answers strftime_now(format). *work is what is left to spend in steps and copied
    // bytes; a rendering that would need more fails.
    using Strftime = std::function<std::string(std::string_view format)>;
    Rendered render(const Map& variables, const Strftime& strftime, int64_t* work) const;

  private:
    std::shared_ptr<const Node> root_;
};

}  // namespace axiom::packer::jinja
