// SPDX-License-Identifier: MIT
// The value of --bench: keys with a number or a list of numbers each.
#include "core/team.h"
#include "model/format/format.h"
#include "model/report/option_table.h"

namespace axiom {
namespace {

constexpr uint32_t kMaxRepetitions = 1000;
constexpr size_t kNKeys = 7;

struct Key {
    std::string_view name, other_name;
    BenchList BenchPlan::*list;  // either
    uint32_t BenchPlan::*number;
    uint32_t min, max;
};
constexpr Key kKeys[kNKeys] = {
    {"pp", "pp", &BenchPlan::n_prompt, nullptr, 0, format::kMaxCtx},
    {"tg", "tg", &BenchPlan::n_gen, nullptr, 0, format::kMaxCtx},
    {"reps", "reps", nullptr, &BenchPlan::n_reps, 1, kMaxRepetitions},
    {"warmup", "warmup", nullptr, &BenchPlan::n_warmup, 0, kMaxRepetitions},
    {"d", "depth", &BenchPlan::n_depth, nullptr, 0, format::kMaxCtx},
    {"npl", "npl", &BenchPlan::n_sequences, nullptr, 1, BenchPlan::kMaxSequences},
    {"threads", "threads", &BenchPlan::n_threads, nullptr, 0, Team::kMaxWorkers},
};
constexpr char kAllowedKeys[] =
    "pp, tg, reps, warmup, d (depth), npl and threads, as in pp=128,512 tg=32";

bool separates(char c) {
    return c == ' ' || c == ',' || c == '\t';
}

// Takes the next piece off the front; empty when there is none.
std::string_view next_piece(std::string_view* text) {
    while (!text->empty() && separates(text->front())) text->remove_prefix(1);
    size_t n = 0;
    while (n < text->size() && !separates((*text)[n])) n++;
    const std::string_view piece = text->substr(0, n);
    text->remove_prefix(n);
    return piece;
}

class Parser {
  public:
    explicit Parser(std::string_view shown) : shown_(shown) {
        plan.wanted = true;
        plan.n_threads = {};
    }

    Status take(std::string_view piece) {
        size_t n_name = 0;
        while (n_name < piece.size() && piece[n_name] != '=') n_name++;
        if (n_name == piece.size()) return key_ != nullptr ? add(piece) : unknown(piece);
        name_ = piece.substr(0, n_name);
        key_ = nullptr;
        for (const Key& key : kKeys)
            if (name_ == key.name || name_ == key.other_name) key_ = &key;
        if (key_ == nullptr) return unknown(piece);
        piece.remove_prefix(n_name + 1);
        bool& given = given_[key_ - kKeys];
        if (given) return wrong(piece, " after another value, allowed each key once");
        given = true;
        n_values_ = 0;
        return add(piece);
    }

    BenchPlan plan;

  private:
    Status unknown(std::string_view piece) const {
        return error(Code::bad_option, "option ", shown_, ": found ", Quoted{piece}, ", allowed ",
                     kAllowedKeys);
    }
    template <class... Parts>
    Status wrong(std::string_view value, const Parts&... parts) const {
        return error(Code::bad_option, "option ", shown_, ": ", name_, ": found ", Quoted{value},
                     parts...);
    }
    Status add(std::string_view value) {
        const Key& key = *key_;
        uint64_t n = 0;
        if (!parse_u64(value, &n) || n < key.min || n > key.max)
            return wrong(value, ", allowed a whole number from ", key.min, " to ", key.max);
        const size_t most = key.list != nullptr ? BenchList::kMax : 1;
        if (n_values_ == most)
            return wrong(value, " after ", most, most == 1 ? " value" : " values",
                         ", allowed no more");
        if (key.list == nullptr) {
            plan.*key.number = uint32_t(n);
        } else {
            BenchList& list = plan.*key.list;
            if (n_values_ == 0) list = {};
            list.values[list.n++] = uint32_t(n);
        }
        n_values_++;
        return {};
    }

    std::string_view shown_, name_;
    const Key* key_ = nullptr;  // the one begun last
    size_t n_values_ = 0;       // of it, so far
    bool given_[kNKeys] = {};
};

}  // namespace

Status parse_bench(std::string_view shown, std::string_view value, BenchPlan* plan) {
    Parser parser(shown);
    for (std::string_view rest = value, piece; !(piece = next_piece(&rest)).empty();) {
        if (Status s = parser.take(piece); !s.ok()) return s;
    }
    if (parser.plan.n_prompt.most() == 0 && parser.plan.n_gen.most() == 0) {
        return error(Code::bad_option, "option ", shown,
                     ": found pp=0 and tg=0, allowed at least one test");
    }
    *plan = parser.plan;
    return {};
}

}  // namespace axiom
