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
    const char* reference = "";  // "ACPI PM timer", "PIT"
};

// The median of the windows' rates (sorted in place); an error outside kMinTscHz..kMaxTscHz.
// A spread above kMaxSpread is not an error (a virtual machine may be descheduled): the caller says
// it.
Result<TscRate> judge_rates(std::span<uint64_t> rates_hz, const char* reference);

}  // namespace axiom::efi
