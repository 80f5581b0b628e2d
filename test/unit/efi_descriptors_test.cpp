// SPDX-License-Identifier: MIT
// Gates, task descriptors and TSC rates: encodings and arithmetic that no compiler checks.
#include "efi/cpu/descriptors.h"
#include "efi/cpu/rate.h"

#include <cstddef>
#include <string>

#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

TEST_CASE("an interrupt gate scatters its handler as the manual says") {
    const Gate gate = interrupt_gate(0x123456789abcdef0, 0x08, 3);
    CHECK(gate.low == 0x9abc8e030008def0);
    CHECK(gate.high == 0x12345678);
    CHECK(interrupt_gate(0x1000, 0x08, 0).low == 0x00008e0000081000);
    CHECK(interrupt_gate(~uint64_t{0}, 0xffff, 7).low == 0xffff8e07ffffffff);
    CHECK(interrupt_gate(~uint64_t{0}, 0xffff, 7).high == 0xffffffff);
}

TEST_CASE("a task descriptor holds base, limit and type") {
    const TaskDescriptor task = task_descriptor(0x123456789abcdef0);
    CHECK(task.low == 0x9a0089bcdef00067);
    CHECK(task.high == 0x12345678);
    CHECK(task_descriptor(~uint64_t{0}).low == 0xff0089ffffff0067);
    CHECK(task_descriptor(~uint64_t{0}).high == 0xffffffff);
}

TEST_CASE("the task state has its stacks where the CPU looks for them") {
    CHECK(offsetof(TaskState, rsp) == 4);
    CHECK(offsetof(TaskState, ist) == 36);
    CHECK(offsetof(TaskState, io_map_base) == 102);
}

TEST_CASE("exceptions have names") {
    CHECK(std::string(exception_name(14)) == "#PF page fault");
    CHECK(std::string(exception_name(8)) == "#DF double fault");
    CHECK(std::string(exception_name(15)) == "reserved");
    CHECK(std::string(exception_name(200)) == "reserved");
}

TEST_CASE("a counter's difference survives its wrap-around") {
    CHECK(counter_delta(0xfffff0, 0x000010, false) == 0x20);
    CHECK(counter_delta(0xfffffff0, 0x10, true) == 0x20);
    CHECK(counter_delta(5, 9, false) == 4);
    // A 24-bit timer may show anything in its upper byte.
    CHECK(counter_delta(0xab000005, 0x12000009, false) == 4);
}

TEST_CASE("a rate is ticks over the reference's time") {
    CHECK(rate_of(60000000, 71591, kPmTimerHz) == 2999995809);
    CHECK(rate_of(1, 0, kPmTimerHz) == 0);
    CHECK(rate_of(uint64_t{1} << 62, 1u << 31, kPmTimerHz) == (uint64_t{kPmTimerHz} << 31));
}

TEST_CASE("the median of the windows wins and the spread is told") {
    uint64_t rates[] = {3000000000, 2990000000, 9000000000, 3001000000, 2999000000};
    const Result<TscRate> rate = judge_rates(rates, "test clock");
    REQUIRE(rate.ok());
    CHECK(rate.value().hz == 3000000000);
    CHECK(rate.value().spread == Approx(6010.0 / 3000.0));
}

TEST_CASE("implausible rates are refused with what was found and what is allowed") {
    for (const uint64_t hz : {uint64_t{0}, uint64_t{99999999}, uint64_t{10000000001}}) {
        uint64_t rates[] = {hz};
        const Result<TscRate> rate = judge_rates(rates, "PIT");
        REQUIRE(!rate.ok());
        const std::string text(rate.status().text());
        CHECK(text.find("against the PIT") != std::string::npos);
        CHECK(text.find(std::to_string(hz)) != std::string::npos);
        CHECK(text.find("allowed 100000000..10000000000") != std::string::npos);
    }
}
