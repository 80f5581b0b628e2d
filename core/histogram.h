// SPDX-License-Identifier: MIT
// A histogram of times in bins of equal ratio, in fixed memory, and how many samples a quantile takes.
// Must not know: what is timed.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace axiom {

// The least number of samples that support a statement about this quantile with 99 % confidence:
// were more than 1 - quantile of all times above some bound, so many samples below it would come
// with less than 1 %. 7, 44, 459 and 4603 for p50, p90, p99 and p99.9.
// Source: MLPerf Inference, early stopping, for no sample above the bound.
constexpr uint64_t least_samples(double quantile) {
    uint64_t n = 0;
    for (double chance = 1; chance > 0.01; chance *= quantile) n++;
    return n;
}

// Bin i holds values in [2^(i/K), 2^((i+1)/K)) ns. What is less than 1 ns is in the first bin, what is
// more than 18 minutes in the last.
template <size_t K>
class LogHistogramOf {
    static_assert(std::has_single_bit(K));

  public:
    static constexpr size_t kPerDoubling = K;
    static constexpr size_t kDoublings = 40;
    static constexpr size_t kNBins = kPerDoubling * kDoublings;

    // Not negative, not a NaN.
    void add(double ns) {
        counts_[bin_of(ns)]++;
        n_++;
        sum_ns_ += ns;
        largest_ns_ = std::max(largest_ns_, ns);
    }

    uint64_t n() const { return n_; }
    double sum_ns() const { return sum_ns_; }
    double max_ns() const { return largest_ns_; }
    // By nearest rank, 0 < p <= 1: the end of the bin in which that sample is, so never too small, or
    // the largest sample if that is less. 0 without samples.
    double quantile(double p) const {
        if (n_ == 0) return 0;
        uint64_t rank = uint64_t(p * double(n_));
        if (double(rank) < p * double(n_)) rank++;
        uint64_t n_before = 0;
        for (size_t i = 0; i < kNBins; i++) {
            n_before += counts_[i];
            if (n_before >= rank) return std::min(edge(i + 1), largest_ns_);
        }
        return largest_ns_;
    }

    // From the first bin that holds something to the last: where the first begins, and the counts.
    static constexpr size_t per_doubling() { return kPerDoubling; }
    double from_ns() const { return edge(first_bin()); }
    std::span<const uint64_t> counts() const {
        if (n_ == 0) return {};
        size_t end = kNBins;
        while (counts_[end - 1] == 0) end--;
        return std::span(counts_).subspan(first_bin(), end - first_bin());
    }

  private:
    // Newton's method, from above.
    static constexpr double root_of(double x) {
        double root = x;
        for (double next; (next = (root + x / root) / 2) < root;) root = next;
        return root;
    }
    // 2^(i/K), i = 0..K-1: the roots of 2 that the bits of i stand for.
    static constexpr std::array<double, kPerDoubling> kSteps = [] {
        std::array<double, kPerDoubling> steps{};
        for (double& step : steps) step = 1;
        double root = 2;
        for (size_t bit = kPerDoubling / 2; bit != 0; bit /= 2) {
            root = root_of(root);
            for (size_t i = 0; i < kPerDoubling; i++)
                if ((i & bit) != 0) steps[i] *= root;
        }
        return steps;
    }();

    static constexpr double edge(size_t i) {
        return double(uint64_t{1} << i / kPerDoubling) * kSteps[i % kPerDoubling];
    }
    static constexpr size_t bin_of(double ns) {
        if (!(ns >= 1)) return 0;
        const auto bits = std::bit_cast<uint64_t>(ns);
        const size_t doubling = size_t(bits >> 52) - 1023;
        if (doubling >= kDoublings) return kNBins - 1;
        const auto in_doubling = std::bit_cast<double>((bits << 12 >> 12) | uint64_t{1023} << 52);
        const auto above = std::upper_bound(kSteps.begin(), kSteps.end(), in_doubling);
        const size_t step = size_t(above - kSteps.begin()) - 1;
        return doubling * kPerDoubling + step;
    }
    size_t first_bin() const {
        size_t i = 0;
        while (i + 1 < kNBins && counts_[i] == 0) i++;
        return n_ != 0 ? i : 0;
    }

    std::array<uint64_t, kNBins> counts_{};
    uint64_t n_ = 0;
    double sum_ns_ = 0, largest_ns_ = 0;
};

using LogHistogram = LogHistogramOf<16>;      // bins are 4.4 % wide
using FineLogHistogram = LogHistogramOf<64>;  // 1.1 %

}  // namespace axiom
