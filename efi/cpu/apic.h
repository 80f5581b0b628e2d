// SPDX-License-Identifier: MIT
// The local APIC of the core that calls, as far as starting and stopping cores needs it: its mode,
// its id, interrupts to other cores (Intel SDM vol. 3A, chapter 11).
// Must not know: which cores there are, or what they run.
#pragma once

#include <cstdint>

#include "core/clock.h"
#include "efi/cpu/msr.h"
#include "efi/dev/device.h"

namespace axiom::efi {

inline constexpr uint32_t kMaxXapicId = 0xfe;  // xAPIC mode has 8 bits; all ones means every core

struct LocalApic {
    bool usable = false;      // there is one, and firmware has it turned on
    bool x2apic = false;      // registers are MSRs, ids have 32 bits
    bool has_x2apic = false;  // the mode exists
    uint64_t base = 0;        // of the registers in memory, unless x2apic
};

// As it is now. `usable` is false, too, for registers at an address we do not map.
LocalApic local_apic();
// Declares the registers in memory, unless they are MSRs.
Device apic_device(const LocalApic& apic);
// Puts this core's APIC into the mode and to the address of `like`, as far as it is not there yet.
void match_apic(const LocalApic& like);
// This core's APIC id in the current mode.
uint32_t own_apic_id();

// Interrupts from this core. In xAPIC mode the registers are mapped uncached and `apic_id` is at
// most kMaxXapicId. Each waits until the APIC has taken the message, but not for ever.
void send_init_to_all_others();
void send_startup(uint32_t apic_id, uint8_t page_number);
void send_nmi(uint32_t apic_id);

// The timer of this core's APIC. Interrupts come with kTickVector once the core allows any; every other
// maskable one stays out, whatever firmware has set up: by the task priority, and with the lines of the
// old interrupt controller masked.
inline constexpr uint64_t kTickVector = 0xf0, kSpuriousVector = 0xff;
uint64_t timer_hz(const Clock& clock);  // measured, with the timer stopped afterwards
void start_timer(uint32_t period);      // in ticks of timer_hz
void stop_timer();
// Where the end of an interrupt is to be written; 0: to an MSR.
uint64_t end_of_interrupt_address();
[[gnu::always_inline]] inline void end_interrupt(uint64_t address) {
    constexpr uint32_t kEndOfInterruptMsr = 0x80b;
    if (address == 0) {
        write_msr(kEndOfInterruptMsr, 0);
    } else {
        *reinterpret_cast<volatile uint32_t*>(address) = 0;
    }
}

}  // namespace axiom::efi
