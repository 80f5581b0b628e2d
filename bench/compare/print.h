// SPDX-License-Identifier: MIT
// A comparison as a table for people (terminal, Markdown or HTML), as CSV, and as JSON.
// Must not know: how it was computed.
#pragma once

#include <string>
#include <vector>

#include "bench/compare/compare.h"
#include "bench/compare/read.h"

namespace axiom::compare {

// Everything that a reader of a result has to know.
struct Results {
    const Input& input;
    const Comparison& comparison;
};

// What all forms for people are made of; its texts have no control characters.
struct Table {
    std::vector<std::string> headings;
    std::vector<std::vector<std::string>> lines;
    size_t first_number = ~size_t{0};  // columns from here to the last but one hold numbers
    bool is_number(size_t i) const { return i >= first_number && i + 1 < headings.size(); }
};
Table table_of(const Comparison& comparison);
std::vector<std::string> sources(const Results& results);  // of each side
std::vector<std::string> remarks(const Results& results);  // what limits or damages the result
std::string legend(const Comparison& comparison);

std::string text_table(const Results& results);
std::string markdown_table(const Results& results);
// One line for each side and test: model, test, threads, machine, side, program, backend, build,
// n_runs, median_ts, min_ts, max_ts, ratio, ratio_low, ratio_high, p, verdict, unfair.
std::string csv_text(const Results& results);
// {"axiom_compare": 1, "confidence", "baseline", "sides": [...], "rows": [...], "refused": [...],
//  "notes": [...]}; rows carry every run's speed.
std::string json_text(const Results& results);

// One page of HTML that fetches nothing and runs nothing.
std::string html_page(const Results& results);

}  // namespace axiom::compare
