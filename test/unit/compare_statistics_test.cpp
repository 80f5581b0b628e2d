// SPDX-License-Identifier: MIT
// axiom-compare's statistics against scipy's and numpy's (test/golden/compare/README.md).
#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/compare/statistics.h"
#include "test/unit/catch.h"
#include "test/unit/read_file.h"

using namespace axiom::compare;
using nlohmann::json;

namespace {

json golden() {
    return json::parse(read_file("test/golden/compare/statistics.json"));
}

// To 1e-9, relative where values are large.
bool agree(double found, const json& expected) {
    const double e = expected.get<double>();
    return std::abs(found - e) <= 1e-9 * std::max(1.0, std::abs(e));
}
bool agree(const std::optional<double>& found, const json& expected) {
    return expected.is_null() ? !found.has_value() : found.has_value() && agree(*found, expected);
}

}  // namespace

TEST_CASE("the U test, the ratio and its interval are those of scipy") {
    const json file = golden();
    const double confidence = file["confidence"];
    size_t n_intervals = 0, n_exact = 0, n_tied = 0;
    for (const json& c : file["cases"]) {
        INFO(c["name"]);
        const Values x = c["x"], y = c["y"];
        const UTest test = mann_whitney(x, y);
        CHECK(agree(test.u, c["u"]));
        CHECK(agree(test.p, c["p"]));
        CHECK(test.exact == c["exact"].get<bool>());
        const Difference found = difference(x, y, confidence);
        CHECK(agree(found.ratio, c["ratio"]));
        (test.exact ? n_exact : n_tied)++;
        if (!c.contains("ratio_interval")) continue;
        n_intervals++;
        CHECK(agree(found.interval.low, c["ratio_interval"][0]));
        CHECK(agree(found.interval.high, c["ratio_interval"][1]));
    }
    CHECK((n_intervals > 5 && n_exact > 5 && n_tied > 3));
}

TEST_CASE("quantiles are numpy's, their intervals those of scipy's quantile_test") {
    const json file = golden();
    for (const json& c : file["cases"]) {
        const Values y = c["y"];
        for (const json& entry : c["quantiles"]) {
            const double q = entry["q"];
            INFO(c["name"] << ", " << q);
            CHECK(agree(quantile(y, q), entry["value"]));
            if (!entry.contains("interval")) continue;
            const Interval interval = quantile_interval(y, q, file["confidence"]);
            CHECK(agree(interval.low, entry["interval"][0]));
            CHECK(agree(interval.high, entry["interval"][1]));
        }
    }
}

TEST_CASE("the order of values and the side they are on do not matter to a U test") {
    const Values x = {3, 1, 2, 5}, y = {9, 4, 8, 7, 6};
    const UTest a = mann_whitney(x, y), b = mann_whitney(y, x), c = mann_whitney({1, 2, 3, 5}, y);
    CHECK(a.p == b.p);
    CHECK(a.u + b.u == 20);
    CHECK((a.u == c.u && a.p == c.p));
    const Interval there = difference(x, y, 0.9).interval, back = difference(y, x, 0.9).interval;
    CHECK(*there.low == Approx(1 / *back.high));
    CHECK(*there.high == Approx(1 / *back.low));
}

TEST_CASE("an interval excludes 1 where the exact test rejects, and only there") {
    // All ways to share eight different speeds among two sides of four.
    for (unsigned set = 0; set < 256; set++) {
        Values x, y;
        for (unsigned i = 0; i < 8; i++) (set >> i & 1 ? x : y).push_back(10 + i * 1.01);
        if (x.size() != 4) continue;
        for (const double confidence : {0.8, 0.9, 0.95, 0.99}) {
            INFO(set << " at " << confidence);
            const Difference found = difference(x, y, confidence);
            CHECK(found.interval.contains(1) == !rejects(found.test.p, confidence));
        }
    }
}

TEST_CASE("four runs of each side are the fewest that can show a difference at 95 percent") {
    CHECK(fewest_values(0.95) == 4);
    CHECK(fewest_values(0.90) == 3);
    CHECK(fewest_values(0.99) == 5);
    CHECK(mann_whitney({1, 2, 3}, {4, 5, 6}).p == Approx(0.1));
    CHECK_FALSE(difference({1, 2, 3}, {4, 5, 6}, 0.95).interval.low.has_value());
    CHECK(mann_whitney({1, 2, 3, 4}, {5, 6, 7, 8}).p < 0.05);
}
