// SPDX-License-Identifier: MIT
// A comparison as tables for people (terminal, Markdown or HTML), as CSV, and as JSON.
// Must not know: how it was computed.
#pragma once

#include <string>
#include <vector>

#include "bench/compare/compare.h"
#include "bench/compare/fields.h"
#include "bench/compare/layers.h"
#include "bench/compare/read.h"

namespace axiom::compare {

// Everything that a reader of a result has to know.
struct Results {
    const Input& input;
    const Comparison& comparison;
    std::vector<LayerPair> layers = {};
};

// What all forms for people are made of; its texts have no control characters.
struct Table {
    std::vector<std::string> headings;
    std::vector<std::vector<std::string>> lines;
    size_t first_number = ~size_t{0};  // columns from here to the last but one hold numbers
    bool is_number(size_t i) const { return i >= first_number && i + 1 < headings.size(); }
};
Table table_of(const Comparison& comparison);
// At most so many layers: those that changed most.
Table table_of(const LayerPair& pair, double confidence, size_t most_layers);
std::string title_of(const LayerPair& pair);
std::string legend(const LayerPair& pair);
std::string what_chance_gives(const LayerPair& pair);  // or that there are too few runs
Json to_json(const LayerPair& pair);
std::vector<std::string> sources(const Results& results);  // of each side
std::vector<std::string> remarks(const Results& results);  // what limits or damages the result
std::string legend(const Comparison& comparison);

std::string text_table(const Results& results);
std::string markdown_table(const Results& results);
// One line for each side and test: model, test, threads, machine, side, program, backend, build,
// n_runs, median_ts, min_ts, max_ts, ratio, ratio_low, ratio_high, p, verdict, unfair.
std::string csv_text(const Results& results);
// {"axiom_compare": 1, "confidence", "baseline", "sides": [...], "rows": [...], "refused": [...],
//  "layers": [...], "notes": [...]}; rows carry every run's speed.
std::string json_text(const Results& results);

// How figures look in all of them.
std::string plain(std::string text);  // control characters of files reach no terminal
std::string format(const char* how, double v);
std::string rate(double ts);
std::string range(const Interval& interval);
std::string probability(double p);
Json number_or_null(const std::optional<double>& v);

}  // namespace axiom::compare
