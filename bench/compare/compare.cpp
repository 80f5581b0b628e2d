// SPDX-License-Identifier: MIT
#include "bench/compare/compare.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

namespace axiom::compare {
namespace {

bool belong_together(const Run& a, const Run& b) {
    return a.model == b.model && a.test == b.test && a.n_threads == b.n_threads &&
           a.cache == b.cache && a.machine == b.machine;
}

std::vector<Group> groups_of(const Side& side) {
    std::vector<Group> groups;
    for (const Run& run : side.runs) {
        const auto mine = std::find_if(groups.begin(), groups.end(), [&](const Group& group) {
            return belong_together(group.first(), run);
        });
        if (mine == groups.end()) {
            groups.push_back({&side, {&run}});
        } else {
            mine->runs.push_back(&run);
        }
    }
    return groups;
}

std::string both(const std::string& what, const std::string& a, const std::string& b) {
    return what + " (" + (a.empty() ? "unknown" : a) + " and " + (b.empty() ? "unknown" : b) + ")";
}

// Why these two do not do the same work in the same place; empty: they do.
std::vector<std::string> differences(const Run& a, const Run& b) {
    std::vector<std::string> out;
    if (!a.model.same_as(b.model)) {
        const bool named_alike = a.model.name() == b.model.name();
        out.push_back(named_alike ? both("weights", a.model.checksum, b.model.checksum)
                                  : both("weights", a.model.name(), b.model.name()));
    }
    if (a.test != b.test) out.push_back(both("test sizes", a.test.name(), b.test.name()));
    if (a.n_threads != b.n_threads)
        out.push_back(both("threads", std::to_string(a.n_threads), std::to_string(b.n_threads)));
    if (a.cache != b.cache) out.push_back(both("types of keys and values", a.cache, b.cache));
    if (a.machine != b.machine) out.push_back(both("machine", a.machine, b.machine));
    return out;
}

std::set<std::string> hashes(const Group& group) {
    std::set<std::string> out;
    for (const Run* run : group.runs) {
        if (!run->logits_hash.empty()) out.insert(run->logits_hash);
    }
    return out;
}

std::string list(const std::set<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : " ") + word;
    return out;
}

// Tests in the order in which people read them.
auto order(const Run& run) {
    const Test& t = run.test;
    return std::make_tuple(run.model.name(), t.kind, t.n_sequences, t.n_depth, t.n_prompt, t.n_gen,
                           run.n_threads, run.cache, run.machine);
}

class Comparer {
  public:
    Comparer(const std::vector<Side>& sides, const Side& baseline, const Rules& rules)
        : sides_(sides), rules_(rules), base_(groups_of(baseline)) {
        result_.baseline = &baseline;
        result_.confidence = rules.confidence;
        std::stable_sort(base_.begin(), base_.end(), [](const Group& a, const Group& b) {
            return order(a.first()) < order(b.first());
        });
    }

    Comparison run() {
        rows_.resize(base_.size());
        for (size_t i = 0; i < base_.size(); i++) {
            rows_[i].push_back({base_[i], {}});
            one_hash(base_[i]);
        }
        for (const Side& side : sides_) {
            if (&side != result_.baseline) add(side);
        }
        for (std::vector<Row>& rows : rows_)
            std::move(rows.begin(), rows.end(), std::back_inserter(result_.rows));
        std::move(alone_.begin(), alone_.end(), std::back_inserter(result_.rows));
        return std::move(result_);
    }

  private:
    void add(const Side& side) {
        std::vector<bool> base_taken(base_.size());
        std::vector<Group> left;
        for (Group& group : groups_of(side)) {
            one_hash(group);
            const size_t i = nearest(group, base_taken, 0);
            if (i == base_.size()) {
                left.push_back(std::move(group));
            } else {
                base_taken[i] = true;
                add_pair(i, std::move(group), {});
            }
        }
        // What is left and differs in one thing alone was perhaps meant to be compared.
        for (Group& group : left) {
            const size_t i = nearest(group, base_taken, 1);
            if (i == base_.size()) {
                alone_.push_back({std::move(group), {}});
                continue;
            }
            base_taken[i] = true;
            std::vector<std::string> why = differences(base_[i].first(), group.first());
            add_pair(i, std::move(group), std::move(why));
        }
    }

    // The first base group, not taken, of the same kind of test with so many differences.
    size_t nearest(const Group& group, const std::vector<bool>& taken, size_t n_differences) const {
        for (size_t i = 0; i < base_.size(); i++) {
            const Run& base = base_[i].first();
            if (!taken[i] && base.test.kind == group.first().test.kind &&
                differences(base, group.first()).size() == n_differences)
                return i;
        }
        return base_.size();
    }

    void add_pair(size_t i, Group group, std::vector<std::string> unfair) {
        Pair pair;
        pair.base = base_[i];
        pair.other = std::move(group);
        pair.unfair = std::move(unfair);
        check_hashes(&pair);
        if (pair.base.runs.size() * pair.other.runs.size() > kMostPairs) {
            pair.unfair.push_back(both("numbers of runs, which are too large",
                                       std::to_string(pair.base.runs.size()),
                                       std::to_string(pair.other.runs.size())));
            alone_.push_back({pair.other, {}});
            result_.refused.push_back(std::move(pair));
            return;
        }
        if (!pair.unfair.empty() && !rules_.force) {
            alone_.push_back({pair.other, {}});
            result_.refused.push_back(std::move(pair));
            return;
        }
        static_cast<Difference&>(pair) =
            difference(pair.base.speeds(), pair.other.speeds(), rules_.confidence);
        Group shown = pair.other;
        rows_[i].push_back({std::move(shown), std::move(pair)});
    }

    // The same work has to give the same logits, whatever computed them.
    void one_hash(const Group& group) {
        const std::set<std::string> found = hashes(group);
        if (found.size() > 1)
            result_.loud.push_back(group.side->name + ", " + group.first().model.name() + ", " +
                                   group.first().test.name() +
                                   ": runs of one test have other logits: " + list(found));
    }
    void check_hashes(Pair* pair) {
        if (!pair->unfair.empty()) return;
        const std::set<std::string> a = hashes(pair->base), b = hashes(pair->other);
        if (a.empty() || b.empty() || a == b) return;
        pair->unfair.push_back(both("logits hash", list(a), list(b)));
        result_.loud.push_back(
            pair->base.side->name + " and " + pair->other.side->name + ", " +
            pair->base.first().model.name() + ", " + pair->base.first().test.name() +
            ": the same weights and test have other logits: " + list(a) + " and " + list(b));
    }

    static constexpr size_t kMostPairs =
        4'000'000;  // of one run each, all of whose ratios are sorted
    const std::vector<Side>& sides_;
    const Rules& rules_;
    std::vector<Group> base_;
    std::vector<std::vector<Row>> rows_;  // of each base group
    std::vector<Row> alone_;              // that no base group is for
    Comparison result_;
};

}  // namespace

Values Group::speeds() const {
    Values out;
    for (const Run* run : runs) out.push_back(run->ts);
    return out;
}

Comparison compare(const std::vector<Side>& sides, const Side& baseline, const Rules& rules) {
    return Comparer(sides, baseline, rules).run();
}

std::vector<const Pair*> slower_than(const Comparison& comparison, double least) {
    std::vector<const Pair*> out;
    for (const Row& row : comparison.rows) {
        if (row.pair && row.pair->differs && row.pair->ratio < least) out.push_back(&*row.pair);
    }
    return out;
}

}  // namespace axiom::compare
