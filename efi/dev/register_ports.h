// SPDX-License-Identifier: MIT
// Registers that tables name, as the machine has them: ports and memory.
#pragma once

#include "efi/dev/acpi_power.h"
#include "efi/dev/ports.h"

namespace axiom::efi {

class PortsAndMemory final : public RegisterAccess {
  public:
    uint32_t read(const Register& where, unsigned bytes) override {
        const auto port = uint16_t(where.address);
        if (bytes == 1) return where.io ? in8(port) : mmio_read<uint8_t>(where.address);
        if (bytes == 2) return where.io ? in16(port) : mmio_read<uint16_t>(where.address);
        return where.io ? in32(port) : mmio_read<uint32_t>(where.address);
    }
    void write(const Register& where, unsigned bytes, uint32_t value) override {
        if (where.io) return write_port(uint16_t(where.address), bytes, value);
        if (bytes == 1) return mmio_write(where.address, uint8_t(value));
        if (bytes == 2) return mmio_write(where.address, uint16_t(value));
        mmio_write(where.address, value);
    }

  private:
    static void write_port(uint16_t port, unsigned bytes, uint32_t value) {
        if (bytes == 1) return out8(port, uint8_t(value));
        if (bytes == 2) return out16(port, uint16_t(value));
        out32(port, value);
    }
};

}  // namespace axiom::efi
