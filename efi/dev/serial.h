// SPDX-License-Identifier: MIT
// A 16550-compatible UART, polled: COM1, or what the ACPI SPCR or DBG2 table describes.
// Must not know: what the bytes mean, or when waiting is allowed.
#pragma once

#include <cstdint>

#include "efi/dev/acpi_power.h"
#include "efi/dev/device.h"

namespace axiom::efi {

class Serial : public Device {
  public:
    // `is_trusted`: a table says that there is one, so that it need not show a scratch register, which some
    // management controllers' lack. `access` outlives the object.
    Serial(const Register& where, uint32_t baud, bool is_trusted, RegisterAccess& access);
    // After the exit: programs 8N1 with FIFOs at the baud rate (0: the divisor stays as firmware
    // left it). Without a UART (no line status; no scratch register where it is not trusted) everything written
    // is dropped.
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

    // Waits for room; where the UART takes nothing for about a second it is stalled: everything is dropped
    // until it takes something again (a management controller whose network connection was gone).
    void put(char c);
    // Waits until the last byte has left the shift register, within the same limit.
    void finish();

    static constexpr Register kCom1{0x3f8, true, 8, 1};
    static constexpr uint32_t kCom1Baud = 115200;

  private:
    uint8_t read(unsigned index) const;
    void write(unsigned index, uint8_t value) const;
    bool wait_for(uint8_t line_status) const;
    bool has_recovered();

    Register where_;
    uint32_t baud_;
    bool is_trusted_;
    RegisterAccess& access_;
    unsigned stride_;  // bytes from one register to the next
    unsigned fifo_bytes_ = 1;
    unsigned room_ = 0;  // bytes the FIFO surely takes
    bool present_ = false;
    bool is_stalled_ = false;
    uint32_t n_dropped_ = 0;  // since it stalled
    bool has_received_ = false;
};

}  // namespace axiom::efi
