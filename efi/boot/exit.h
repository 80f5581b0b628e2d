// SPDX-License-Identifier: MIT
// Leaving boot services: the final memory map, and the retry the specification asks for.
#pragma once

#include <span>

#include "efi/boot/firmware.h"

namespace axiom::efi {

// UEFI 2.10 section 7.4.6. On success interrupts are masked and `map` is final. After a failure
// nothing of the firmware but its memory services may be used.
Status exit_boot_services(const Firmware& firmware, std::span<uint8_t> buffer,
                          std::span<MemoryRegion> regions, MemoryMap* map);

}  // namespace axiom::efi
