// SPDX-License-Identifier: MIT
// A comparison as a table for people (terminal or Markdown), as CSV, and as JSON.
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

std::string text_table(const Results& results);
std::string markdown_table(const Results& results);
// One line for each side and test: model, test, threads, machine, side, program, backend, build,
// n_runs, median_ts, min_ts, max_ts, ratio, ratio_low, ratio_high, p, verdict, unfair.
std::string csv_text(const Results& results);
// {"axiom_compare": 1, "confidence", "baseline", "sides": [...], "rows": [...], "refused": [...],
//  "notes": [...]}; rows carry every run's speed.
std::string json_text(const Results& results);

}  // namespace axiom::compare
