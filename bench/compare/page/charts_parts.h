// SPDX-License-Identifier: MIT
// The sections of the page, for charts.cpp, which puts them in order.
#pragma once

#include "bench/compare/page/charts.h"

namespace axiom::compare {

// charts.cpp
// Of one thing among several that a side has, such as a core.
std::string colour_of(const Results& results, const Side* side, size_t which = 0);
size_t place_of(const Results& results, const Side* side);
std::string counted(uint64_t n, const char* noun);
std::string work_of(const Run& run);  // "tiny-Q4_0, tg32, 2 threads"
Table table(std::vector<std::string> headings, size_t first_number);

// charts_times.cpp
Section token_times(const Results& results);
Section boundary_times(const Results& results);
Section layer_times(const Results& results);
Section noise(const Results& results);

// charts_layers.cpp
Section layers(const Results& results);
Section boot(const Results& results);

}  // namespace axiom::compare
