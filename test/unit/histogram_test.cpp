// SPDX-License-Identifier: MIT
#include "core/histogram.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom;

TEST_CASE("a histogram's bins are where its description says, also at their edges") {
    for (const double ns :
         {1.0, 1.04, 1.0442737824274138, 1.5, 2.0, 1000.0, 1023.9, 1024.0, 123456789.0}) {
        LogHistogram h;
        h.add(ns);
        CAPTURE(ns);
        REQUIRE(h.counts().size() == 1);
        CHECK(h.counts()[0] == 1);
        CHECK(h.from_ns() <= ns);
        // One unit in the last place: the edges are rounded, the formula is not.
        CHECK(ns <
              h.from_ns() * std::exp2(1.0 / double(LogHistogram::per_doubling())) * (1 + 1e-15));
    }
}

TEST_CASE("a histogram trims empty bins at both ends and keeps those between") {
    LogHistogram h;
    CHECK(h.counts().empty());
    h.add(16);
    h.add(64);
    h.add(65);
    REQUIRE(h.counts().size() == 33);
    CHECK(h.from_ns() == 16);
    CHECK(h.counts()[0] == 1);
    CHECK(h.counts()[1] == 0);
    CHECK(h.counts()[32] == 2);
    CHECK(h.n() == 3);
    CHECK(h.sum_ns() == 145);
    CHECK(h.max_ns() == 65);
}

TEST_CASE("a histogram takes times that are out of its range") {
    LogHistogram h;
    h.add(0);
    h.add(0.25);
    h.add(1e18);
    CHECK(h.n() == 3);
    CHECK(h.counts().size() == LogHistogram::kNBins);
    CHECK(h.quantile(0.5) <= 1.05);
    CHECK(h.max_ns() == 1e18);
}

TEST_CASE("a histogram's quantiles are those of the samples, at most one bin above") {
    LogHistogram h;
    std::vector<double> all;
    uint64_t state = 1;
    for (size_t i = 0; i < 5000; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        const double ns = 50 + double(state >> 44);
        all.push_back(ns);
        h.add(ns);
    }
    std::sort(all.begin(), all.end());
    const double bin = std::exp2(1.0 / double(LogHistogram::per_doubling())) * (1 + 1e-15);
    for (const double p : {0.5, 0.9, 0.99, 0.999, 1.0}) {
        const double exact = all[size_t(std::ceil(p * 5000)) - 1];
        CAPTURE(p);
        CHECK(h.quantile(p) >= exact);
        CHECK(h.quantile(p) <= exact * bin);
    }
    CHECK(h.quantile(1) == all.back());
}

TEST_CASE("bins of every width begin where the formula says") {
    FineLogHistogram fine;
    for (size_t i = 0; i < FineLogHistogram::kPerDoubling; i++) {
        const double edge = std::exp2(double(i) / double(FineLogHistogram::kPerDoubling));
        FineLogHistogram h;
        h.add(1024 * edge * (1 + 1e-12));
        CAPTURE(i);
        CHECK(h.from_ns() == Approx(1024 * edge).epsilon(1e-14));
        fine.add(edge * (1 + 1e-12));
    }
    CHECK(fine.counts().size() == FineLogHistogram::kPerDoubling);
}

TEST_CASE("a quantile takes as many samples as MLPerf's early stopping asks for") {
    CHECK(least_samples(0.5) == 7);
    CHECK(least_samples(0.9) == 44);
    CHECK(least_samples(0.99) == 459);
    CHECK(least_samples(0.999) == 4603);
}
