// SPDX-License-Identifier: MIT
#include "bench/compare/fields.h"

#include <cerrno>
#include <cmath>
#include <cstdlib>

namespace axiom::compare {
namespace {

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

const Json* find(const Json& object, const char* name) {
    if (!object.is_object()) return nullptr;
    const auto it = object.find(name);
    return it == object.end() ? nullptr : &*it;
}

double number(const Json& value) {
    if (value.is_number()) return value.get<double>();
    if (!value.is_string()) return kNone;
    const std::string& text = value.get_ref<const std::string&>();
    char* end = nullptr;
    const double v = std::strtod(text.c_str(), &end);
    return text.empty() || *end != 0 ? kNone : v;
}

}  // namespace

bool is_null(const Json& object, const char* name) {
    const Json* value = find(object, name);
    return value == nullptr || value->is_null();
}

std::string text_of(const Json& object, const char* name) {
    const Json* value = find(object, name);
    return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

double number_of(const Json& object, const char* name) {
    const Json* value = find(object, name);
    return value == nullptr ? kNone : number(*value);
}

std::vector<double> numbers_of(const Json& object, const char* name) {
    std::vector<double> out;
    for (const Json& value : array_of(object, name)) {
        const double v = number(value);
        if (std::isfinite(v)) out.push_back(v);
    }
    return out;
}

uint64_t count_of(const Json& object, const char* name) {
    const double v = number_of(object, name);
    return v >= 0 && v < 1e18 ? uint64_t(v) : 0;
}

const Json& array_of(const Json& object, const char* name) {
    static const Json kEmpty = Json::array();
    const Json* value = find(object, name);
    return value != nullptr && value->is_array() ? *value : kEmpty;
}

const Json* object_of(const Json& object, const char* name) {
    const Json* value = find(object, name);
    return value != nullptr && value->is_object() ? value : nullptr;
}

std::string text_of_number(double v) {
    if (std::isnan(v)) return "none";
    char text[32];
    std::snprintf(text, sizeof text, "%g", v);
    return text;
}

std::vector<std::string> csv_cells(std::string_view row) {
    std::vector<std::string> cells(1);
    bool quoted = false;
    for (size_t i = 0; i < row.size(); i++) {
        const char c = row[i];
        if (c == '"') {
            if (quoted && i + 1 < row.size() && row[i + 1] == '"') {
                cells.back() += '"';
                i++;
            } else {
                quoted = !quoted;
            }
        } else if (c == ',' && !quoted) {
            cells.emplace_back();
        } else {
            cells.back() += c;
        }
    }
    return cells;
}

}  // namespace axiom::compare
