// SPDX-License-Identifier: MIT
// What the page draws: each chart as data for report.js, in words, and as a table. All figures of a
// chart are in all three.
// Must not know: HTML.
#pragma once

#include <string>
#include <vector>

#include "bench/compare/print.h"

namespace axiom::compare {

constexpr int kDashes = 3;  // of report.js

struct Series {
    std::string name, colour;   // of report.css: "side1", "stage0"
    const char* draw = "line";  // "points", "mark", "range", "bar", "line", "step", "stack"
    int dash = 0;               // below kDashes
    Values x, y;
};

struct Axis {
    std::string label, unit;        // "ns" is written as people write times, "share" in percent
    const char* scale = "linear";   // "log", "whole", "nines" (0, 0.5, 0.9, 0.99 ...), "rows"
    bool zero = false;              // 0 is on it
    double nines = 0;               // of "nines": how many
    double most = kUnknown;         // reaches at least here
    std::vector<std::string> rows;  // of "rows": their names, y is their place
};

struct Chart {
    std::string title, text;  // what it shows, in words
    Axis x, y;
    std::vector<Series> series;
    Values limits;  // lines across all rows
    Table table;
};

struct Section {
    std::string id, title, text;
    std::vector<Chart> charts;
};

// In the order in which they are read. A section without charts says what it would need.
std::vector<Section> sections_of(const Results& results);
Json to_json(const Chart& chart);
std::string time_text(double ns);  // "12.3 µs"

}  // namespace axiom::compare
