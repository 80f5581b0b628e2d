// SPDX-License-Identifier: MIT
// What a measurement says beside its speed: times with their tails, boot phases, costs of layers,
// noise. Whatever a record lacks is NaN or empty.
// Must not know: files, or what is compared.
#pragma once

#include <array>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "bench/compare/fields.h"
#include "bench/compare/statistics.h"

namespace axiom::compare {

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

// Bin i holds the times in [from_ns 2^(i / per_doubling), from_ns 2^((i + 1) / per_doubling)).
struct Histogram {
    double from_ns = 0, per_doubling = 1;
    Values counts;

    bool empty() const { return counts.empty(); }
    double lower_ns(size_t bin) const;
    double n() const;
};

// Quantiles that a record states, in this order.
struct Quantile {
    const char* name;    // "p99"
    const char* suffix;  // of the field
    double q;
};
constexpr std::array<Quantile, 5> kQuantiles = {{{"p50", "_p50_ns", 0.5},
                                                 {"p90", "_p90_ns", 0.9},
                                                 {"p99", "_p99_ns", 0.99},
                                                 {"p99.9", "_p999_ns", 0.999},
                                                 {"max", "_max_ns", 1}}};

// All times of one kind in one run, in ns.
struct Times {
    double n = kUnknown;
    std::array<double, kQuantiles.size()> quantiles;
    Histogram histogram;
    Values raw;  // each of them, where the record has them

    Times() { quantiles.fill(kUnknown); }
    bool has_distribution() const { return !histogram.empty() || !raw.empty(); }
    bool has_quantiles() const;
};

struct Phase {
    std::string name;
    double ns = 0;
};

struct Details {
    Times token, layer, boundary;
    std::vector<Phase> boot;      // one after another, from power-on or the program's start
    Values compute_ns, stall_ns;  // of each layer, means
    double gb_per_s = kUnknown;   // of weights read
    std::string command, test_time, kernel_set;
    double n_disturb_ticks = kUnknown;
};
Details details_of(const Json& record);

// How the operating system or the firmware disturbed one core that only looked at the clock.
struct Noise {
    std::string where;
    uint64_t core = 0;
    double threshold_ns = kUnknown, duration_ns = kUnknown, n_gaps = kUnknown, gap_ns = kUnknown;
    Times gap, quantum;           // a pause; a fixed amount of work
    std::vector<Phase> counters;  // "smi_count" and so on; not times
};
Noise noise_of(const Json& record);

// One pass over the layers.
struct Pass {
    std::string stage;  // "prefill" or "decode"
    uint64_t n_rows = 0;
    double ns = 0;
    std::vector<std::array<double, 4>> layers;  // ns of each of kLayerStages
};
constexpr std::array<const char*, 4> kLayerStages = {"attention", "feed-forward", "boundary",
                                                     "stall"};
// False: it is none, or a time is missing or negative.
bool pass_of(const Json& line, Pass* out);

}  // namespace axiom::compare
