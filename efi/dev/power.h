// SPDX-License-Identifier: MIT
// How the machine is left: shut down, rebooted or halted, by whichever way works.
#pragma once

#include "efi/boot/firmware.h"
#include "efi/dev/acpi.h"
#include "model/report/options.h"

namespace axiom::efi {

// Before the exit. Only the runtime services' address is kept of `firmware`.
void prepare_power(const Firmware& firmware, const AcpiFacts& acpi, OnExit on_exit);

// After the exit: stops the other cores, sends what the console holds and leaves as prepare_power()
// was told. Ways are tried in turn; a fault in one of them goes on with the next.
[[noreturn]] void leave_machine();
bool is_leaving();

}  // namespace axiom::efi
