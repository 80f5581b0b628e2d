// SPDX-License-Identifier: MIT
// Text to the person, UTF-8 with '\n': through the firmware's console until the exit, afterwards
// through a ring that a task drains into the UART between layers.
// Must not know: what is said.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "core/fmt.h"
#include "core/ring.h"
#include "efi/dev/serial.h"
#include "efi/dev/text.h"

namespace axiom::efi {

class Console {
  public:
    // `con_out`: an EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL, or nullptr.
    void use_firmware(void* con_out) { con_out_ = con_out; }
    // From here on the UART. `storage` is a power of two long and outlives the console.
    void use_serial(Serial* serial, std::span<char> storage);
    // Between boot services and use_serial(): nothing can be said.
    void use_nothing() { con_out_ = nullptr; }

    // Waits only when the ring is full, so never call it inside a layer.
    void write(std::string_view text);
    // What the UART takes now; never waits. The layer loop's console task.
    void drain();
    // Everything, waiting for the UART.
    void flush();

    static void sink(void* self, std::string_view text) {
        static_cast<Console*>(self)->write(text);
    }
    static void task(void* self, uint64_t) { static_cast<Console*>(self)->drain(); }

  private:
    void write_firmware(std::string_view text);
    void push(char c);

    void* con_out_ = nullptr;
    Serial* serial_ = nullptr;
    Ring ring_;
    Utf8Stream stream_;
    char unsent_ = 0;  // taken from the ring, refused by the UART
    bool has_unsent_ = false;
};

extern Console console;

// A line for people: say("loaded ", Bytes{n}); the line feed is added.
template <class... Parts>
void say(const Parts&... parts) {
    console.write(Text<512>(parts...));
    console.write("\n");
}

}  // namespace axiom::efi
