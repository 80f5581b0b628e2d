// SPDX-License-Identifier: MIT
// Text to the person, UTF-8 with '\n': through the firmware's console until the exit, afterwards
// through a ring that is drained into the UART between layers.
// Must not know: what is said.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/ring.h"
#include "efi/dev/device.h"
#include "efi/dev/serial.h"
#include "efi/dev/text.h"

namespace axiom::efi {

class Console : public Device {
  public:
    constexpr Console() {
        name = "console";
        memory.bytes = 64 << 10;  // the ring: a power of two
        poll = [](Device& self, uint64_t) { static_cast<Console&>(self).drain(); };
    }

    // `con_out`: an EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.
    void use_firmware(void* con_out) { con_out_ = con_out; }
    // Between boot services and use_serial(): nothing can be said.
    void use_nothing() { con_out_ = nullptr; }
    // From here on the UART, through the ring in this device's memory.
    void use_serial(Serial* serial);

    // Waits only when the ring is full, so never call it inside a layer.
    void write(std::string_view text);
    // Everything, waiting for the UART.
    void flush();

    static void sink(void* self, std::string_view text) {
        static_cast<Console*>(self)->write(text);
    }

  private:
    void write_firmware(std::string_view text);
    void push(char c);
    // What the UART takes now; never waits.
    void drain();

    void* con_out_ = nullptr;
    Serial* serial_ = nullptr;
    Ring ring_;
    Utf8Stream stream_;
    char unsent_ = 0;  // taken from the ring, refused by the UART
    bool has_unsent_ = false;
};

}  // namespace axiom::efi
