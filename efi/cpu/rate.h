// SPDX-License-Identifier: MIT
// From counter readings to a TSC rate one may believe: differences across wrap-around, the median
// of several windows, and what is plausible.
// Must not know: where the readings come from.
#pragma once

#include <cstdint>
#include <span>

#include "core/status.h"

namespace axiom::efi {

inline constexpr uint32_t kPmTimerHz = 3579545;  // ACPI 6.5, section 4.8.3.3
inline constexpr uint32_t kPitHz = 1193182;      // Intel 8254
inline constexpr uint64_t kMinTscHz = 100000000;
inline constexpr uint64_t kMaxTscHz = 10000000000;
inline constexpr double kMaxSpread = 0.01;  // (largest - smallest) / median over the windows

// Ticks from `from` to `to` of an up-counter that wraps at 24 or 32 bits, less than once apart.
constexpr uint32_t counter_delta(uint32_t from, uint32_t to, bool is_32bit) {
    return is_32bit ? to - from : (to - from) & 0xffffff;
}

// One window: `tsc_ticks` passed while a reference of `reference_hz` made `reference_ticks`.
constexpr uint64_t rate_of(uint64_t tsc_ticks, uint32_t reference_ticks, uint32_t reference_hz) {
    return reference_ticks == 0
               ? 0
               : uint64_t((unsigned __int128)(tsc_ticks)*reference_hz / reference_ticks);
}

struct TscRate {
    uint64_t hz = 0;
    double spread = 0;           // see kMaxSpread
    const char* reference = "";  // "CPUID 0x15", "ACPI PM timer", "HPET", "PIT", "firmware's Stall"
    bool is_measured = true;     // false: by CPUID alone, or a guess
};

// What CPUID says of the TSC; 0 where a leaf does not exist.
struct TscWords {
    uint32_t leaf15_eax = 0, leaf15_ebx = 0,
             leaf15_ecx = 0;  // ratio's denominator, numerator, crystal in Hz
    uint32_t leaf16_eax = 0;  // base frequency, MHz
};
// By the crystal (Intel SDM vol. 3B, section 18.7.3); 0 where the leaf leaves the crystal out. Leaf 0x16 is no
// substitute: whole MHz of what the marking says, off by up to half a percent.
uint64_t crystal_hz(const TscWords& words);
// HPET 1.0a, section 2.3.4: the period is in femtoseconds, at most 100 ns. 0: impossible.
uint32_t hpet_hz(uint32_t period_fs);

// The median of the windows' rates (sorted in place); an error outside kMinTscHz..kMaxTscHz.
// A spread above kMaxSpread is not an error (a virtual machine may be descheduled): the caller says
// it.
Result<TscRate> judge_rates(std::span<uint64_t> rates_hz, const char* reference);

// The crystal's rate where it is within kMaxSpread of a measured one (a hypervisor may show another machine's
// leaf), else the measured one. Without one, what CPUID says unmeasured; and if that is nothing, 1 GHz, so that
// the machine starts and only its times are wrong.
TscRate choose_rate(const TscWords& words, const Result<TscRate>& measured);

}  // namespace axiom::efi
