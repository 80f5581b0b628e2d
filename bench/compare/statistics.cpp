// SPDX-License-Identifier: MIT
#include "bench/compare/statistics.h"

#include <algorithm>
#include <cmath>

namespace axiom::compare {
namespace {

constexpr size_t kMostExact = 8;            // of the smaller sample, as scipy's method="auto"
constexpr size_t kMostExactPairs = 10'000;  // more take long, and the approximation is as good

Values sorted(Values values) {
    std::sort(values.begin(), values.end());
    return values;
}

// P(U = u) without ties, u = 0 .. n1 n2. Orders of the first i and j values with u pairs reversed:
// the last one is of the first sample and reverses j pairs, or it is of the second.
Values u_distribution(size_t n1, size_t n2) {
    const size_t few = std::min(n1, n2), many = std::max(n1, n2), n_pairs = few * many;
    std::vector<Values> ways(few + 1, Values(n_pairs + 1, 0.0));
    for (size_t j = 0; j <= many; j++) {
        if (j == 0) {
            for (Values& of : ways) of[0] = 1;
            continue;
        }
        for (size_t i = 1; i <= few; i++) {
            for (size_t u = i * j; u >= j; u--) ways[i][u] += ways[i - 1][u - j];
        }
    }
    Values& p = ways[few];
    double total = 0;
    for (const double n : p) total += n;
    for (double& n : p) n /= total;
    return p;
}

// P(Z > z) of the normal distribution.
double upper_tail(double z) {
    return 0.5 * std::erfc(z / std::sqrt(2.0));
}

// Two-sided p of a U for samples of n1 and n2 values.
class UDistribution {
  public:
    // `ties`: the sum of t^3 - t over the groups of t equal values.
    UDistribution(size_t n1, size_t n2, double ties)
        : exact_(std::min(n1, n2) <= kMostExact && n1 * n2 <= kMostExactPairs && ties == 0),
          n_pairs_(double(n1) * double(n2)) {
        if (exact_) {
            at_least_ = u_distribution(n1, n2);
            for (size_t u = at_least_.size() - 1; u-- > 0;) at_least_[u] += at_least_[u + 1];
        }
        const double n = double(n1 + n2);
        deviation_ = std::sqrt(n_pairs_ / 12 * (n + 1 - ties / (n * (n - 1))));
    }
    bool exact() const { return exact_; }
    double p(double u) const {
        const double larger = std::max(u, n_pairs_ - u);
        double one_sided;
        if (exact_) {
            one_sided = at_least_[size_t(larger)];
        } else {
            if (deviation_ == 0) return 1;  // all values are equal
            one_sided = upper_tail((larger - n_pairs_ / 2 - 0.5) / deviation_);
        }
        return std::min(1.0, 2 * one_sided);
    }

  private:
    bool exact_;
    double n_pairs_, deviation_;
    Values at_least_;  // P(U >= u)
};

double quantile_in_order(const Values& in_order, double q) {
    const double at = q * double(in_order.size() - 1);
    const size_t below = size_t(at);
    if (below + 1 >= in_order.size()) return in_order.back();
    return in_order[below] + (in_order[below + 1] - in_order[below]) * (at - double(below));
}

// In order.
Values ratios(const Values& x, const Values& y) {
    Values all;
    all.reserve(x.size() * y.size());
    for (const double a : x) {
        for (const double b : y) all.push_back(b / a);
    }
    return sorted(std::move(all));
}

// P(K = k) of n trials with probability q, k = 0 .. n.
double binomial(size_t n, size_t k, double q) {
    if (q == 0 || q == 1) return (k == (q == 0 ? 0 : n)) ? 1 : 0;
    const double a = double(n), b = double(k);
    return std::exp(std::lgamma(a + 1) - std::lgamma(b + 1) - std::lgamma(a - b + 1) +
                    b * std::log(q) + (a - b) * std::log1p(-q));
}

}  // namespace

double quantile(const Values& values, double q) {
    return quantile_in_order(sorted(values), q);
}

UTest mann_whitney(const Values& x, const Values& y) {
    Values all = x;
    all.insert(all.end(), y.begin(), y.end());
    all = sorted(std::move(all));
    double ties = 0, rank_sum = 0;  // of x, ties sharing the mean of their ranks
    const Values first = sorted(x);
    for (size_t i = 0, of_x = 0; i < all.size();) {
        size_t end = i;
        while (end < all.size() && all[end] == all[i]) end++;
        const double t = double(end - i);
        ties += t * t * t - t;
        for (; of_x < first.size() && first[of_x] == all[i]; of_x++)
            rank_sum += double(i + 1 + end) / 2;
        i = end;
    }
    UTest test;
    test.u = rank_sum - double(x.size()) * double(x.size() + 1) / 2;
    const UDistribution distribution(x.size(), y.size(), ties);
    test.exact = distribution.exact();
    test.p = distribution.p(test.u);
    return test;
}

Difference difference(const Values& x, const Values& y, double confidence) {
    const Values all = ratios(x, y);
    Difference out;
    out.ratio = quantile_in_order(all, 0.5);
    const UDistribution distribution(x.size(), y.size(), 0);
    // With r between the k-th and the next ratio, k pairs are reversed.
    size_t n_cut = 0;
    while (n_cut <= all.size() / 2 && rejects(distribution.p(double(n_cut)), confidence)) n_cut++;
    if (n_cut != 0) out.interval = {all[n_cut - 1], all[all.size() - n_cut]};
    out.test = mann_whitney(x, y);
    out.differs = rejects(out.test.p, confidence) && !out.interval.contains(1);
    out.too_few = n_cut == 0;
    return out;
}

Interval quantile_interval(const Values& values, double q, double confidence) {
    const Values in_order = sorted(values);
    const size_t n = in_order.size();
    const double tail = (1 - confidence) / 2;
    Interval interval;
    // The least k with P(K <= k) >= tail, and the least with P(K > k) <= tail.
    double at_most = 0;
    for (size_t k = 0; k <= n; k++) {
        at_most += binomial(n, k, q);
        if (at_most >= tail) {
            if (k > 0) interval.low = in_order[k - 1];
            break;
        }
    }
    double above = 0;
    size_t k = n;
    while (k > 0 && above + binomial(n, k, q) <= tail) above += binomial(n, k--, q);
    if (k < n) interval.high = in_order[k];
    return interval;
}

size_t fewest_values(double confidence) {
    size_t n = 1;
    while (n < kMostExact && !rejects(UDistribution(n, n, 0).p(0), confidence)) n++;
    return n;
}

}  // namespace axiom::compare
