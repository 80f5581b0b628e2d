// SPDX-License-Identifier: MIT
// A keyboard at the PC's 8042 keyboard controller, polled (IBM PS/2 Hardware Interface Technical
// Reference, Keyboard and Auxiliary Device Controller).
// Must not know: what the keys mean.
#pragma once

#include <cstdint>

namespace axiom::efi {

class Ps2Keyboard {
  public:
    // Ports and time, which tests play.
    struct Bus {
        uint8_t (*in)(void* context, uint16_t port) = nullptr;
        void (*out)(void* context, uint16_t port, uint8_t value) = nullptr;
        uint64_t (*ticks)(void* context) = nullptr;
        void* context = nullptr;
    };
    // exists: false where the firmware says that there is no controller.
    Ps2Keyboard(const Bus& bus, bool exists, uint64_t ticks_per_second);

    // After the exit. A controller that is not there (status 0xFF) or whose status takes over 20 us to read,
    // as one that firmware emulates in system management mode does, is left alone from here on.
    void start();
    // Whether a controller is polled, and a keyboard has answered.
    bool is_polled() const { return is_polled_; }
    bool answers() const { return answers_; }

    // At most every 10 ms asks the controller: how many bytes came, at most kMaxBytes.
    static constexpr int kMaxBytes = 16;
    int poll(uint64_t now_ticks, uint8_t bytes[kMaxBytes]);

  private:
    uint8_t status() const;
    uint8_t data() const;
    bool is_fast() const;
    bool send(uint16_t port, uint8_t value) const;
    bool receive(uint8_t* value) const;
    bool wait_for(uint8_t mask, uint8_t wanted) const;

    Bus bus_;
    bool is_polled_;
    bool answers_ = false;
    uint64_t ticks_per_second_;
    uint64_t next_ticks_ = 0;
};

}  // namespace axiom::efi
