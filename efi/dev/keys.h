// SPDX-License-Identifier: MIT
// Key presses: Ctrl-C, from the UART or from a PS/2 keyboard, sets the flag that generation looks
// at.
#pragma once

#include <atomic>
#include <cstdint>

#include "efi/dev/device.h"
#include "efi/dev/serial.h"

namespace axiom::efi {

class Keys : public Device {
  public:
    explicit Keys(Serial* serial);
    // After the exit, before the first poll: looks for a keyboard controller.
    void start();

    std::atomic<bool> interrupted{false};

  private:
    void read_serial();
    void read_ps2();

    Serial* serial_;
    bool has_ps2_ = false;
    bool control_held_ = false;
};

}  // namespace axiom::efi
