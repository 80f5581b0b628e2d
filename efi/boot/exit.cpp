// SPDX-License-Identifier: MIT
#include "efi/boot/exit.h"

#include "efi/cpu/cpu.h"

namespace axiom::efi {

Status exit_boot_services(const Firmware& firmware, MemoryMap* map) {
    constexpr int kMaxTries = 8;
    EFI_STATUS status = EFI_SUCCESS;
    for (int i = 0; i < kMaxTries; i++) {
        // The key names one state of the map; whatever a timer event allocates in between makes it
        // stale.
        Status read = map->read(firmware);
        if (!read.ok()) return read;
        status = firmware.boot->ExitBootServices(firmware.image, map->key);
        if (!EFI_ERROR(status)) {
            mask_interrupts();
            return {};
        }
        if (status != EFI_INVALID_PARAMETER) break;
    }
    return error(Code::io, "firmware: ExitBootServices: ", status_name(status).view());
}

}  // namespace axiom::efi
