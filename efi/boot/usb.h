// SPDX-License-Identifier: MIT
// Where the USB host controllers are, while there is a firmware to ask.
// Must not know: how they are driven, or what hangs on them.
#pragma once

#include "efi/boot/firmware.h"
#include "efi/usb/keyboards.h"

namespace axiom::efi {

struct UsbPlaces {
    XhciPlace places[UsbKeyboards::kMaxControllers];
    size_t n = 0;
    Text<192> note{""};  // the first one that cannot be used, and why; empty if there is none
};

// All xHCI controllers that can be driven, in the firmware's order, the first ones if there are more.
UsbPlaces find_usb(const Firmware& firmware, const PciFacts& pci);

}  // namespace axiom::efi
