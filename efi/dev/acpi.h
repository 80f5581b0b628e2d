// SPDX-License-Identifier: MIT
// The few ACPI facts AXIOM uses, read from tables that firmware wrote (ACPI 6.5, section 5.2).
// Lengths, addresses and checksums are hostile: a bad table is left out, never followed.
// Must not know: what the facts are used for, or how registers are mapped.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/fmt.h"
#include "efi/dev/acpi_numa.h"
#include "efi/dev/acpi_pci.h"
#include "efi/dev/acpi_power.h"
#include "efi/dev/acpi_watchdog.h"
#include "efi/dev/device.h"
#include "efi/memory/memory_map.h"

namespace axiom::efi {

// Processors of the MADT that firmware has enabled, in its order, each APIC id once.
struct CpuList {
    static constexpr uint32_t kMaxListed = 1024;
    uint32_t n_found = 0;                // those beyond kMaxListed are counted as they come
    uint32_t n_offline = 0;              // could be brought online, which is not ours to do
    uint32_t apic_ids[kMaxListed] = {};  // of the first min(n_found, kMaxListed)

    std::span<const uint32_t> listed() const {
        return {apic_ids, n_found < kMaxListed ? n_found : kMaxListed};
    }
};

struct AcpiFacts {
    bool found = false;  // an RSDP with a valid checksum and a readable root table
    Register pm_timer;   // 3.579545 MHz counter
    bool pm_timer_32bit = false;
    Register hpet;  // the first of its registers (HPET 1.0a, section 3.2.4)
    Register reset;
    uint8_t reset_value = 0;
    PowerOff power_off;
    Register uart;              // SPCR: a 16550-compatible console
    uint32_t uart_baud = 0;     // 0 = leave as firmware set it; always so for one in memory
    bool uart_is_dbg2 = false;  // it is the DBG2's, where there is no SPCR
    WatchdogStop watchdog;      // WDAT: what stops it, where one is on
    uint16_t pm1_events = 0;    // the FADT's port of PM1a events; 0: none
    bool no_8042 = false;       // the FADT says that there is no PS/2 keyboard controller
    // A device on I2C is a keyboard, a touchpad or the like, which is not driven; what it is of these, only
    // the firmware's program could say (HID over I2C Protocol Specification 1.0, section 4).
    bool has_i2c_input = false;
    CpuList cpus;  // empty without a MADT
    PciFacts pci;
    NumaFacts numa;      // without nodes where there is no SRAT
    Text<192> note{""};  // the first thing that was wrong, for people; empty if nothing was
};

// `rsdp_address` 0: no ACPI. Never fails: what cannot be read is missing from the facts.
AcpiFacts read_acpi(const PhysicalView& memory, uint64_t rsdp_address);

// Removes the registers in memory that cannot be ones, and notes it: in the first page, within
// kRegisterBytes of the end of mappable addresses, or over RAM of the map.
void drop_impossible_registers(std::span<const MemoryRegion> regions, AcpiFacts* facts);

}  // namespace axiom::efi
