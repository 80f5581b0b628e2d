// SPDX-License-Identifier: MIT
// Fields of records that anybody may have written: what is missing or of another type is empty or 0.
// Numbers may stand in strings, as in CSV.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace axiom::compare {

using Json = nlohmann::json;

bool is_null(const Json& object, const char* name);  // or missing
std::string text_of(const Json& object, const char* name);
double number_of(const Json& object, const char* name);  // NaN: none
std::vector<double> numbers_of(const Json& object, const char* name);
uint64_t count_of(const Json& object, const char* name);
const Json& array_of(const Json& object, const char* name);   // of objects, or empty
const Json* object_of(const Json& object, const char* name);  // nullptr: none

std::string text_of_number(double v);

// The cells of a row, RFC 4180.
std::vector<std::string> csv_cells(std::string_view row);

}  // namespace axiom::compare
