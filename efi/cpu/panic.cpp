// SPDX-License-Identifier: MIT
#include "efi/cpu/panic.h"

#include "efi/cpu/core_state.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/stop.h"
#include "efi/dev/console.h"
#include "efi/dev/power.h"

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
    if (efi::return_to != nullptr) {
        efi::say("\naxiom: panic: ", file, ":", line, ": ", what);
        efi::return_to->boot->Exit(efi::return_to->image, EFI_ABORTED, 0, nullptr);
        efi::halt_forever();
    }
    efi::take_the_end();
    efi::say("\naxiom: panic: ", file, ":", line, ": ", what, ", ",
             efi::core_name(efi::this_core()).view(), efi::fate_of_others().view());
    efi::leave_machine();
}

}  // namespace axiom
