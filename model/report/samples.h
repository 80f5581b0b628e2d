// SPDX-License-Identifier: MIT
// What llama-bench calls a test, and its samples. Names shared with it keep its meaning: samples_ns are
// repetitions of the test, avg_* and stddev_* (n-1) are over them. The test is that of --bench; of other
// runs decode, one sample a token, or the one prefill when nothing was decoded. "avg_of" says which.
// Private to record.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/mathf.h"
#include "model/report/record.h"

namespace axiom {

struct Samples {
    std::string_view of;
    std::span<const uint64_t> samples_ns;
    double prefill_ns = 0;    // used when nothing was decoded
    double n_tokens = 1;      // of one sample
    bool of_one_run = false;  // samples are parts of one run, not repetitions

    explicit Samples(const Record& r) {
        if (!r.test.empty()) {
            of = "test";
            samples_ns = r.test_samples_ns;
            n_tokens = r.n_test_tokens;
        } else if (!r.decode_samples_ns.empty()) {
            of = "decode";
            samples_ns = r.decode_samples_ns;
            of_one_run = true;
        } else if (r.prefill_ns > 0) {
            of = "prefill";
            prefill_ns = r.prefill_ns;
            n_tokens = r.n_prompt;
        }
    }
    size_t size() const { return samples_ns.empty() ? size_t(prefill_ns > 0) : samples_ns.size(); }
    double ns(size_t i) const { return samples_ns.empty() ? prefill_ns : double(samples_ns[i]); }
    double ts(size_t i) const { return ns(i) > 0 ? n_tokens * 1e9 / ns(i) : 0; }
    double value(size_t i, bool per_second) const { return per_second ? ts(i) : ns(i); }

    double mean(bool per_second) const {
        double sum = 0;
        for (size_t i = 0; i < size(); i++) sum += value(i, per_second);
        return size() ? sum / double(size()) : 0;
    }
    // Repetitions: the mean of their speeds, as llama-bench has it. A run took what all of its tokens
    // took: where passes read unequal numbers of them, the mean of their speeds would be far above that.
    double speed() const {
        if (!of_one_run) return mean(true);
        const double mean_ns = mean(false);
        return mean_ns > 0 ? n_tokens * 1e9 / mean_ns : 0;
    }
    double deviation(bool per_second) const {
        if (size() < 2) return 0;
        const double m = mean(per_second);
        double sum = 0;
        for (size_t i = 0; i < size(); i++) {
            const double d = value(i, per_second) - m;
            sum += d * d;
        }
        return double(sqrt_f32(float(sum / double(size() - 1))));
    }
};

}  // namespace axiom
