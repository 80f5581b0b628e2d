// SPDX-License-Identifier: MIT
// What one run of one test gave, whichever program wrote it, and whose it is.
// Must not know: how files are read, or what is compared.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "bench/compare/details.h"

namespace axiom::compare {

// What was timed. Equal tests do the same work.
struct Test {
    enum class Kind {
        prompt,      // n_prompt tokens into an empty cache
        generation,  // n_gen tokens of each of n_sequences, after n_depth
        both,        // n_prompt and then n_gen, timed together
        answer,      // an answer of n_gen tokens to a prompt of n_prompt: decoding is timed
        many,        // n_prompt prompts answered side by side
    };
    Kind kind = Kind::prompt;
    uint64_t n_prompt = 0, n_gen = 0, n_depth = 0, n_sequences = 1;

    bool operator==(const Test&) const = default;
    // "pp128", "tg32 x8 @ d2000", "pp512+tg128", "answer 32+24", "200 prompts"
    std::string name() const;
};

// What name() says, and "tg4@pp8" of ik_llama.cpp; false: something else.
bool parse_test(const std::string& name, Test* test);

// The weights: known by the file's name without folders and ending, or by the number of parameters,
// and by how they are stored. Programs name families differently and count some parameters twice.
struct Model {
    std::string file, format;
    uint64_t n_params = 0;
    std::string checksum;  // of a packed file; empty elsewhere

    std::string name() const;
    bool same_as(const Model& other) const;
    bool operator==(const Model&) const = default;
};

struct Run {
    std::string where;  // file and line
    std::string program, backend, build;
    std::string machine;  // the CPU
    Model model;
    Test test;
    uint64_t n_threads = 0;
    std::string cache = "f16";        // how keys and values are kept, "q8_0/f16" where they differ
    double ts = 0;                    // tokens per second, of all repetitions
    std::vector<double> repetitions;  // the same of each, if the program says it
    std::string logits_hash;          // empty: not known
    std::string disturb;              // what was put in its way on purpose; empty: nothing
    Details details;
};

// Every pass of one run, layer by layer.
struct Trace {
    std::string where, test;
    Model model;
    uint64_t n_threads = 0, n_layer = 0;
    std::vector<Pass> passes;
};

// All runs of one program, build and backend in one file, disturbed alike.
struct Side {
    std::string name;  // the file's, and what tells sides of one file apart
    std::string file, program, backend, build, disturb;
    std::vector<Run> runs;
    std::vector<Noise> noise;
    std::vector<Trace> traces;
};

// How fast the machine reads memory.
struct ReadPeak {
    std::string machine;
    uint64_t n_threads = 0;
    double gb_per_s = 0;
};

}  // namespace axiom::compare
