// SPDX-License-Identifier: MIT
// The NVMe disk that weights are streamed from, as a device of this machine: its registers, its
// memory, and the controller that uses them.
// Must not know: how it was found, or what is read.
#pragma once

#include "core/clock.h"
#include "efi/dev/device.h"
#include "efi/nvme/controller.h"
#include "efi/pci/pci.h"

namespace axiom::efi {

// What there is to know of it before the exit. Without registers: there is none.
struct NvmePlace {
    PciAddress where;
    uint64_t config_page = 0;  // 0: by ports
    uint64_t registers = 0;    // BAR0
    nvme::Capabilities cap;
    NvmeRange range;  // what reads are of
};

class NvmeDisk final : public Device, private NvmeRegisters {
  public:
    NvmeDisk(const NvmePlace& place, const Clock& clock);
    bool exists() const { return base_ != 0; }

    // After the exit, once its registers are mapped and before the firmware's memory is used for
    // something else: the controller might still write there. Waits.
    Status start();
    // Before the machine is left.
    void stop() { controller_.stop(); }
    // nullptr if there is none.
    DiskReader* reader() { return exists() ? &controller_ : nullptr; }
    std::string_view full_name() const { return full_name_.view(); }

  private:
    uint32_t read(uint32_t offset) override;
    void write(uint32_t offset, uint32_t value) override;
    void cut_off() override { function_.set_command(false); }
    uint64_t now_ns() override { return clock_.ns(ticks_now()); }

    Text<32> full_name_;
    uint64_t base_;
    Clock clock_;
    PciFunction function_;
    NvmeController controller_;
};

}  // namespace axiom::efi
