// SPDX-License-Identifier: MIT
#include "efi/boot/pci_io.h"

#include "efi/memory/addresses.h"

namespace axiom::efi {

uint32_t pci_config(EFI_PCI_IO_PROTOCOL* function, uint32_t offset) {
    uint32_t value = 0xffffffff;
    function->Pci.Read(function, EfiPciIoWidthUint32, offset, 1, &value);
    return value;
}

uint32_t pci_class(EFI_PCI_IO_PROTOCOL* function) {
    return pci_config(function, 8) >> 8;
}

bool pci_address(EFI_PCI_IO_PROTOCOL* function, PciAddress* out) {
    UINTN segment = 0, bus = 0, device = 0, number = 0;
    if (EFI_ERROR(function->GetLocation(function, &segment, &bus, &device, &number))) return false;
    *out = {uint16_t(segment), uint8_t(bus), uint8_t(device), uint8_t(number)};
    return true;
}

PciRegisters pci_registers(EFI_PCI_IO_PROTOCOL* function) {
    constexpr uint32_t kBar0 = 0x10, kIsPort = 1, kIs64Bits = 4, kFlags = 0xf;
    const uint32_t low = pci_config(function, kBar0);
    PciRegisters out{.address = low & ~kFlags};
    if ((low & kIs64Bits) != 0) out.address |= uint64_t{pci_config(function, kBar0 + 4)} << 32;
    out.usable =
        (low & kIsPort) == 0 && out.address >= kPageBytes && out.address < kMappableEnd / 2;
    return out;
}

}  // namespace axiom::efi
