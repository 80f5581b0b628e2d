// SPDX-License-Identifier: MIT
// Key presses, from the UART and from a keyboard: bytes as a terminal sends them, in one queue. Ctrl-C is
// none of them: it sets the flag that generation looks at, and drops what was typed before it.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/clock.h"
#include "core/ring.h"
#include "efi/dev/device.h"
#include "efi/dev/key_source.h"
#include "efi/dev/keyboard_layout.h"
#include "efi/dev/ps2.h"
#include "efi/dev/serial.h"

namespace axiom::efi {

class Keys : public Device {
  public:
    // has_8042: false where ACPI says that there is none. `others`: more keyboards, nullptr: none.
    Keys(Serial* serial, bool has_8042, Keymap keymap, const Clock& clock, KeySource* others);
    // After the exit, before the first poll: looks for a keyboard.
    void start();
    // Somebody could press a key of a keyboard of this machine. Waits while one may still be found, 3 s at
    // most.
    bool has_keyboard();

    // The oldest byte that nobody took; false: none. Only a poll brings new ones.
    bool next(char* byte) { return queue_.pop(byte); }
    // Drops what was typed so far.
    void forget();
    // Waits for a key, for ever.
    void wait();

    // Before the machine is left: no keyboard is asked any more.
    void stop();

    std::atomic<bool> interrupted{false};

  private:
    void take(std::string_view bytes);
    void drop();
    void read_serial();
    void read_ps2(uint64_t now_ticks);
    void read_others(uint64_t now_ticks);

    Serial* serial_;
    KeySource* others_;
    Clock clock_;
    Ps2Keyboard ps2_;
    ScanCodes scan_codes_;
    Ring queue_;
    char queued_[1024];
};

}  // namespace axiom::efi
