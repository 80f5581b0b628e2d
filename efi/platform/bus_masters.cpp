// SPDX-License-Identifier: MIT
#include "efi/platform/bus_masters.h"

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr uint16_t kAddressPort = 0xcf8, kDataPort = 0xcfc;
constexpr uint8_t kId = 0x00, kCommand = 0x04, kClass = 0x08, kHeaderType = 0x0c;
constexpr uint32_t kNobody = 0xffff;

constexpr uint32_t port_address(const PciAddress& where, uint8_t offset) {
    return 1u << 31 | uint32_t{where.bus} << 16 | uint32_t{where.device} << 11 |
           uint32_t{where.function} << 8 | (offset & 0xfcu);
}

// PCI Code and ID Assignment Specification 1.11.
bool is_left_alone(uint32_t class_code) {
    const uint32_t base = class_code >> 16, sub = class_code >> 8 & 0xff;
    switch (base) {
        case 0x00:  // from before there were classes: VGA among them
        case 0x03:  // display
        case 0x06:  // bridges
        case 0x07:  // serial ports, management engines
        case 0x08:  // interrupt controllers, IOMMUs, SD hosts, where a tablet keeps variables
            return true;
        case 0x0c:  // all but FireWire: USB, SMBus, IPMI
            return sub != 0x00;
        default:
            return false;
    }
}

bool same(const PciAddress& a, const PciAddress& b) {
    return a.segment == b.segment && a.bus == b.bus && a.device == b.device &&
           a.function == b.function;
}

bool stop(PciConfig& config, const PciAddress& where) {
    constexpr uint32_t kBusMaster = 1 << 2, kStatusBits = 0xffff0000;  // cleared by writing ones
    const uint32_t command = config.read(where, kCommand);
    if ((command & kBusMaster) == 0 || is_left_alone(config.read(where, kClass) >> 8)) return false;
    config.write(where, kCommand, command & ~(kBusMaster | kStatusBits));
    return (config.read(where, kCommand) & kBusMaster) == 0;
}

}  // namespace

uint32_t PciPorts::read(const PciAddress& where, uint8_t offset) {
    out32(kAddressPort, port_address(where, offset));
    return in32(kDataPort);
}

void PciPorts::write(const PciAddress& where, uint8_t offset, uint32_t value) {
    out32(kAddressPort, port_address(where, offset));
    out32(kDataPort, value);
}

StoppedMasters stop_bus_masters(PciConfig& config, const PciAddress* kept) {
    constexpr uint32_t kManyFunctions = 1 << 23;
    StoppedMasters masters;
    // Every bus, since a server's host bridges begin anywhere: 16384 reads, some 20 ms.
    for (uint32_t bus = 0; bus < 256; bus++) {
        for (uint8_t device = 0; device < 32; device++) {
            uint8_t n_functions = 1;
            for (uint8_t function = 0; function < n_functions; function++) {
                const PciAddress where{0, uint8_t(bus), device, function};
                if ((config.read(where, kId) & kNobody) == kNobody) continue;
                masters.n_functions++;
                if (function == 0 && (config.read(where, kHeaderType) & kManyFunctions) != 0)
                    n_functions = 8;
                if (kept != nullptr && same(where, *kept)) continue;
                masters.n_stopped += stop(config, where) ? 1 : 0;
            }
        }
    }
    return masters;
}

}  // namespace axiom::efi
