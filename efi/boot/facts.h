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

namespace axiom::efi {

struct Facts {
    AcpiFacts acpi;
    LocalApic apic;  // the boot processor's
    TscRate rate;
    Clock clock;  // by that rate
    Text<128> firmware_name{""};
    Text<32> test_time{""};
};

// Reads `map` on the way. io when there is no clock that the TSC could be measured against.
Result<Facts> gather_facts(const Firmware& firmware, MemoryMap* map);
// For people.
void say_facts(const Facts& facts);

}  // namespace axiom::efi
