// SPDX-License-Identifier: MIT
#include "efi/cpu/tune.h"

#include <cpuid.h>

#include <algorithm>

#include "efi/cpu/crash.h"
#include "efi/cpu/guarded_msr.h"
#include "efi/cpu/wait.h"
#include "efi/platform/machine_check.h"

namespace axiom::efi {
namespace {

// A window to measure in, and the time a clock takes to rise.
constexpr uint64_t kWindowUs = 5000, kRiseUs = 10000, kWindowAfterUs = 10000;

FrequencyWords read_frequency_words() {
    FrequencyWords words;
    uint32_t a, b, c, d;
    if (__get_cpuid(0, &a, &b, &c, &d) != 0) words.vendor_ebx = b;
    if (__get_cpuid(1, &a, &b, &c, &d) != 0) words.leaf1_ecx = c;
    if (__get_cpuid(6, &a, &b, &c, &d) != 0) words.leaf6_eax = a, words.leaf6_ecx = c;
    if (__get_cpuid(0x80000007, &a, &b, &c, &d) != 0) words.extended7_edx = d;
    if (__get_cpuid(0x80000008, &a, &b, &c, &d) != 0) words.extended8_ebx = b;
    return words;
}

struct Core {
    FrequencyMethod method = FrequencyMethod::none;
    double before = 0, after = 0;
};

double measure(const FrequencyWords& words, MsrAccess& msrs, const Clock& clock, uint64_t us) {
    CycleCounts from, to;
    if (!read_cycles(words, msrs, &from)) return 0;
    wait_us(clock, us);
    return read_cycles(words, msrs, &to) ? speed_between(from, to) : 0;
}

// All cores do the same at the same time, so that each is measured with the others busy.
Core tune_this_core(const Worker& worker, const Clock& clock) {
    const FrequencyWords words = read_frequency_words();
    GuardedMsrs msrs;
    MachineChecks(has_machine_checks(), msrs).enable();
    Core core;
    worker.barrier();
    core.before = measure(words, msrs, clock, kWindowUs);
    worker.barrier();
    core.method = raise_frequency(words, msrs);
    if (core.before > 0 && core.method != FrequencyMethod::none) wait_us(clock, kRiseUs);
    worker.barrier();
    core.after = measure(words, msrs, clock, kWindowAfterUs);
    return core;
}

}  // namespace

bool has_machine_checks() {
    uint32_t a, b, c, d;
    __cpuid(1, a, b, c, d);
    return (d >> 7 & 1) != 0 && (d >> 14 & 1) != 0;
}

CoreTuning tune_cores(Team& team, const Clock& clock) {
    struct Job {
        const Clock& clock;
        Core cores[Team::kMaxWorkers];
    } job{clock, {}};
    team.run(
        [](const Worker& worker, void* context) {
            Job& j = *static_cast<Job*>(context);
            j.cores[worker.rank] = tune_this_core(worker, j.clock);
        },
        &job);
    CoreTuning tuning;
    tuning.method = job.cores[0].method;
    double before = 0, after = 0;
    bool all_measured = true;
    tuning.slowest = job.cores[0].after;
    for (size_t i = 0; i < team.size(); i++) {
        const Core& core = job.cores[i];
        tuning.n_raised += core.method == tuning.method && core.method != FrequencyMethod::none;
        all_measured &= core.before > 0 && core.after > 0;
        before += core.before, after += core.after;
        tuning.slowest = std::min(tuning.slowest, core.after);
    }
    tuning.before = all_measured ? before / double(team.size()) : 0;
    tuning.after = all_measured ? after / double(team.size()) : 0;
    if (!all_measured) tuning.slowest = 0;
    GuardedMsrs msrs;
    tuning.microcode = microcode_revision(read_frequency_words(), msrs, [] {
        uint32_t a, b, c, d;
        __cpuid(1, a, b, c, d);
        asm volatile("" ::"r"(a), "r"(b), "r"(c), "r"(d));
    });
    return tuning;
}

void say_tuning(const CoreTuning& tuning, size_t n_workers) {
    if (tuning.method == FrequencyMethod::none && tuning.after == 0) return;
    const Text<64> speeds("of nominal ", Fixed{tuning.before, 2}, " before, ",
                          Fixed{tuning.after, 2}, " after, slowest core ",
                          Fixed{tuning.slowest, 2});
    const bool is_raised = tuning.method != FrequencyMethod::none;
    say("frequency ", is_raised ? name_of(tuning.method) : "as firmware left it",
        tuning.after > 0 ? ", " : "", tuning.after > 0 ? speeds.view() : "");
    if (is_raised && tuning.n_raised != n_workers) {
        say("note      ", n_workers - tuning.n_raised,
            " cores did not take the request for their highest frequency");
    }
}

}  // namespace axiom::efi
