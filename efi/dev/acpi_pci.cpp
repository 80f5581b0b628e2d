// SPDX-License-Identifier: MIT
#include "efi/dev/acpi_pci.h"

#include <cstring>

#include "efi/dev/bytes.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {
namespace {

bool can_be_mapped(uint64_t address, uint64_t n_bytes) {
    return address >= kPageBytes && address % kPageBytes == 0 && address < kMappableEnd &&
           kMappableEnd - address >= n_bytes;
}

void add_iommu(PciFacts* facts, uint64_t registers, bool is_amd) {
    if (!can_be_mapped(registers, kPageBytes) || facts->n_iommus == PciFacts::kMaxIommus) return;
    for (const PciFacts::Iommu& known : facts->all_iommus()) {
        if (known.registers == registers) return;  // several blocks may describe one unit
    }
    facts->iommus[facts->n_iommus++] = {registers, is_amd};
}

}  // namespace

Text<16> PciAddress::text() const {
    return Text<16>(HexDigits{segment, 4}, ":", HexDigits{bus, 2}, ":", HexDigits{device, 2}, ".",
                    function);
}

uint64_t PciFacts::config_page(const PciAddress& where) const {
    for (const Ecam& e : std::span(ecam, n_ecam)) {
        if (e.segment != where.segment || where.bus < e.first_bus || where.bus > e.last_bus)
            continue;
        return e.address + (uint64_t{where.bus} << 20 | uint64_t{where.device} << 15 |
                            uint64_t{where.function} << 12);
    }
    return 0;
}

void read_mcfg(ByteView table, PciFacts* facts) {
    constexpr size_t kFirst = 44, kEntryBytes = 16;
    constexpr uint64_t kAllBuses = uint64_t{256} << 20;
    for (size_t at = kFirst; at + kEntryBytes <= table.size(); at += kEntryBytes) {
        const PciFacts::Ecam e = {load<uint64_t>(table, at), load<uint16_t>(table, at + 8),
                                  table[at + 10], table[at + 11]};
        if (!can_be_mapped(e.address, kAllBuses) || e.first_bus > e.last_bus) continue;
        if (facts->n_ecam < PciFacts::kMaxEcam) facts->ecam[facts->n_ecam++] = e;
    }
}

void read_dmar(ByteView table, PciFacts* facts) {
    constexpr uint16_t kHardwareUnit = 0;
    for (size_t at = 48; at + 4 <= table.size();) {
        const uint16_t type = load<uint16_t>(table, at), length = load<uint16_t>(table, at + 2);
        if (length < 4 || length > table.size() - at) return;
        if (type == kHardwareUnit && length >= 16) {
            add_iommu(facts, load<uint64_t>(table, at + 8), false);
        }
        at += length;
    }
}

void read_ivrs(ByteView table, PciFacts* facts) {
    for (size_t at = 48; at + 4 <= table.size();) {
        const uint8_t type = table[at];
        const uint16_t length = load<uint16_t>(table, at + 2);
        if (length < 4 || length > table.size() - at) return;
        const bool is_unit = type == 0x10 || type == 0x11 || type == 0x40;
        if (is_unit && length >= 24) add_iommu(facts, load<uint64_t>(table, at + 8), true);
        at += length;
    }
}

}  // namespace axiom::efi
