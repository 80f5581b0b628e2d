// SPDX-License-Identifier: MIT
#include "efi/dev/serial.h"

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

// Registers of the 16550 and their bits (National Semiconductor PC16550D).
enum : unsigned {
    kData = 0,
    kInterruptEnable = 1,
    kFifoControl = 2,
    kInterruptId = 2,
    kLineControl = 3,
    kModemControl = 4,
    kLineStatus = 5,
    kModemStatus = 6,
    kScratch = 7
};
constexpr uint8_t kDataReady = 0x01, kHoldingEmpty = 0x20, kAllEmpty = 0x40;
constexpr uint8_t kClearToSend = 0x10, kDataSetReady = 0x20, kCarrier = 0x80;
constexpr unsigned kFifoBytes = 16;
constexpr uint32_t kClockHz = 115200;  // divisor 1

// Reads that surely outlast one character at 9600 baud on any bus.
constexpr uint32_t kPatienceReads = 2000000;

}  // namespace

uint8_t Serial::read(unsigned index) const {
    return uint8_t(access_.read({where_.address + index * stride_, where_.io}, stride_));
}

void Serial::write(unsigned index, uint8_t value) const {
    access_.write({where_.address + index * stride_, where_.io}, stride_, value);
}

Serial::Serial(const Register& where, uint32_t baud, bool is_trusted, RegisterAccess& access)
    : where_(where),
      baud_(baud),
      is_trusted_(is_trusted),
      access_(access),
      stride_(!where.io && (where.access_bytes == 4 || where.bits == 32) ? 4 : 1) {
    name = "serial";
    registers[0] = registers_at(where);
}

void Serial::start() {
    write(kInterruptEnable, 0);
    write(kScratch, 0x5a);
    const bool has_scratch = read(kScratch) == 0x5a;
    present_ = (has_scratch || is_trusted_) && read(kLineStatus) != 0xff;
    if (!present_) return;
    wait_for(kAllEmpty);  // the firmware's last words
    if (baud_ != 0) {
        const uint32_t divisor = kClockHz / baud_;
        write(kLineControl, 0x83);  // 8N1, divisor latch open
        write(kData, uint8_t(divisor));
        write(kInterruptEnable, uint8_t(divisor >> 8));
    }
    write(kLineControl, 0x03);
    write(kFifoControl, 0x07);   // on, both emptied
    write(kModemControl, 0x03);  // DTR, RTS
    const bool has_fifo = (read(kInterruptId) & 0xc0) == 0xc0;
    fifo_bytes_ = has_fifo ? kFifoBytes : 1;
}

bool Serial::try_put(char c) {
    if (!present_ || (is_stalled_ && !has_recovered())) return true;
    if (room_ == 0) {
        if ((read(kLineStatus) & kHoldingEmpty) == 0) return false;
        room_ = fifo_bytes_;
    }
    write(kData, uint8_t(c));
    room_--;
    return true;
}

bool Serial::try_get(char* c) {
    if (!present_ || (read(kLineStatus) & kDataReady) == 0) return false;
    *c = char(read(kData));
    has_received_ = true;
    return true;
}

bool Serial::has_listener() const {
    constexpr uint8_t kSigns = kClearToSend | kDataSetReady | kCarrier;
    return present_ && (has_received_ || (read(kModemStatus) & kSigns) != 0);
}

bool Serial::wait_for(uint8_t line_status) const {
    for (uint32_t i = 0; i < kPatienceReads; i++) {
        if ((read(kLineStatus) & line_status) != 0) return true;
        pause_cpu();
    }
    return false;
}

// A look at the port now and then, so that dropping a ring full of text takes no time.
bool Serial::has_recovered() {
    constexpr uint32_t kLookEvery = 64;
    if (n_dropped_++ % kLookEvery != 0 || (read(kLineStatus) & kHoldingEmpty) == 0) return false;
    is_stalled_ = false;
    return true;
}

void Serial::put(char c) {
    if (try_put(c)) return;
    is_stalled_ = !wait_for(kHoldingEmpty);
    n_dropped_ = 0;
    if (!is_stalled_) try_put(c);
}

void Serial::finish() {
    if (present_ && !is_stalled_) is_stalled_ = !wait_for(kAllEmpty);
}

}  // namespace axiom::efi
