// SPDX-License-Identifier: MIT
// --noise: what it sees of a disturbance that was put there, and its records.
#include "model/run/noise.h"

#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "bench/host_counters.h"
#include "test/unit/machine.h"

using namespace axiom;
using namespace axiom::test;
using nlohmann::json;

namespace {

double seconds_of(clockid_t clock) {
    timespec t;
    REQUIRE(clock_gettime(clock, &t) == 0);
    return double(t.tv_sec) + double(t.tv_nsec) * 1e-9;
}

uint64_t tsc_hz() {
    const double begin = seconds_of(CLOCK_MONOTONIC_RAW);
    const uint64_t ticks = ticks_now();
    double now;
    while ((now = seconds_of(CLOCK_MONOTONIC_RAW)) < begin + 0.02) {
    }
    return uint64_t(double(ticks_now() - ticks) / (now - begin));
}

// This thread on one core, with a machine of it.
struct PinnedMachine {
    cpu_set_t before;
    int core = sched_getcpu();
    TestMachine m{noise_memory(1)};
    host::HostCounters counters;

    PinnedMachine() {
        REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(size_t(core), &one);
        REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
        m.machine.clock.ticks_per_second = tsc_hz();
        m.machine.counters = &counters;
    }
    ~PinnedMachine() { sched_setaffinity(0, sizeof before, &before); }

    CoreNoise measure(float seconds, NoiseFacts* facts) {
        Options options;
        options.quiet = true;
        options.noise_seconds = seconds;
        const Result<std::span<const CoreNoise>> cores = measure_noise(m.machine, options, facts);
        REQUIRE(cores.ok());
        REQUIRE(cores.value().size() == 1);
        return cores.value()[0];
    }
};

// Busy on this core until it is destroyed.
class SecondProcess {
  public:
    SecondProcess() : id_(fork()) {
        REQUIRE(id_ >= 0);
        while (id_ == 0) asm volatile("");
        REQUIRE(clock_getcpuclockid(id_, &clock_) == 0);
    }
    ~SecondProcess() {
        kill(id_, SIGKILL);
        waitpid(id_, nullptr, 0);
    }
    double seconds_run() const { return seconds_of(clock_); }

  private:
    pid_t id_;
    clockid_t clock_;
};

json record_of(const NoiseFacts& facts, const CoreNoise& core) {
    std::string line;
    print_json(
        facts, core, [](void* to, std::string_view t) { *static_cast<std::string*>(to) += t; },
        &line);
    REQUIRE(line.back() == '\n');
    return json::parse(line);
}

uint64_t sum_of(const json& counts) {
    uint64_t sum = 0;
    for (const json& n : counts) sum += n.get<uint64_t>();
    return sum;
}

}  // namespace

TEST_CASE("the noise loop sees a second process on the core") {
    PinnedMachine pinned;
    NoiseFacts facts;
    SecondProcess second;
    const double before = second.seconds_run();
    const CoreNoise core = pinned.measure(1, &facts);
    const double stolen_ns = (second.seconds_run() - before) * 1e9;
    // While the second process ran on this core the loop did not: its time is in gaps, or in quanta that took
    // longer than the fastest. Of the time between slices, which nobody looks at, there is little.
    const double quanta_ns = core.quanta.sum_ns() - double(core.quanta.n()) * core.least_quantum_ns;
    const double seen_ns = core.gaps.sum_ns() + quanta_ns;
    CAPTURE(stolen_ns, core.gaps.sum_ns(), quanta_ns);
    CHECK(stolen_ns > 0);
    CHECK(seen_ns > 0.5 * stolen_ns);
    CHECK(core.counters.value(Counter::involuntary_switches) > 0);
    CHECK(core.core == uint32_t(pinned.core));
}

TEST_CASE("a noise record has its counts, and tails only where there are samples enough") {
    PinnedMachine pinned;
    NoiseFacts facts;
    facts.backend = "linux";
    const CoreNoise core = pinned.measure(0.2f, &facts);
    const json j = record_of(facts, core);
    CHECK(j["axiom"] == 1);
    CHECK(j["kind"] == "noise");
    CHECK(j["status"] == "ok");
    CHECK(j["threshold_ns"] >= 200);
    CHECK(j["duration_ns"] >= 0.1e9);
    CHECK(j["n_fwq"] > 0);
    CHECK(sum_of(j["fwq_histogram"]["counts"]) == j["n_fwq"]);
    CHECK(j["fwq_min_ns"] <= j["fwq_max_ns"]);
    CHECK(j["n_nmi"].is_null());  // not Linux's to say
    CHECK(j["n_minor_faults"].is_number());

    CoreNoise few;
    for (int i = 0; i < 458; i++) few.gaps.add(1000);
    CHECK(record_of(facts, few)["gap_p90_ns"] == 1000);
    CHECK(record_of(facts, few)["gap_p99_ns"].is_null());
    few.gaps.add(1000);
    CHECK(record_of(facts, few)["gap_p99_ns"] == 1000);
    CHECK(record_of(facts, few)["gap_p999_ns"].is_null());
    CHECK(record_of(facts, few)["gap_histogram"]["counts"] == json::array({459}));
    CHECK(record_of(facts, few)["fwq_histogram"].is_null());
    CHECK(record_of(facts, few)["smi_count"].is_null());
}

TEST_CASE("--noise ends between two slices when it is interrupted, and says so") {
    PinnedMachine pinned;
    pinned.m.stop_at = 2;
    NoiseFacts facts;
    const CoreNoise core = pinned.measure(3600, &facts);
    CHECK(facts.outcome.code() == Code::interrupted);
    CHECK(record_of(facts, core)["status"] == "interrupted");
    CHECK(core.gaps_duration_ns > 0);
    CHECK(core.quanta.n() == 0);
}

TEST_CASE("counters that one of two readings lacks have no difference") {
    Counters before, after;
    before.set(Counter::nmi, 5);
    after.set(Counter::nmi, 8);
    after.set(Counter::smi, 9);
    const Counters delta = after.since(before);
    CHECK(delta.value(Counter::nmi) == 3);
    CHECK(delta.has(Counter::nmi));
    CHECK_FALSE(delta.has(Counter::smi));
}
