// SPDX-License-Identifier: MIT
// The TCO, the watchdog of Intel's chipsets: left running, it resets a machine on which no driver feeds it (ICH9
// datasheet, sections 13.9 and 10.1.20; 100 Series PCH datasheet vol. 2, section 19.1.15).
// Must not know: how registers and configuration space are reached.
#pragma once

#include <cstdint>

#include "efi/dev/acpi_power.h"
#include "efi/platform/bus_masters.h"

namespace axiom::efi {

enum class Tco : uint8_t { none, halted, stopped, runs_on };
// The TCO timer of the chipset at 00:1f. `pm1_events`: the FADT's port of PM1a events, which must be where
// an older chipset says that its power management is: else it is another kind of chip, and left alone.
Tco stop_tco(PciConfig& config, uint16_t pm1_events, RegisterAccess& registers);

}  // namespace axiom::efi
