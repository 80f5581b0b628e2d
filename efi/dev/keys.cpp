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
constexpr int kMaxPerPoll = 16;    // a poll ends, even with a device that never stops sending

}  // namespace

Keys::Keys(Serial* serial) : serial_(serial) {
    name = "keys";
    queue_.init(queued_, sizeof queued_);
    poll = [](Device& self, uint64_t) {
        Keys& keys = static_cast<Keys&>(self);
        keys.read_serial();
        keys.read_ps2();
    };
}

void Keys::start() {
    has_ps2_ = in8(kPs2Status) != 0xff;
}

void Keys::read_serial() {
    char c;
    for (int i = 0; i < kMaxPerPoll && serial_->try_get(&c); i++) {
        if (c != kEndOfText) {
            queue_.write({&c, 1});
            continue;
        }
        while (queue_.pop(&c)) {
        }
        interrupted.store(true, std::memory_order_relaxed);
    }
}

void Keys::read_ps2() {
    for (int i = 0; has_ps2_ && i < kMaxPerPoll; i++) {
        const uint8_t status = in8(kPs2Status);
        if ((status & kOutputFull) == 0) break;
        const uint8_t code = in8(kPs2Data);
        if ((status & kFromMouse) != 0) continue;
        if (code == kControlDown) control_held_ = true;
        if (code == kControlUp) control_held_ = false;
        if (code == kLetterC && control_held_) interrupted.store(true, std::memory_order_relaxed);
    }
}

}  // namespace axiom::efi
