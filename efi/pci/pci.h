// SPDX-License-Identifier: MIT
// A function's PCI configuration space, in memory or by the two ports (PCI Local Bus 3.0, section
// 3.2.2.3.2, for segment 0), and whether an IOMMU translates what it reads and writes.
// Must not know: what kind of device it is.
#pragma once

#include <cstdint>
#include <string_view>

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
    // A word of it; the offset is a multiple of 4.
    uint32_t read(uint32_t offset) const;
    void write(uint32_t offset, uint32_t value) const;

  private:
    PciAddress where_;
    uint64_t config_page_ = 0;
};

// unsupported, by name, if a unit is in force: a table alone is on nearly every PC, and firmware that
// used one mostly turns it off at the exit. Their registers are mapped. `way_out`: what else can be done,
// for the message.
Status check_iommus(const PciFacts& facts, std::string_view way_out);

}  // namespace axiom::efi
