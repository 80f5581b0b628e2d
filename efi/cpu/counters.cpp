// SPDX-License-Identifier: MIT
#include "efi/cpu/counters.h"

#include <cpuid.h>

#include <atomic>

#include "efi/cpu/crash.h"
#include "efi/cpu/guarded_msr.h"
#include "efi/cpu/tune.h"
#include "efi/platform/machine_check.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kSmiCount = 0x34, kMperf = 0xe7, kAperf = 0xe8;  // Intel SDM vol. 4

void read(Counter counter, uint32_t msr, Counters* counters) {
    uint64_t value;
    if (axiom_probe_msr(msr, &value)) counters->set(counter, value);
}

// No CPUID bit tells of the count of SMIs; only Intel has it.
void read_smis(Counters* counters) {
    uint32_t a, b, c, d;
    if (__get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx)
        read(Counter::smi, kSmiCount, counters);
}

}  // namespace

Counters CoreCounters::of_this_core() {
    Counters counters;
    counters.set(Counter::nmi, crash.cores.current().n_nmis);
    read_smis(&counters);
    uint32_t a, b, c, d;
    if (__get_cpuid(6, &a, &b, &c, &d) != 0 && (c & 1) != 0) {
        read(Counter::aperf, kAperf, &counters);
        read(Counter::mperf, kMperf, &counters);
    }
    return counters;
}

uint32_t CoreCounters::number_of_this_core() {
    return crash.cores.current().number;
}

Counters CoreCounters::of_all_cores() {
    Counters counters;
    counters.set(Counter::nmi, crash.cores.n_foreign_nmis());
    read_smis(&counters);  // an SMI takes all cores
    if (!has_machine_checks()) return counters;
    std::atomic<uint64_t> n{0};
    team_.run(
        [](const Worker&, void* count) {
            GuardedMsrs msrs;
            static_cast<std::atomic<uint64_t>*>(count)->fetch_add(
                MachineChecks(true, msrs).take_corrected(), std::memory_order_relaxed);
        },
        &n);
    n_corrected_ += n;
    counters.set(Counter::corrected_errors, n_corrected_);
    return counters;
}

}  // namespace axiom::efi
