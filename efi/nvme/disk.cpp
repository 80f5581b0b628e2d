// SPDX-License-Identifier: MIT
#include "efi/nvme/disk.h"

#include "efi/dev/ports.h"

namespace axiom::efi {

NvmeDisk::NvmeDisk(const NvmePlace& place, const Clock& clock)
    : full_name_("nvme ", place.where.text().view()),
      base_(place.registers),
      clock_(clock),
      function_(place.where, place.config_page),
      controller_(*this, full_name_.view(), place.range) {
    name = "nvme";
    if (!exists()) return;
    registers[0] = {{base_, base_ + NvmeController::register_bytes(place.cap)}, Cache::uncached};
    registers[1] = function_.config_registers();
    memory.bytes = NvmeController::memory_bytes(place.cap);
    memory.alignment = NvmeController::memory_alignment(place.cap);
}

Status NvmeDisk::start() {
    Status status = controller_.reset();
    if (!status.ok()) {
        function_.set_command(false);
        return status;
    }
    function_.set_command(true);
    status = controller_.start(reinterpret_cast<uint8_t*>(memory.address));
    if (!status.ok()) controller_.stop();
    return status;
}

uint32_t NvmeDisk::read(uint32_t offset) {
    return mmio_read<uint32_t>(base_ + offset);
}

void NvmeDisk::write(uint32_t offset, uint32_t value) {
    mmio_write<uint32_t>(base_ + offset, value);
}

}  // namespace axiom::efi
