// SPDX-License-Identifier: MIT
// Text to the person, UTF-8 with '\n': through the firmware's console until the exit, afterwards
// through a ring that is drained into the UART between layers, and to the screen.
// Must not know: what is said.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/ring.h"
#include "efi/dev/device.h"
#include "efi/dev/screen.h"
#include "efi/dev/serial.h"
#include "efi/screen/record_filter.h"
#include "model/report/json_writer.h"  // TextSink

namespace axiom::efi {

class Console : public Device {
  public:
    constexpr Console() {
        name = "console";
        memory.bytes = 64 << 10;  // the ring: a power of two
        poll = [](Device& self, uint64_t) { static_cast<Console&>(self).drain(); };
    }

    void use_firmware(TextSink to, void* context) {
        firmware_ = to;
        firmware_context_ = context;
    }
    // Between boot services and use_serial(): nothing can be said.
    void use_nothing() { firmware_ = nullptr; }
    // From here on the UART, through the ring in this device's memory.
    void use_serial(Serial* serial);
    // And the screen, which shows first what was said so far, its last few KiB. Of lines for machines it
    // shows a short note: a record of 4000 characters would push the answer away.
    void use_screen(Screen* screen);

    // Waits only when the ring is full, so never call it inside a layer.
    void write(std::string_view text) { write_as(text, 0); }
    // The same of what is beside the matter, which a screen shows dim.
    void note(std::string_view text) { write_as(text, kDim); }
    // There is a screen, and nobody listens at the serial port.
    bool is_on_screen_only() const;

    // What a poll gives the UART at most, which is what its FIFO takes: one that is emulated never refuses.
    static constexpr int kBytesPerPoll = 16;

    // Everything, waiting for the UART, and drawing at once.
    void flush();

    static void sink(void* self, std::string_view text) {
        static_cast<Console*>(self)->write(text);
    }
    static void note_sink(void* self, std::string_view text) {
        static_cast<Console*>(self)->note(text);
    }

  private:
    void keep(std::string_view text);
    void write_as(std::string_view text, Cell ink);
    void write_screen(std::string_view text, Cell ink);
    void push(char c);
    // What the UART takes now, within the budget of a poll; never waits.
    void drain();

    TextSink firmware_ = nullptr;
    void* firmware_context_ = nullptr;
    Serial* serial_ = nullptr;
    Screen* screen_ = nullptr;
    RecordFilter filter_;
    Ring ring_;
    char unsent_ = 0;  // taken from the ring, refused by the UART
    bool has_unsent_ = false;
    // What was said before there was a screen, a ring whose oldest bytes give way.
    char said_[4096] = {};
    size_t n_said_ = 0;
};

}  // namespace axiom::efi
