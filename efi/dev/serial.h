// SPDX-License-Identifier: MIT
// A 16550-compatible UART, polled: COM1, or what the ACPI SPCR table describes.
// Must not know: what the bytes mean, or when waiting is allowed.
#pragma once

#include <cstdint>

#include "efi/dev/device.h"

namespace axiom::efi {

class Serial : public Device {
  public:
    Serial(const Register& where, uint32_t baud);
    // After the exit: programs 8N1 with FIFOs at the baud rate (0: the divisor stays as firmware
    // left it). Without a UART (no scratch register, no line status) everything written is dropped.
    void start();

    // False when the transmit FIFO has no room now; never waits.
    bool try_put(char c);
    // False when nothing has been received.
    bool try_get(char* c);
    // Whether there is a UART.
    bool exists() const { return present_; }
    // Whether there is one, and at its other end somebody who says so (DSR, CTS or DCD) or has sent
    // something.
    bool has_listener() const;

    // Waits for room; gives the UART up for good when it takes nothing for about a second.
    void put(char c);
    // Waits until the last byte has left the shift register, within the same limit.
    void finish();

    static constexpr Register kCom1{0x3f8, true, 8, 1};
    static constexpr uint32_t kCom1Baud = 115200;

  private:
    uint8_t read(unsigned index) const;
    void write(unsigned index, uint8_t value) const;
    bool wait_for(uint8_t line_status) const;

    Register where_;
    uint32_t baud_;
    unsigned stride_;  // bytes from one register to the next
    unsigned fifo_bytes_ = 1;
    unsigned room_ = 0;  // bytes the FIFO surely takes
    bool present_ = false;
    bool has_received_ = false;
};

}  // namespace axiom::efi
