// SPDX-License-Identifier: MIT
// Files of measurements: AXIOM's records, alone or anywhere in what a serial line caught, and traces;
// llama-bench's json, jsonl and csv; the samples and reports of bench-peers; peaks of bench-kernels. Kinds
// may be mixed in one file. What is damaged is named by file and line, and the rest is used.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/compare/run.h"

namespace axiom::compare {

struct Input {
    std::vector<Side> sides;  // of each file in the order in which they first appear
    std::vector<ReadPeak> peaks;
    std::vector<std::string> notes;  // what was not used, and why
    bool damaged = false;            // of the notes, at least one is of damage
};

// Adds what the text has. `file` names it.
void read_text(const std::string& file, std::string_view text, Input* input);
// The same of a file; "-" is the standard input.
void read_file(const std::string& path, Input* input);

}  // namespace axiom::compare
