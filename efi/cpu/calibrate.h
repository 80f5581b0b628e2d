// SPDX-License-Identifier: MIT
// Measures the time-stamp counter against a second clock of the machine (law 8).
#pragma once

#include "efi/cpu/rate.h"
#include "efi/dev/acpi.h"

namespace axiom::efi {

// Five windows of 20 ms against the ACPI PM timer, or the PIT's channel 2 where there is no usable
// PM timer. Interrupts must be masked. io when neither clock counts or the result is implausible.
Result<TscRate> calibrate_tsc(const AcpiFacts& acpi);

}  // namespace axiom::efi
