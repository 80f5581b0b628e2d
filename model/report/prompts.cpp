// SPDX-License-Identifier: MIT
#include "model/report/prompts.h"

#include <algorithm>

#include "core/fmt.h"

namespace axiom {
namespace {

using Kind = JsonValue::Kind;

Text<64> kind_name(const JsonValue& value) {
    switch (value.kind) {
        case Kind::null:
        case Kind::boolean:
        case Kind::number:
            return Text<64>(value.text);
        case Kind::string:
            return Text<64>("a string");
        case Kind::list:
            return Text<64>("a list");
    }
    AXIOM_PANIC("kind of a JSON value");
}

Status value_error(std::string_view name, const JsonValue& value, std::string_view allowed) {
    return error(Code::bad_format, name, ": found ", kind_name(value).view(), ", allowed ",
                 allowed);
}

Status set_text(std::string_view name, const JsonValue& value, std::string_view* out) {
    if (value.kind != Kind::string) return value_error(name, value, "a string");
    *out = value.text;
    return {};
}

Status add_stop(const JsonValue& value, Request* request) {
    if (value.kind != Kind::string || value.text.empty() || value.text.size() > kMaxStopBytes) {
        return error(Code::bad_format, "stop: found ", kind_name(value).view(), " of ",
                     value.text.size(), " bytes, allowed strings of 1 to ", kMaxStopBytes);
    }
    if (request->n_stops == Request::kMaxStops) {
        return error(Code::bad_format, "stop: found more than ", Request::kMaxStops,
                     " strings, allowed at most ", Request::kMaxStops);
    }
    request->stops[request->n_stops++] = value.text;
    return {};
}

// What a member of a request's object may be, and where its value goes.
struct Key {
    std::string_view name;
    Status (*set)(std::string_view name, const JsonValue& value, JsonReader& reader,
                  Request* request);
};

// As the option of that name takes it.
template <const char* kOption>
Status set_number(std::string_view name, const JsonValue& value, JsonReader&, Request* request) {
    if (value.kind != Kind::number) return value_error(name, value, "a number");
    return set_option_by_name(kOption, name, value.text, &request->options);
}
constexpr char kPredict[] = "-n", kSeed[] = "--seed", kTemperature[] = "--temp";

constexpr Key kKeys[] = {
    {"prompt", [](std::string_view name, const JsonValue& value, JsonReader&,
                  Request* request) { return set_text(name, value, &request->options.prompt); }},
    {"system",
     [](std::string_view name, const JsonValue& value, JsonReader&, Request* request) {
         return set_text(name, value, &request->options.system_prompt);
     }},
    {"id",
     [](std::string_view name, const JsonValue& value, JsonReader&, Request* request) {
         if (value.kind != Kind::string && value.kind != Kind::number)
             return value_error(name, value, "a string or a number");
         request->id = value;
         return Status();
     }},
    {"n", set_number<kPredict>},
    {"seed", set_number<kSeed>},
    {"temp", set_number<kTemperature>},
    {"stop",
     [](std::string_view, const JsonValue& value, JsonReader& reader, Request* request) {
         if (value.kind != Kind::list) return add_stop(value, request);
         for (;;) {
             JsonValue item;
             const Result<bool> any = reader.item(&item);
             if (!any.ok() || !any.value()) return any.status();
             if (Status s = add_stop(item, request); !s.ok()) return s;
         }
     }},
};

std::string_view view_of(std::span<const char> text) {
    return {text.data(), text.size()};
}

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

// The first line without its end; `text` begins after it.
template <class Char>
std::span<Char> take_line(std::span<Char>* text) {
    const size_t n = size_t(std::find(text->begin(), text->end(), '\n') - text->begin());
    std::span<Char> line = text->first(n);
    *text = text->subspan(std::min(n + 1, text->size()));
    if (!line.empty() && line.back() == '\r') line = line.first(n - 1);
    return line;
}

Status read_object(JsonReader& reader, Request* request) {
    if (Status s = reader.open(); !s.ok()) return s;
    bool given[std::size(kKeys)] = {};
    for (;;) {
        std::string_view name;
        JsonValue value;
        const Result<bool> any = reader.member(&name, &value);
        if (!any.ok()) return any.status();
        if (!any.value()) break;
        const Key* const key = std::find_if(std::begin(kKeys), std::end(kKeys),
                                            [&](const Key& k) { return k.name == name; });
        if (key == std::end(kKeys)) {
            char names[96];
            Writer allowed(names, sizeof names);
            for (const Key& k : kKeys) allowed.put(allowed.size() != 0 ? ", " : "").put(k.name);
            return error(Code::bad_format, "found the key ", Quoted{name}, ", allowed ",
                         allowed.view());
        }
        bool& is_given = given[key - kKeys];
        if (is_given)
            return error(Code::bad_format, "found ", key->name, " twice, allowed each key once");
        is_given = true;
        if (Status s = key->set(key->name, value, reader, request); !s.ok()) return s;
    }
    if (!given[0]) return error(Code::bad_format, "found no prompt, allowed objects with one");
    return {};
}

}  // namespace

PromptFile::PromptFile(std::string_view name, std::span<char> text, const Options& defaults)
    : name_(name), rest_(text), defaults_(defaults) {
    static constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
    if (view_of(text).starts_with(kByteOrderMark)) rest_ = text.subspan(kByteOrderMark.size());
}

uint64_t PromptFile::longest_line(std::string_view text) {
    std::span<const char> rest(text.data(), text.size());
    size_t longest = 0;
    while (!rest.empty()) {
        const size_t n = take_line(&rest).size();
        if (n <= kMaxLineBytes) longest = std::max(longest, n);
    }
    return longest;
}

RequestSource::Next PromptFile::next(Request* request) {
    while (!rest_.empty()) {
        const std::span<char> line = take_line(&rest_);
        n_lines_++;
        const auto first =
            std::find_if(line.begin(), line.end(), [](char c) { return !is_blank(c); });
        if (first == line.end()) continue;
        *request = {};
        request->line = n_lines_;
        request->options = defaults_;
        if (line.size() > kMaxLineBytes) {
            request->status = error(Code::bad_format, name_, ": line ", n_lines_, ": found ",
                                    line.size(), " bytes, allowed at most ", kMaxLineBytes);
        } else if (*first == '{') {
            JsonReader reader(line);
            const Status status = read_object(reader, request);
            if (!status.ok()) {
                request->status = error(status.code(), name_, ": line ", n_lines_, ", column ",
                                        reader.column(), ": ", status.text());
            }
        } else {
            request->options.prompt = view_of(line);
        }
        return Next::request;
    }
    return Next::none_ever;
}

}  // namespace axiom
