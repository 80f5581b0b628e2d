// SPDX-License-Identifier: MIT
// Key presses: bytes that the UART brings, in one queue. Ctrl-C, from the UART or from a PS/2 keyboard, is
// none of them: it sets the flag that generation looks at, and drops what was typed before it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/ring.h"
#include "efi/dev/device.h"
#include "efi/dev/serial.h"

namespace axiom::efi {

class Keys : public Device {
  public:
    explicit Keys(Serial* serial);
    // After the exit, before the first poll: looks for a keyboard controller.
    void start();

    // The oldest byte that nobody took; false: none. Only a poll brings new ones.
    bool next(char* byte) { return queue_.pop(byte); }

    std::atomic<bool> interrupted{false};

  private:
    void read_serial();
    void read_ps2();

    Serial* serial_;
    Ring queue_;
    char queued_[1024];
    bool has_ps2_ = false;
    bool control_held_ = false;
};

}  // namespace axiom::efi
