// SPDX-License-Identifier: MIT
// Leaving boot services: the final memory map, and the retry the specification asks for.
#pragma once

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/pages.h"

namespace axiom::efi {

// UEFI 2.10 section 7.4.6. On success interrupts are masked and `map` is final. After a failure
// nothing of the firmware but its memory services may be used.
Status exit_boot_services(const Firmware& firmware, MemoryMap* map);

}  // namespace axiom::efi
