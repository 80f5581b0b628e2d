// SPDX-License-Identifier: MIT
// A function's PCI configuration space, in memory or by the two ports (PCI Local Bus 3.0, section
// 3.2.2.3.2, for segment 0), and whether an IOMMU translates what it reads and writes.
// Must not know: what kind of device it is.
#pragma once

#include <cstdint>
#include <span>

#include "core/status.h"
#include "efi/dev/acpi_pci.h"
#include "efi/dev/device.h"

namespace axiom::efi {

class PciFunction {
  public:
    PciFunction() = default;
    // `config_page`: where it is in memory, mapped by then; 0: ports are used.
    PciFunction(const PciAddress& where, uint64_t config_page)
        : where_(where), config_page_(config_page) {}

    const PciAddress& where() const { return where_; }
    RegisterRange config_registers() const;
    // Memory decoding on, interrupts off, bus mastering as asked.
    void set_command(bool bus_master);

  private:
    uint32_t read(uint32_t offset) const;
    void write(uint32_t offset, uint32_t value) const;

    PciAddress where_;
    uint64_t config_page_ = 0;
};

// Whether the last of these functions, on the path from the root to a disk, is an NVMe controller that its
// own driver would find: class codes of three bytes (PCI Code and ID Assignment Specification 1.11). What
// is in the way, else nothing.
Text<128> why_not_nvme(std::span<const uint32_t> classes);

// unsupported, by name, if a unit is in force: a table alone is on nearly every PC, and firmware that
// used one mostly turns it off at the exit. Their registers are mapped.
Status check_iommus(const PciFacts& facts);

}  // namespace axiom::efi
