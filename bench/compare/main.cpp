// SPDX-License-Identifier: MIT
// axiom-compare: the command line. Exit status 0 compared, 1 something is slower than --fail-below
// allows, 2 not understood, 3 a file was damaged, a pair was refused or nothing could be compared.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "bench/compare/compare.h"
#include "bench/compare/page/page.h"
#include "bench/compare/print.h"
#include "bench/compare/read.h"

namespace {

using namespace axiom::compare;

constexpr int kOk = 0, kSlower = 1, kUsage = 2, kIncomplete = 3;

constexpr const char* kHelp =
    "usage: axiom-compare [options] A.json B.json ...\n"
    "\n"
    "Compares measurements: AXIOM's records, alone or in what a serial line caught, its traces, "
    "llama-bench's\n"
    "json, jsonl and csv, bench-peers' samples and reports; \"-\" is the standard input. The first "
    "is "
    "the\n"
    "baseline. A record is one run, whatever its repetitions: measure each side several times, "
    "taking\n"
    "turns, into one file a side.\n"
    "\n"
    "  --baseline NAME     a side by its name in the table, or a file\n"
    "  --confidence P      of intervals and verdicts, 0.95\n"
    "  --force             compare also what is unfair: other weights, threads, test sizes, "
    "machine or\n"
    "                      logits\n"
    "  --fail-below R      exit status 1 if a ratio below R is shown\n"
    "  --md, --csv, --json Markdown, CSV or JSON instead of the table\n"
    "  --html FILE         also a page with charts, tables and every figure\n"
    "  -o FILE             into a file\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 compared, 1 slower than --fail-below, 2 not understood, 3 a file was damaged, "
    "a pair\n"
    "was refused, or nothing could be compared.\n";

struct Arguments {
    std::vector<std::string> files;
    std::string baseline, output, page;
    Rules rules;
    double fail_below = 0;
    std::string (*print)(const Results&) = text_table;
};

int usage(const std::string& what) {
    std::fprintf(stderr, "axiom-compare: %s\n(axiom-compare --help)\n", what.c_str());
    return kUsage;
}

bool parse_number(const std::string& text, double low, double high, double* out) {
    char* end = nullptr;
    *out = std::strtod(text.c_str(), &end);
    return !text.empty() && *end == 0 && *out > low && *out < high;
}

// kOk: go on; else the exit status, with `ended` where there is nothing to say.
int parse(const std::vector<std::string>& words, Arguments* out, bool* ended) {
    for (size_t i = 0; i < words.size(); i++) {
        std::string word = words[i], value;
        const size_t equals = word.find('=');
        const bool has_value = word.substr(0, 2) == "--" && equals != word.npos;
        if (has_value) {
            value = word.substr(equals + 1);
            word.resize(equals);
        }
        const bool takes_value = word == "--baseline" || word == "--confidence" ||
                                 word == "--fail-below" || word == "--html" || word == "-o";
        if (takes_value && !has_value) {
            if (++i == words.size()) return usage(word + ": found no value");
            value = words[i];
        }
        if (has_value && !takes_value) return usage(word + ": found a value, allowed none");
        if (word == "--help" || word == "--version") {
            std::fputs(word == "--help" ? kHelp : "axiom-compare " AXIOM_COMMIT "\n", stdout);
            *ended = true;
            return kOk;
        }
        if (word == "--baseline") {
            out->baseline = value;
        } else if (word == "--html") {
            out->page = value;
        } else if (word == "-o") {
            out->output = value;
        } else if (word == "--confidence") {
            if (!parse_number(value, 0, 1, &out->rules.confidence))
                return usage(word + ": found \"" + value + "\", allowed a number between 0 and 1");
        } else if (word == "--fail-below") {
            if (!parse_number(value, 0, 1e6, &out->fail_below))
                return usage(word + ": found \"" + value + "\", allowed a positive number");
        } else if (word == "--force") {
            out->rules.force = true;
        } else if (word == "--md") {
            out->print = markdown_table;
        } else if (word == "--csv") {
            out->print = csv_text;
        } else if (word == "--json") {
            out->print = json_text;
        } else if (word.size() > 1 && word[0] == '-') {
            return usage("found " + word + ", which is no option");
        } else {
            out->files.push_back(word);
        }
    }
    if (out->files.empty()) return usage("found no files");
    return kOk;
}

const Side* find_baseline(const std::vector<Side>& sides, const std::string& wanted) {
    for (const Side& side : sides) {
        if (wanted.empty() || side.name == wanted || side.file == wanted) return &side;
    }
    return nullptr;
}

bool write(const std::string& path, const std::string& text) {
    if (path.empty()) return std::fwrite(text.data(), 1, text.size(), stdout) == text.size();
    std::ofstream file(path, std::ios::binary);
    file << text;
    file.close();
    return bool(file);
}

int unwritten(const std::string& path) {
    std::fprintf(stderr, "axiom-compare: %s: cannot be written\n", path.c_str());
    return kIncomplete;
}

int report(const Arguments& arguments, const Results& results) {
    if (!write(arguments.output, arguments.print(results))) return unwritten(arguments.output);
    if (!arguments.page.empty()) {
        if (!write(arguments.page, html_page(results))) return unwritten(arguments.page);
        if (!why_no_charts().empty())
            std::fprintf(stderr, "axiom-compare: %s has no charts: %s\n", arguments.page.c_str(),
                         why_no_charts().c_str());
    }
    const Comparison& c = results.comparison;
    for (const Pair* pair : slower_than(c, arguments.fail_below)) {
        std::fprintf(stderr, "axiom-compare: %s, %s: %.3f times the baseline, allowed %g\n",
                     pair->other.side->name.c_str(), pair->other.first().test.name().c_str(),
                     pair->ratio, arguments.fail_below);
    }
    if (!slower_than(c, arguments.fail_below).empty()) return kSlower;
    // A page of one side is a report, too.
    const bool any = !results.layers.empty() ||
                     (!arguments.page.empty() && results.input.sides.size() == 1) ||
                     std::any_of(c.rows.begin(), c.rows.end(),
                                 [](const Row& row) { return row.pair.has_value(); });
    if (!any && c.refused.empty() && results.input.sides.size() > 1)
        std::fprintf(stderr, "axiom-compare: found no test that two sides have\n");
    return results.input.damaged || !c.refused.empty() || !c.loud.empty() || !any ? kIncomplete
                                                                                  : kOk;
}

}  // namespace

int main(int argc, char** argv) {
    Arguments arguments;
    bool ended = false;
    const int status = parse({argv + 1, argv + argc}, &arguments, &ended);
    if (status != kOk || ended) return status;
    Input input;
    for (const std::string& file : arguments.files) read_file(file, &input);
    if (input.sides.empty()) {
        for (const std::string& note : input.notes)
            std::fprintf(stderr, "axiom-compare: %s\n", note.c_str());
        return kIncomplete;
    }
    const Side* baseline = find_baseline(input.sides, arguments.baseline);
    if (baseline == nullptr) {
        std::string names;
        for (const Side& side : input.sides) names += " " + side.name;
        return usage("--baseline: found \"" + arguments.baseline + "\", allowed one of" + names);
    }
    const Comparison comparison = compare(input.sides, *baseline, arguments.rules);
    return report(arguments, {input, comparison,
                              compare_layers(input.sides, *baseline, arguments.rules.confidence)});
}
