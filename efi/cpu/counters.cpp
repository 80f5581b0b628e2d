// SPDX-License-Identifier: MIT
#include "efi/cpu/counters.h"

#include <cpuid.h>

#include "efi/cpu/crash.h"
#include "efi/cpu/msr.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kSmiCount = 0x34, kMperf = 0xe7, kAperf = 0xe8;  // Intel SDM vol. 4

void read(Counter counter, uint32_t msr, Counters* counters) {
    uint64_t value;
    if (axiom_probe_msr(msr, &value)) counters->set(counter, value);
}

}  // namespace

Counters CoreCounters::of_this_core() {
    Counters counters;
    counters.set(Counter::nmi, crash.cores.current().n_nmis);
    uint32_t a, b, c, d;
    // No CPUID bit tells of the count of SMIs; only Intel has it.
    if (__get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx)
        read(Counter::smi, kSmiCount, &counters);
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
    return counters;
}

}  // namespace axiom::efi
