// SPDX-License-Identifier: MIT
// How the machine is left: shut down, rebooted or halted, by whichever way works: the firmware's
// ResetSystem, then ACPI's registers, then the chipset's.
// Must not know: when, or what is said about it.
#pragma once

#include <efi.h>

#include "efi/dev/acpi.h"
#include "efi/dev/device.h"
#include "model/report/options.h"

namespace axiom::efi {

class Power : public Device {
  public:
    // `runtime`: the firmware's runtime services, which are there after the exit, too.
    Power(EFI_RUNTIME_SERVICES* runtime, const AcpiFacts& acpi, OnExit wanted);

    // After the exit: tries the next way; it did not work where this returns. False when there is
    // none left. A fault inside a way goes on with a call for the next.
    bool try_next();
    // Whether a way has been tried.
    bool begun() const { return n_tried_ > 0; }
    bool halts() const { return wanted_ == OnExit::halt; }

  private:
    void reset_by_acpi() const;
    void power_off_by_acpi() const;

    EFI_RUNTIME_SERVICES* runtime_;
    Register reset_;
    uint8_t reset_value_;
    PowerOff power_off_;
    OnExit wanted_;
    int n_tried_ = 0;
};

}  // namespace axiom::efi
