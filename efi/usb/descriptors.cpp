// SPDX-License-Identifier: MIT
#include "efi/usb/descriptors.h"

namespace axiom::efi {

// USB 9.6.3, 9.6.5 and 9.6.6; descriptors of other types, a HID descriptor first of all, are passed over.
UsbInterface find_interface(std::span<const uint8_t> bytes, bool is_hub) {
    constexpr size_t kValue = 5;
    constexpr uint8_t kIn = 0x80, kInterrupt = 3;
    UsbInterface found;
    if (bytes.size() < usb::kConfigurationBytes || bytes[1] != usb::kConfigurationDescriptor)
        return found;
    found.configuration = bytes[kValue];
    bool is_wanted = false;
    for (size_t at = bytes[0]; at + 2 <= bytes.size();) {
        const std::span<const uint8_t> d = bytes.subspan(at);
        const size_t length = d[0];
        if (length < 2 || length > d.size()) break;
        if (d[1] == usb::kInterfaceDescriptor && length >= 9) {
            // Alternate settings take a request of their own: only the first is there from the start.
            is_wanted =
                d[3] == 0 && (is_hub ? d[5] == usb::kHubClass
                                     : d[5] == usb::kHidClass && d[6] == usb::kBootSubclass &&
                                           d[7] == usb::kKeyboardProtocol);
            found.number = d[2];
        } else if (d[1] == usb::kEndpointDescriptor && length >= 7 && is_wanted) {
            const uint8_t number = d[2] & 0xf;
            if ((d[2] & kIn) != 0 && (d[3] & 3) == kInterrupt && number != 0) {
                found.found = true;
                found.endpoint = number;
                found.max_packet = uint16_t((d[4] | d[5] << 8) & 0x7ff);
                found.interval = d[6];
                return found;
            }
        }
        at += length;
    }
    return found;
}

}  // namespace axiom::efi
