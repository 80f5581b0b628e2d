// SPDX-License-Identifier: MIT
#include "efi/pci/pci.h"

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr uint16_t kConfigAddress = 0xcf8, kConfigData = 0xcfc;
constexpr uint32_t kCommand = 0x04;
constexpr uint32_t kMemorySpace = 1 << 1, kBusMaster = 1 << 2, kInterruptsOff = 1 << 10;
constexpr uint32_t kStatusBits = 0xffff0000;  // that a written 1 clears

// PCI 3.0, section 3.2.2.3.2.
constexpr uint32_t port_address(const PciAddress& where, uint32_t offset) {
    return 1u << 31 | uint32_t{where.bus} << 16 | uint32_t{where.device} << 11 |
           uint32_t{where.function} << 8 | offset;
}

}  // namespace

RegisterRange PciFunction::config_registers() const {
    if (config_page_ == 0) return {};
    return {{config_page_, config_page_ + kPageBytes}, Cache::uncached};
}

uint32_t PciFunction::read(uint32_t offset) const {
    if (config_page_ != 0) return mmio_read<uint32_t>(config_page_ + offset);
    out32(kConfigAddress, port_address(where_, offset));
    return in32(kConfigData);
}

void PciFunction::write(uint32_t offset, uint32_t value) const {
    if (config_page_ != 0) return mmio_write<uint32_t>(config_page_ + offset, value);
    out32(kConfigAddress, port_address(where_, offset));
    out32(kConfigData, value);
}

void PciFunction::set_command(bool bus_master) {
    uint32_t command = read(kCommand) & ~(kStatusBits | kBusMaster);
    command |= kMemorySpace | kInterruptsOff | (bus_master ? kBusMaster : 0);
    write(kCommand, command);
    read(kCommand);  // it has arrived
}

Status check_iommus(const PciFacts& facts, std::string_view way_out) {
    for (const PciFacts::Iommu& unit : facts.all_iommus()) {
        // Intel VT-d 4.1: global status, TES. AMD I/O Virtualization 3.08: control, IommuEn.
        const bool in_force = unit.is_amd ? (mmio_read<uint32_t>(unit.registers + 0x18) & 1) != 0
                                          : mmio_read<uint32_t>(unit.registers + 0x1c) >> 31 != 0;
        if (!in_force) continue;
        return error(Code::unsupported, "IOMMU at ", Hex{unit.registers}, ": found in force (",
                     unit.is_amd ? "IommuEn" : "GSTS.TES",
                     " = 1), allowed off: turn off DMA protection (",
                     unit.is_amd ? "AMD IOMMU" : "VT-d", ") in the firmware's setup, or ", way_out);
    }
    return {};
}

}  // namespace axiom::efi
