// SPDX-License-Identifier: MIT
// The platform's half of core/status.h: where the message of a broken invariant goes.
#pragma once

#include "efi/boot/firmware.h"

namespace axiom::efi {

// Until this is called with nullptr, a panic returns to the firmware through
// EFI_BOOT_SERVICES.Exit; afterwards the machine is left as configured.
void panics_return_to(const Firmware* firmware);

}  // namespace axiom::efi
