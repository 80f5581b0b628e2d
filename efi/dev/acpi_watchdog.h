// SPDX-License-Identifier: MIT
// The hardware watchdog that ACPI's WDAT describes (Hardware Watchdog Timers Design Specification 1.0, section
// 2): left running, it resets a machine on which no driver feeds it. What the table says is hostile.
// Must not know: how the table is found, or registers are reached.
#pragma once

#include <cstdint>
#include <span>

#include "efi/dev/acpi_power.h"

namespace axiom::efi {

// What of a WDAT stops its timer: one entry.
struct WatchdogStop {
    Register where;  // none: the table has no such action, or no timer is on
    bool keeps_rest = false;
    uint32_t value = 0, mask = 0;
};
// A whole table with the right checksum.
WatchdogStop read_wdat(std::span<const uint8_t> table);
// True once the register reads as it should.
bool stop_watchdog(const WatchdogStop& stop, RegisterAccess& registers);

}  // namespace axiom::efi
