// SPDX-License-Identifier: MIT
#include "bench/compare/details.h"

#include <algorithm>
#include <cmath>

namespace axiom::compare {
namespace {

constexpr size_t kMostBins = 4096;

double time_of(const Json& object, const std::string& name) {
    const double v = number_of(object, name.c_str());
    return v >= 0 && std::isfinite(v) ? v : kUnknown;
}

Histogram histogram_of(const Json& object, const std::string& name) {
    Histogram out;
    const Json* found = object_of(object, name.c_str());
    if (found == nullptr) return out;
    out.from_ns = number_of(*found, "from_ns");
    out.per_doubling = number_of(*found, "per_doubling");
    const Json& counts = array_of(*found, "counts");
    out.counts = numbers_of(*found, "counts");
    const bool whole =
        out.from_ns > 0 && std::isfinite(out.from_ns) && out.per_doubling >= 1 &&
        out.per_doubling <= 1024 && out.counts.size() == counts.size() &&
        out.counts.size() <= kMostBins &&
        std::none_of(out.counts.begin(), out.counts.end(), [](double n) { return n < 0; });
    if (!whole || !(out.n() > 0)) return {};
    return out;
}

Times times_of(const Json& object, const std::string& name) {
    Times out;
    out.n = time_of(object, name + "_n");
    for (size_t i = 0; i < kQuantiles.size(); i++)
        out.quantiles[i] = time_of(object, name + kQuantiles[i].suffix);
    out.histogram = histogram_of(object, name + "_histogram");
    return out;
}

// "boot_phases", or what older records of the image say of the same.
std::vector<Phase> boot_of(const Json& record) {
    std::vector<Phase> out;
    for (const Json& phase : array_of(record, "boot_phases")) {
        const double ns = time_of(phase, "ns");
        if (!std::isnan(ns)) out.push_back({text_of(phase, "name"), ns});
    }
    if (!out.empty()) return out;
    const double entry = time_of(record, "phase_entry_ns"), exit = time_of(record, "phase_exit_ns"),
                 first = time_of(record, "phase_first_token_ns");
    if (!(entry >= 0 && exit >= 0 && first >= exit)) return out;
    return {{"firmware", entry}, {"until exit", exit}, {"to the first token", first - exit}};
}

// One text, or the words of a command line.
std::string command_of(const Json& record) {
    std::string out = text_of(record, "command");
    for (const Json& word : array_of(record, "command")) {
        if (word.is_string()) out += (out.empty() ? "" : " ") + word.get<std::string>();
    }
    return out;
}

}  // namespace

double Histogram::lower_ns(size_t bin) const {
    return from_ns * std::exp2(double(bin) / per_doubling);
}

double Histogram::n() const {
    double sum = 0;
    for (const double count : counts) sum += count;
    return sum;
}

bool Times::has_quantiles() const {
    return std::any_of(quantiles.begin(), quantiles.end(), [](double v) { return !std::isnan(v); });
}

Details details_of(const Json& record) {
    Details out;
    out.token = times_of(record, "token");
    out.layer = times_of(record, "layer");
    out.boundary = times_of(record, "boundary");
    // Of a run that answered, samples are the tokens themselves.
    if (text_of(record, "avg_of") == "decode") out.token.raw = numbers_of(record, "samples_ns");
    out.boot = boot_of(record);
    for (const Json& layer : array_of(record, "layers")) {
        out.compute_ns.push_back(time_of(layer, "compute_ns"));
        out.stall_ns.push_back(time_of(layer, "stall_ns"));
    }
    out.gb_per_s = time_of(record, "gb_per_s");
    if (std::isnan(out.gb_per_s)) out.gb_per_s = time_of(record, "decode_gb_per_s");
    out.command = command_of(record);
    out.test_time = text_of(record, "test_time");
    out.kernel_set = text_of(record, "kernel_set");
    out.n_disturb_ticks = time_of(record, "n_disturb_ticks");
    return out;
}

Noise noise_of(const Json& record) {
    Noise out;
    out.core = count_of(record, "core");
    out.threshold_ns = time_of(record, "threshold_ns");
    out.duration_ns = time_of(record, "duration_ns");
    out.n_gaps = time_of(record, "n_gaps");
    out.gap_ns = time_of(record, "gap_ns");
    out.gap = times_of(record, "gap");
    out.gap.n = out.n_gaps;
    out.quantum = times_of(record, "fwq");
    out.quantum.n = time_of(record, "n_fwq");
    for (const char* name :
         {"fwq_work", "smi_count", "aperf", "mperf", "n_voluntary_switches",
          "n_involuntary_switches", "n_minor_faults", "n_major_faults", "steal_ns"}) {
        const double v = time_of(record, name);
        if (!std::isnan(v)) out.counters.push_back({name, v});
    }
    return out;
}

bool pass_of(const Json& line, Pass* out) {
    out->stage = text_of(line, "stage");
    out->n_rows = count_of(line, "rows");
    out->ns = time_of(line, "ns");
    out->layers.clear();
    for (const Json& layer : array_of(line, "layers")) {
        std::array<double, 4> stages;
        if (!layer.is_array() || layer.size() != stages.size()) return false;
        for (size_t i = 0; i < stages.size(); i++) {
            stages[i] = layer[i].is_number() ? layer[i].get<double>() : -1;
            if (!(stages[i] >= 0) || !std::isfinite(stages[i])) return false;
        }
        out->layers.push_back(stages);
    }
    return !out->stage.empty() && !std::isnan(out->ns) && !out->layers.empty();
}

}  // namespace axiom::compare
