// SPDX-License-Identifier: MIT
#include "efi/dev/keys.h"

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

// The 8042 keyboard controller, which translates to scan code set 1.
constexpr uint16_t kPs2Data = 0x60, kPs2Status = 0x64;
constexpr uint8_t kOutputFull = 0x01, kFromMouse = 0x20;
constexpr uint8_t kControlDown = 0x1d, kControlUp = 0x9d, kLetterC = 0x2e;
constexpr char kEndOfText = 0x03;  // what a terminal sends for Ctrl-C
constexpr int kMaxPerPoll = 16;    // a task never waits, not even for a babbling device

}  // namespace

void Keys::init(Serial* uart) {
    serial = uart;
    has_ps2 = in8(kPs2Status) != 0xff;
}

void Keys::poll() {
    char c;
    for (int i = 0; i < kMaxPerPoll && serial->try_get(&c); i++) {
        if (c == kEndOfText) interrupted.store(true, std::memory_order_relaxed);
    }
    for (int i = 0; has_ps2 && i < kMaxPerPoll; i++) {
        const uint8_t status = in8(kPs2Status);
        if ((status & kOutputFull) == 0) break;
        const uint8_t code = in8(kPs2Data);
        if ((status & kFromMouse) != 0) continue;
        if (code == kControlDown) control_held = true;
        if (code == kControlUp) control_held = false;
        if (code == kLetterC && control_held) interrupted.store(true, std::memory_order_relaxed);
    }
}

}  // namespace axiom::efi
