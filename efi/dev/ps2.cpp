// SPDX-License-Identifier: MIT
#include "efi/dev/ps2.h"

#include <algorithm>

namespace axiom::efi {
namespace {

constexpr uint16_t kData = 0x60, kStatus = 0x64, kCommand = 0x64;
// Of the status.
constexpr uint8_t kOutputFull = 0x01, kInputFull = 0x02, kFromMouse = 0x20;
// Commands to the controller, and what they change of its configuration.
constexpr uint8_t kReadConfig = 0x20, kWriteConfig = 0x60, kEnableKeyboard = 0xae,
                  kDisableMouse = 0xa7;
constexpr uint8_t kInterrupts = 0x03, kKeyboardOff = 0x10, kTranslate = 0x40;
// To the keyboard, and its answer.
constexpr uint8_t kEnableScanning = 0xf4, kAcknowledge = 0xfa;

constexpr uint64_t kPollsPerSecond = 100;
constexpr uint64_t kSlowPerSecond = 50000;   // 20 us
constexpr uint64_t kPatiencePerSecond = 20;  // 50 ms for an answer
constexpr int kTimedReads = 5;

}  // namespace

Ps2Keyboard::Ps2Keyboard(const Bus& bus, bool exists, uint64_t ticks_per_second)
    : bus_(bus), is_polled_(exists), ticks_per_second_(ticks_per_second) {}

uint8_t Ps2Keyboard::status() const {
    return bus_.in(bus_.context, kStatus);
}
uint8_t Ps2Keyboard::data() const {
    return bus_.in(bus_.context, kData);
}

bool Ps2Keyboard::is_fast() const {
    uint64_t fastest = ~uint64_t{0};
    for (int i = 0; i < kTimedReads; i++) {
        const uint64_t begin = bus_.ticks(bus_.context);
        status();
        fastest = std::min(fastest, bus_.ticks(bus_.context) - begin);
    }
    return fastest <= ticks_per_second_ / kSlowPerSecond;
}

bool Ps2Keyboard::wait_for(uint8_t mask, uint8_t wanted) const {
    const uint64_t begin = bus_.ticks(bus_.context);
    while ((status() & mask) != wanted) {
        if (bus_.ticks(bus_.context) - begin > ticks_per_second_ / kPatiencePerSecond) return false;
    }
    return true;
}

bool Ps2Keyboard::send(uint16_t port, uint8_t value) const {
    if (!wait_for(kInputFull, 0)) return false;
    bus_.out(bus_.context, port, value);
    return true;
}

bool Ps2Keyboard::receive(uint8_t* value) const {
    if (!wait_for(kOutputFull, kOutputFull)) return false;
    *value = data();
    return true;
}

void Ps2Keyboard::start() {
    if (!is_polled_) return;
    is_polled_ = status() != 0xff && is_fast();
    if (!is_polled_) return;
    // Without a mouse, whose bytes would come between.
    send(kCommand, kDisableMouse);
    send(kCommand, kEnableKeyboard);
    for (int i = 0; i < kMaxBytes && (status() & kOutputFull) != 0; i++) data();
    uint8_t config = 0;
    if (send(kCommand, kReadConfig) && receive(&config)) {
        config = uint8_t((config | kTranslate) & ~(kInterrupts | kKeyboardOff));
        if (send(kCommand, kWriteConfig)) send(kData, config);
    }
    uint8_t answer = 0;
    answers_ = send(kData, kEnableScanning) && receive(&answer) && answer == kAcknowledge;
}

int Ps2Keyboard::poll(uint64_t now_ticks, uint8_t bytes[kMaxBytes]) {
    if (!is_polled_ || now_ticks < next_ticks_) return 0;
    next_ticks_ = now_ticks + ticks_per_second_ / kPollsPerSecond;
    int n = 0;
    for (int i = 0; i < kMaxBytes; i++) {
        const uint8_t now = status();
        if ((now & kOutputFull) == 0) break;
        const uint8_t byte = data();
        if ((now & kFromMouse) == 0) bytes[n++] = byte;
    }
    answers_ = answers_ || n > 0;
    return n;
}

}  // namespace axiom::efi
