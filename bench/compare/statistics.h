// SPDX-License-Identifier: MIT
// Order statistics, the Mann-Whitney U test and what follows from inverting it. The definitions are
// those of scipy 1.10 and numpy, against which test/golden/compare/statistics.json was made.
// Must not know: what the numbers are of.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace axiom::compare {

using Values = std::vector<double>;

// Linear interpolation between order statistics: numpy's default, type 7 of Hyndman and Fan 1996.
// `values` is not empty, 0 <= q <= 1.
double quantile(const Values& values, double q);
inline double median(const Values& values) {
    return quantile(values, 0.5);
}

struct UTest {
    double u = 0;  // pairs in which x is the larger, ties count one half
    double p = 1;  // two-sided
    bool exact = false;
};
// Mann and Whitney 1947. Exact where one sample has at most 8 values, none is tied, and there are at
// most 10,000 pairs; otherwise the normal approximation with corrections for ties and continuity. Both samples have values.
UTest mann_whitney(const Values& x, const Values& y);

// Whether p is small enough; p has rounding errors where it could be equal.
inline bool rejects(double p, double confidence) {
    return p <= 1 - confidence + 1e-12;
}

// No value: the samples are too few to bound that end.
struct Interval {
    std::optional<double> low, high;
    bool contains(double v) const { return (!low || *low <= v) && (!high || v <= *high); }
};

// What two samples say of their levels.
struct Difference {
    // How many times x's level is y's: the median of all ratios of a y to an x, which is Hodges and
    // Lehmann's estimate on the scale of logarithms.
    double ratio = 1;
    // The ratios r for which mann_whitney(r x, y) would not reject at 1 - confidence: its ends are two
    // of the ratios. The count of pairs is taken as without ties.
    Interval interval;
    UTest test;
    bool differs = false;  // shown: the test rejects, and the interval is on one side of 1
    bool too_few = false;  // no numbers could have shown anything
};
// All values are positive.
Difference difference(const Values& x, const Values& y, double confidence);

// Order statistics between which the q-quantile is: exact, by the binomial distribution (Conover,
// Practical Nonparametric Statistics, 3.2).
Interval quantile_interval(const Values& values, double q, double confidence);

// The fewest values in each of two samples of one size with which the test can reject at all.
size_t fewest_values(double confidence);

}  // namespace axiom::compare
