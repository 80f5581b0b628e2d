// SPDX-License-Identifier: MIT
#include "efi/cpu/calibrate.h"

#include "core/clock.h"
#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr size_t kWindows = 5;
constexpr uint32_t kWindowsPerSecond = 50;
// A clock that has not moved for this long is not one (at most 10 s at the lowest plausible rate).
constexpr uint64_t kPatienceTicks = 1000000000;

uint32_t read_pm(const Register& timer) {
    return timer.io ? in32(uint16_t(timer.address)) : mmio_read<uint32_t>(timer.address);
}

// The timer's value just after it moved, and the TSC then. False when it does not move.
bool read_pm_edge(const Register& timer, uint32_t* value, uint64_t* ticks) {
    const uint64_t begin = ticks_now();
    const uint32_t first = read_pm(timer);
    do {
        *value = read_pm(timer);
        *ticks = ticks_now();
        if (*ticks - begin > kPatienceTicks) return false;
    } while (*value == first);
    return true;
}

uint64_t pm_window(const AcpiFacts& acpi) {
    uint32_t from = 0, to = 0;
    uint64_t from_ticks = 0, to_ticks = 0;
    if (!read_pm_edge(acpi.pm_timer, &from, &from_ticks)) return 0;
    do {
        if (!read_pm_edge(acpi.pm_timer, &to, &to_ticks)) return 0;
        // A register that flickers moves all the time and gets nowhere.
        if (to_ticks - from_ticks > kPatienceTicks) return 0;
    } while (counter_delta(from, to, acpi.pm_timer_32bit) < kPmTimerHz / kWindowsPerSecond);
    return rate_of(to_ticks - from_ticks, counter_delta(from, to, acpi.pm_timer_32bit), kPmTimerHz);
}

// Channel 2 in mode 0 raises its output after `count` clocks; port 0x61 holds gate and output.
uint64_t pit_window() {
    constexpr uint16_t kControl = 0x43, kChannel2 = 0x42, kGatePort = 0x61;
    constexpr uint8_t kOutput = 0x20;
    constexpr uint32_t count = kPitHz / kWindowsPerSecond;
    const uint8_t saved = in8(kGatePort);
    out8(kGatePort, uint8_t((saved & ~0x02) | 0x01));  // gate on, speaker off
    out8(kControl, 0xb0);                              // channel 2, both bytes, mode 0
    out8(kChannel2, uint8_t(count & 0xff));
    out8(kChannel2, uint8_t(count >> 8));
    const uint64_t begin = ticks_now();
    bool moved = true;
    while ((in8(kGatePort) & kOutput) == 0) {
        if (ticks_now() - begin > kPatienceTicks) {
            moved = false;
            break;
        }
    }
    const uint64_t now = ticks_now();
    out8(kGatePort, saved);
    return moved ? rate_of(now - begin, count, kPitHz) : 0;
}

}  // namespace

Result<TscRate> calibrate_tsc(const AcpiFacts& acpi) {
    uint64_t rates[kWindows];
    if (acpi.pm_timer.address != 0) {
        size_t n = 0;
        while (n < kWindows && (rates[n] = pm_window(acpi)) != 0) n++;
        if (n == kWindows) {
            Result<TscRate> rate = judge_rates(rates, "ACPI PM timer");
            if (rate.ok()) return rate;
        }
    }
    for (uint64_t& rate : rates) rate = pit_window();
    return judge_rates(rates, "PIT");
}

}  // namespace axiom::efi
