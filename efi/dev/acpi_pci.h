// SPDX-License-Identifier: MIT
// What ACPI tables say of PCI: where configuration space is in memory, and which IOMMUs there are.
// Whole tables with the right checksum come in; what they say is hostile all the same.
// Must not know: how tables are found, or what the facts are used for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/fmt.h"

namespace axiom::efi {

struct PciAddress {
    uint16_t segment = 0;
    uint8_t bus = 0, device = 0, function = 0;

    Text<16> text() const;  // "0000:00:1f.2"
};

struct PciFacts {
    static constexpr size_t kMaxEcam = 8, kMaxIommus = 16;

    // Configuration space of some buses (PCI Express Base 6.0, section 7.2.2).
    struct Ecam {
        uint64_t address = 0;  // of bus 0, whether it is one of these or not
        uint16_t segment = 0;
        uint8_t first_bus = 0, last_bus = 0;
    };
    struct Iommu {
        uint64_t registers = 0;
        bool is_amd = false;
    };
    Ecam ecam[kMaxEcam] = {};
    size_t n_ecam = 0;
    Iommu iommus[kMaxIommus] = {};
    size_t n_iommus = 0;

    std::span<const Iommu> all_iommus() const { return {iommus, n_iommus}; }
    // The page of a function's configuration space; 0 where there is none in memory.
    uint64_t config_page(const PciAddress& where) const;
};

// PCI Firmware Specification 3.3, section 4.1.2.
void read_mcfg(std::span<const uint8_t> table, PciFacts* facts);
// Intel VT-d specification 4.1, section 8.3: remapping hardware units.
void read_dmar(std::span<const uint8_t> table, PciFacts* facts);
// AMD I/O Virtualization specification 3.08, section 5.2.2: IVHD blocks.
void read_ivrs(std::span<const uint8_t> table, PciFacts* facts);

}  // namespace axiom::efi
