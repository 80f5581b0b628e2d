// SPDX-License-Identifier: MIT
// The value of --bench: key=number pairs, separated by blanks or commas.
#include "core/team.h"
#include "model/format/format.h"
#include "model/report/option_table.h"

namespace axiom {
namespace {

constexpr uint32_t kMaxRepetitions = 1000;
constexpr size_t kNKeys = 7;

struct Key {
    std::string_view name, other_name;
    uint32_t BenchPlan::*member;
    uint32_t min, max;
};
constexpr Key kKeys[kNKeys] = {
    {"pp", "pp", &BenchPlan::n_prompt, 0, format::kMaxCtx},
    {"tg", "tg", &BenchPlan::n_gen, 0, format::kMaxCtx},
    {"reps", "reps", &BenchPlan::n_reps, 1, kMaxRepetitions},
    {"warmup", "warmup", &BenchPlan::n_warmup, 0, kMaxRepetitions},
    {"d", "depth", &BenchPlan::n_depth, 0, format::kMaxCtx},
    {"npl", "npl", &BenchPlan::n_sequences, 1, BenchPlan::kMaxSequences},
    {"threads", "threads", &BenchPlan::n_threads, 0, Team::kMaxWorkers},
};
constexpr char kAllowedKeys[] =
    "pp, tg, reps, warmup, d (depth), npl and threads, as in pp=128 tg=32";

bool separates(char c) {
    return c == ' ' || c == ',' || c == '\t';
}

// Takes the next pair off the front; empty when there is none.
std::string_view next_pair(std::string_view* text) {
    while (!text->empty() && separates(text->front())) text->remove_prefix(1);
    size_t n = 0;
    while (n < text->size() && !separates((*text)[n])) n++;
    const std::string_view pair = text->substr(0, n);
    text->remove_prefix(n);
    return pair;
}

Status set_key(std::string_view shown, std::string_view pair, bool (&given)[kNKeys],
               BenchPlan* plan) {
    size_t n_name = 0;
    while (n_name < pair.size() && pair[n_name] != '=') n_name++;
    const std::string_view name = pair.substr(0, n_name);
    std::string_view value = pair;
    value.remove_prefix(n_name < pair.size() ? n_name + 1 : n_name);
    for (size_t i = 0; i < kNKeys; i++) {
        const Key& key = kKeys[i];
        if (name != key.name && name != key.other_name) continue;
        uint64_t n = 0;
        if (!parse_u64(value, &n) || n < key.min || n > key.max) {
            return error(Code::bad_option, "option ", shown, ": ", name, ": found ", Quoted{value},
                         ", allowed a whole number from ", key.min, " to ", key.max);
        }
        if (given[i]) {
            return error(Code::bad_option, "option ", shown, ": ", name, ": found ", Quoted{value},
                         " after another value, allowed each key once");
        }
        given[i] = true;
        plan->*key.member = uint32_t(n);
        return {};
    }
    return error(Code::bad_option, "option ", shown, ": found ", Quoted{pair}, ", allowed ",
                 kAllowedKeys);
}

}  // namespace

Status parse_bench(std::string_view shown, std::string_view value, BenchPlan* plan) {
    BenchPlan parsed;
    parsed.wanted = true;
    parsed.n_threads = kThreadsNotGiven;
    bool given[kNKeys] = {};
    for (std::string_view rest = value, pair; !(pair = next_pair(&rest)).empty();) {
        if (Status s = set_key(shown, pair, given, &parsed); !s.ok()) return s;
    }
    if (parsed.n_prompt == 0 && parsed.n_gen == 0) {
        return error(Code::bad_option, "option ", shown,
                     ": found pp=0 and tg=0, allowed at least one test");
    }
    *plan = parsed;
    return {};
}

}  // namespace axiom
