// SPDX-License-Identifier: MIT
// What there is to know of the machine and its firmware before anything is decided.
#pragma once

#include "core/clock.h"
#include "core/fmt.h"
#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/pages.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/rate.h"
#include "efi/dev/acpi.h"
#include "efi/screen/framebuffer.h"

namespace axiom::efi {

struct Facts {
    AcpiFacts acpi;
    LocalApic apic;  // the boot processor's
    TscRate rate;
    Clock clock;                // by that rate
    Framebuffer framebuffer;    // width 0: none
    Text<160> screen_note{""};  // why there is none
    Text<128> firmware_name{""};
    Text<32> test_time{""};
};

// Reads `map` on the way.
Result<Facts> gather_facts(const Firmware& firmware, MemoryMap* map);
// For people.
void say_facts(const Facts& facts);

}  // namespace axiom::efi
