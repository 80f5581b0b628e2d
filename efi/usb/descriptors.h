// SPDX-License-Identifier: MIT
// What a device says of itself that decides what it is here: a boot keyboard, a hub, neither.
// Every byte is the device's, and hostile.
#pragma once

#include <cstdint>
#include <span>

#include "efi/usb/spec.h"

namespace axiom::efi {

// The first interface of a configuration that is wanted, with its interrupt IN endpoint.
struct UsbInterface {
    bool found = false;
    uint8_t configuration = 0;  // the number that sets it
    uint8_t number = 0;         // of the interface
    uint8_t endpoint = 0;       // 1..15
    uint8_t interval = 0;
    uint16_t max_packet = 0;
};

// `bytes`: a configuration descriptor with all that follows it, or as much of it as was read. A hub's
// interface where `is_hub`, else that of a keyboard with a boot protocol.
UsbInterface find_interface(std::span<const uint8_t> bytes, bool is_hub);

}  // namespace axiom::efi
