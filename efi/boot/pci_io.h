// SPDX-License-Identifier: MIT
// PCI functions as the firmware has them (UEFI 2.10, section 14.4).
// Must not know: what they are.
#pragma once

#include <efi.h>
#include <efipciio.h>

#include <cstdint>

#include "efi/dev/acpi_pci.h"

namespace axiom::efi {

// A word of its configuration space, all ones where it cannot be read.
uint32_t pci_config(EFI_PCI_IO_PROTOCOL* function, uint32_t offset);
// Three bytes: class, subclass, programming interface (PCI 3.0, section 6.2.1).
uint32_t pci_class(EFI_PCI_IO_PROTOCOL* function);
// False: it has none that can be said.
bool pci_address(EFI_PCI_IO_PROTOCOL* function, PciAddress* out);

// BAR0, of 64 bits or of 32 (PCI 3.0, section 6.2.5.1).
struct PciRegisters {
    uint64_t address = 0;
    bool usable = false;  // in memory, where it can be mapped
};
PciRegisters pci_registers(EFI_PCI_IO_PROTOCOL* function);

}  // namespace axiom::efi
