// SPDX-License-Identifier: MIT
// Every side beside the baseline: which runs belong together, which may be compared, and what is shown
// by them. A run is one value; its repetitions share a process, a memory layout and a moment, so they
// say nothing about the next run.
// Must not know: files, or how results are printed.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "bench/compare/run.h"
#include "bench/compare/statistics.h"

namespace axiom::compare {

// The runs of one side that may stand for one another: same model, test, threads,
// types of keys and values, and machine.
struct Group {
    const Side* side = nullptr;
    std::vector<const Run*> runs;
    const Run& first() const { return *runs.front(); }
    Values speeds() const;  // of each run
};

// The difference is of other's speed to base's.
struct Pair : Difference {
    Group base, other;
    std::vector<std::string> unfair;  // why it is none: "threads (1 and 2)"
};

// One line of the table: a group, with its pair where there is a baseline for it.
struct Row {
    Group group;
    std::optional<Pair> pair;
};

struct Comparison {
    double confidence = 0.95;
    const Side* baseline = nullptr;
    std::vector<Row> rows;          // by test, the baseline first
    std::vector<Pair> refused;      // unfair, and not forced
    std::vector<std::string> loud;  // same work, other result
};

struct Rules {
    double confidence = 0.95;
    bool force = false;  // unfair pairs are compared as well, and say so
};

// `sides` stay where they are. The baseline is one of them.
Comparison compare(const std::vector<Side>& sides, const Side& baseline, const Rules& rules);

// Pairs that are shown to be slower than `least` times the baseline: at least by their estimate.
std::vector<const Pair*> slower_than(const Comparison& comparison, double least);

}  // namespace axiom::compare
