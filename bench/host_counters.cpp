// SPDX-License-Identifier: MIT
#include "bench/host_counters.h"

#include <cpuid.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

namespace axiom::host {
namespace {

constexpr uint32_t kSmiCount = 0x34, kMperf = 0xe7, kAperf = 0xe8;  // Intel SDM vol. 4

bool has_aperf() {
    uint32_t a, b, c, d;
    return __get_cpuid(6, &a, &b, &c, &d) != 0 && (c & 1) != 0;
}
bool is_intel() {
    uint32_t a, b, c, d;
    return __get_cpuid(0, &a, &b, &c, &d) != 0 && b == signature_INTEL_ebx;
}

// The MSR files are root's, and a virtual machine may have none of the registers.
void read_msrs(unsigned core, Counters* counters) {
    if (!has_aperf() && !is_intel()) return;
    char path[32];
    snprintf(path, sizeof path, "/dev/cpu/%u/msr", core);
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    const auto read_one = [&](Counter counter, uint32_t msr) {
        uint64_t value;
        if (pread(file, &value, sizeof value, msr) == sizeof value) counters->set(counter, value);
    };
    if (is_intel()) read_one(Counter::smi, kSmiCount);
    if (has_aperf()) {
        read_one(Counter::aperf, kAperf);
        read_one(Counter::mperf, kMperf);
    }
    close(file);
}

// The eighth figure of the core's line in /proc/stat (proc(5)), in ticks of a hundredth of a second.
void read_steal(unsigned core, Counters* counters) {
    FILE* const file = fopen("/proc/stat", "re");
    if (file == nullptr) return;
    char line[256];
    while (fgets(line, sizeof line, file) != nullptr) {
        unsigned number;
        unsigned long long steal;
        if (sscanf(line, "cpu%u %*u %*u %*u %*u %*u %*u %*u %llu", &number, &steal) != 2 ||
            number != core)
            continue;
        counters->set(Counter::steal_ns, steal * (1000000000u / uint64_t(sysconf(_SC_CLK_TCK))));
    }
    fclose(file);
}

}  // namespace

HostCounters::~HostCounters() {
    if (cache_misses_ >= 0) close(cache_misses_);
}

void HostCounters::open() {
    perf_event_attr what;
    memset(&what, 0, sizeof what);
    what.type = PERF_TYPE_HARDWARE;
    what.size = sizeof what;
    what.config = PERF_COUNT_HW_CACHE_MISSES;
    what.inherit = 1;
    what.exclude_kernel = what.exclude_hv = 1;
    cache_misses_ = int(syscall(SYS_perf_event_open, &what, 0, -1, -1, PERF_FLAG_FD_CLOEXEC));
}

Counters HostCounters::of_this_core() {
    Counters counters;
    rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) == 0) {
        counters.set(Counter::voluntary_switches, uint64_t(usage.ru_nvcsw));
        counters.set(Counter::involuntary_switches, uint64_t(usage.ru_nivcsw));
        counters.set(Counter::minor_faults, uint64_t(usage.ru_minflt));
        counters.set(Counter::major_faults, uint64_t(usage.ru_majflt));
    }
    const unsigned core = number_of_this_core();
    read_steal(core, &counters);
    read_msrs(core, &counters);
    return counters;
}

uint32_t HostCounters::number_of_this_core() {
    const int core = sched_getcpu();
    return core < 0 ? 0 : uint32_t(core);
}

Counters HostCounters::of_all_cores() {
    Counters counters;
    uint64_t value;
    if (cache_misses_ >= 0 && read(cache_misses_, &value, sizeof value) == sizeof value)
        counters.set(Counter::cache_misses, value);
    return counters;
}

}  // namespace axiom::host
