// SPDX-License-Identifier: MIT
// Devices that firmware left running may go on writing to memory that is ours now: a network card's receive
// ring is the classic case. Their leave to do so is taken away (PCI Local Bus 3.0, section 6.2.2).
// Must not know: which device is used for what.
#pragma once

#include <cstdint>

#include "efi/dev/acpi_pci.h"

namespace axiom::efi {

// Configuration space of segment 0, behind an interface that tests can play; all ones where nobody answers.
class PciConfig {
  public:
    virtual uint32_t read(const PciAddress& where, uint8_t offset) = 0;
    virtual void write(const PciAddress& where, uint8_t offset, uint32_t value) = 0;

  protected:
    ~PciConfig() = default;
};

// By the two ports (section 3.2.2.3.2).
class PciPorts final : public PciConfig {
  public:
    uint32_t read(const PciAddress& where, uint8_t offset) override;
    void write(const PciAddress& where, uint8_t offset, uint32_t value) override;
};

struct StoppedMasters {
    uint32_t n_functions = 0;  // that there are
    uint32_t n_stopped = 0;    // that were bus masters and are none now
};

// All but `kept`, and what the machine itself lives by: display controllers, bridges, IOMMUs and other system
// devices, USB controllers (keyboards), and what may be a console or the firmware's variable store.
StoppedMasters stop_bus_masters(PciConfig& config, const PciAddress* kept);

}  // namespace axiom::efi
