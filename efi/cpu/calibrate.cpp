// SPDX-License-Identifier: MIT
#include "efi/cpu/calibrate.h"

#include <cpuid.h>

#include "core/clock.h"
#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr size_t kWindows = 5;
constexpr uint32_t kWindowsPerSecond = 50;
// A clock that has not moved for this long is not one (at most 10 s at the lowest plausible rate).
constexpr uint64_t kPatienceTicks = 1000000000;

// An up-counter to measure against.
struct UpCounter {
    Register where;
    uint32_t hz = 0;
    bool is_32bit = false;
};

uint32_t read_counter(const Register& where) {
    return where.io ? in32(uint16_t(where.address)) : mmio_read<uint32_t>(where.address);
}

// The counter's value just after it moved, and the TSC then. False when it does not move.
bool read_edge(const Register& where, uint32_t* value, uint64_t* ticks) {
    const uint64_t begin = ticks_now();
    const uint32_t first = read_counter(where);
    do {
        *value = read_counter(where);
        *ticks = ticks_now();
        if (*ticks - begin > kPatienceTicks) return false;
    } while (*value == first);
    return true;
}

uint64_t counter_window(const UpCounter& counter) {
    uint32_t from = 0, to = 0;
    uint64_t from_ticks = 0, to_ticks = 0;
    if (!read_edge(counter.where, &from, &from_ticks)) return 0;
    do {
        if (!read_edge(counter.where, &to, &to_ticks)) return 0;
        // A register that flickers moves all the time and gets nowhere.
        if (to_ticks - from_ticks > kPatienceTicks) return 0;
    } while (counter_delta(from, to, counter.is_32bit) < counter.hz / kWindowsPerSecond);
    return rate_of(to_ticks - from_ticks, counter_delta(from, to, counter.is_32bit), counter.hz);
}

// While it lives the HPET counts, as firmware may not have let it (HPET 1.0a, section 2.3).
class RunningHpet {
  public:
    explicit RunningHpet(const Register& hpet) : base_(hpet.address) {
        if (base_ == 0 || hpet.io) return;
        counter_ = {
            {base_ + kCounter, false, 32, 4}, hpet_hz(mmio_read<uint32_t>(base_ + kPeriod)), true};
        if (counter_.hz == 0) return;
        config_ = mmio_read<uint32_t>(base_ + kConfig);
        mmio_write<uint32_t>(base_ + kConfig, config_ | kEnabled);
    }
    ~RunningHpet() {
        if (counter_.hz != 0) mmio_write<uint32_t>(base_ + kConfig, config_);
    }
    RunningHpet(const RunningHpet&) = delete;
    RunningHpet& operator=(const RunningHpet&) = delete;

    const UpCounter& counter() const { return counter_; }  // 0 Hz: there is none

  private:
    static constexpr uint64_t kPeriod = 0x04, kConfig = 0x10, kCounter = 0xf0;
    static constexpr uint32_t kEnabled = 1;

    uint64_t base_;
    UpCounter counter_;
    uint32_t config_ = 0;
};

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

uint64_t stall_window(const Stall& stall) {
    constexpr uint32_t kUs = 1000000 / kWindowsPerSecond;
    const uint64_t begin = ticks_now();
    stall.wait(stall.context, kUs);
    return rate_of(ticks_now() - begin, kUs, 1000000);
}

// io when a window fails or the result is implausible.
template <class Window>
Result<TscRate> measure(const char* reference, const Window& window) {
    uint64_t rates[kWindows];
    for (uint64_t& rate : rates) {
        rate = window();
        if (rate == 0) return error(Code::io, reference, ": does not count");
    }
    return judge_rates(rates, reference);
}

Result<TscRate> measure_by_any(const AcpiFacts& acpi, const Stall& stall) {
    Result<TscRate> rate = error(Code::io, "no clock");
    if (acpi.pm_timer.address != 0) {
        const UpCounter pm{acpi.pm_timer, kPmTimerHz, acpi.pm_timer_32bit};
        rate = measure("ACPI PM timer", [&] { return counter_window(pm); });
    }
    if (!rate.ok()) {
        const RunningHpet hpet(acpi.hpet);
        if (hpet.counter().hz != 0)
            rate = measure("HPET", [&] { return counter_window(hpet.counter()); });
    }
    if (!rate.ok()) rate = measure("PIT", pit_window);
    if (!rate.ok()) rate = measure("firmware's Stall", [&] { return stall_window(stall); });
    return rate;
}

TscWords read_tsc_words() {
    TscWords words;
    uint32_t a, b, c, d;
    if (__get_cpuid(0x15, &a, &b, &c, &d) != 0)
        words.leaf15_eax = a, words.leaf15_ebx = b, words.leaf15_ecx = c;
    if (__get_cpuid(0x16, &a, &b, &c, &d) != 0) words.leaf16_eax = a & 0xffff;
    return words;
}

}  // namespace

TscRate calibrate_tsc(const AcpiFacts& acpi, const Stall& stall) {
    return choose_rate(read_tsc_words(), measure_by_any(acpi, stall));
}

}  // namespace axiom::efi
