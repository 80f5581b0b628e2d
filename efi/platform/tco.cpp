// SPDX-License-Identifier: MIT
#include "efi/platform/tco.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kIntel = 0x8086;
constexpr PciAddress kBridge{0, 0, 0x1f, 0}, kSmbus{0, 0, 0x1f, 4};

bool is_intel(PciConfig& config, const PciAddress& where, uint32_t class_code) {
    return (config.read(where, 0x00) & 0xffff) == kIntel &&
           config.read(where, 0x08) >> 16 == class_code;
}

// The port of the TCO's registers; 0 where there are none.
uint16_t tco_port(PciConfig& config, uint16_t pm1_events) {
    constexpr uint32_t kIsaBridge = 0x0601, kSmbusClass = 0x0c05;
    // Since the 100 Series the SMBus function says where.
    constexpr uint8_t kTcoBase = 0x50, kTcoControl = 0x54;
    if (is_intel(config, kSmbus, kSmbusClass)) {
        const bool is_enabled = (config.read(kSmbus, kTcoControl) >> 8 & 1) != 0;
        return is_enabled ? uint16_t(config.read(kSmbus, kTcoBase) & 0xffe0) : uint16_t{0};
    }
    constexpr uint8_t kPmBase = 0x40, kAcpiControl = 0x44;
    constexpr uint16_t kTcoOffset = 0x60;
    if (!is_intel(config, kBridge, kIsaBridge)) return 0;
    const uint16_t base = uint16_t(config.read(kBridge, kPmBase) & 0xff80);
    const bool is_enabled = (config.read(kBridge, kAcpiControl) >> 7 & 1) != 0;
    return is_enabled && base != 0 && base == pm1_events ? uint16_t(base + kTcoOffset)
                                                         : uint16_t{0};
}

}  // namespace

Tco stop_tco(PciConfig& config, uint16_t pm1_events, RegisterAccess& registers) {
    constexpr uint32_t kHalt = 1 << 11;
    constexpr uint16_t kControl1 = 0x08;
    const uint16_t port = tco_port(config, pm1_events);
    if (port == 0) return Tco::none;
    const Register control{uint64_t(port) + kControl1, true, 16, 2};
    const uint32_t value = registers.read(control, 2);
    if (value == 0xffff) return Tco::none;
    if ((value & kHalt) != 0) return Tco::halted;
    registers.write(control, 2, value | kHalt);
    return (registers.read(control, 2) & kHalt) != 0 ? Tco::stopped : Tco::runs_on;
}

}  // namespace axiom::efi
