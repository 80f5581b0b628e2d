// SPDX-License-Identifier: MIT
#include "efi/panic.h"

#include "efi/console.h"
#include "efi/cpu.h"
#include "efi/power.h"

namespace axiom {
namespace efi {
namespace {

constinit const Firmware* return_to = nullptr;

}  // namespace

void panics_return_to(const Firmware* firmware) {
    return_to = firmware;
}

}  // namespace efi

void panic_handler(const char* file, int line, const char* what) {
    efi::say("\naxiom: panic: ", file, ":", line, ": ", what);
    if (efi::return_to != nullptr) {
        efi::return_to->boot->Exit(efi::return_to->image, EFI_ABORTED, 0, nullptr);
        efi::halt_forever();
    }
    efi::leave_machine();
}

}  // namespace axiom
