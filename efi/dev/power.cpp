// SPDX-License-Identifier: MIT
#include "efi/dev/power.h"

#include "efi/dev/ports.h"
#include "efi/dev/register_ports.h"

namespace axiom::efi {
namespace {

void wait_a_little() {  // a reset takes effect some time after the write
    for (int i = 0; i < 1000000; i++) in8(0x80);
}

// The reset control register of Intel's bridges, and of those that follow them.
void reset_by_chipset() {
    out8(0xcf9, 0x02);
    out8(0xcf9, 0x06);
    wait_a_little();
}

// Its line to the CPU's reset pin, from the days when the 80286 had no other way back from protected mode.
void reset_by_keyboard_controller() {
    constexpr uint16_t kPort = 0x64;
    constexpr uint8_t kInputFull = 0x02, kPulseReset = 0xfe;
    constexpr int kPatienceReads = 100000;
    for (int i = 0; i < kPatienceReads && (in8(kPort) & kInputFull) != 0; i++) pause_cpu();
    out8(kPort, kPulseReset);
    wait_a_little();
}

// No handler for the fault, none for the double fault.
void reset_by_triple_fault() {
    const struct [[gnu::packed]] {
        uint16_t limit;
        uint64_t base;
    } none{0, 0};
    asm volatile("lidt %0\n\tint3" ::"m"(none));
}

}  // namespace

Power::Power(EFI_RUNTIME_SERVICES* runtime, const AcpiFacts& acpi, OnExit wanted)
    : runtime_(runtime),
      reset_(acpi.reset),
      reset_value_(acpi.reset_value),
      power_off_(acpi.power_off),
      wanted_(wanted) {
    name = "power";
    registers[0] = registers_at(acpi.reset);
    registers[1] = registers_at(power_off_.pm1a_control);
    registers[2] = registers_at(power_off_.pm1b_control);
    registers[3] = registers_at(power_off_.sleep_control);
}

void Power::reset_by_acpi() const {  // ACPI 6.5 section 4.8.3.6
    if (reset_.address == 0) return;
    if (reset_.io) {
        out8(uint16_t(reset_.address), reset_value_);
    } else {
        mmio_write<uint8_t>(reset_.address, reset_value_);
    }
    wait_a_little();
}

void Power::power_off_by_acpi() const {
    PortsAndMemory ports;
    if (enter_s5(power_off_, ports)) wait_a_little();
}

bool Power::try_next() {
    constexpr int kNWays = 5;
    const bool reboots = wanted_ == OnExit::reboot;
    if (n_tried_ == kNWays) return false;
    switch (n_tried_++) {
        case 0:
            if (halts()) break;
            runtime_->ResetSystem(reboots ? EfiResetCold : EfiResetShutdown, EFI_SUCCESS, 0,
                                  nullptr);
            break;
        case 1:
            if (reboots) reset_by_acpi();
            if (!reboots && !halts()) power_off_by_acpi();
            break;
        case 2:
            if (reboots) reset_by_chipset();
            break;
        case 3:
            if (reboots) reset_by_keyboard_controller();
            break;
        case 4:
            if (reboots) reset_by_triple_fault();
            break;
    }
    return true;
}

}  // namespace axiom::efi
