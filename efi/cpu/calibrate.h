// SPDX-License-Identifier: MIT
// Measures the time-stamp counter against a second clock of the machine (law 8).
#pragma once

#include "efi/cpu/rate.h"
#include "efi/dev/acpi.h"

namespace axiom::efi {

// The firmware's way of waiting, the last resort.
struct Stall {
    void (*wait)(void* context, uint32_t us) = nullptr;
    void* context = nullptr;
};

// Five windows of 20 ms against the first of these that counts: the ACPI PM timer, the HPET, the PIT's channel
// 2, the firmware's Stall; then as choose_rate(). Never refuses. Interrupts must be masked, and registers in
// memory mapped.
TscRate calibrate_tsc(const AcpiFacts& acpi, const Stall& stall);

}  // namespace axiom::efi
