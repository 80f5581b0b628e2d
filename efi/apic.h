// SPDX-License-Identifier: MIT
// The local APIC as far as it starts and stops other cores: interprocessor interrupts, by memory
// (xAPIC) or by MSR (x2APIC) (Intel SDM vol. 3A, chapter 11).
// Must not know: what the cores do.
#pragma once

#include <cstdint>

namespace axiom::efi {

// This core's APIC id, by CPUID: all 32 bits where the CPU tells them.
uint32_t own_apic_id();

class Apic {
  public:
    // Finds out how this core's APIC is reached. Switches to x2APIC if an id of the machine needs
    // it and the CPU has it. False when the APIC is turned off or cannot reach `highest_id`.
    bool init(uint32_t highest_id);
    bool is_x2apic() const { return x2apic_; }
    // Physical address of the registers, one page; also where x2APIC needs none.
    static uint64_t registers();

    void send_init(uint32_t apic_id) const;
    // The core starts in real mode at `page` << 12, below 1 MiB.
    void send_startup(uint32_t apic_id, uint8_t page) const;
    void send_nmi_to_others() const;

  private:
    void send(uint32_t apic_id, uint32_t command) const;

    bool x2apic_ = false;
    uint64_t registers_ = 0;
};

}  // namespace axiom::efi
