// SPDX-License-Identifier: MIT
#include "efi/boot/handles.h"

namespace axiom::efi {

Handles::Handles(const Firmware& firmware, EFI_LOCATE_SEARCH_TYPE which, EFI_GUID* protocol)
    : firmware_(firmware) {
    if (EFI_ERROR(firmware.boot->LocateHandleBuffer(which, protocol, nullptr, &n_, &handles_))) {
        n_ = 0;
        handles_ = nullptr;
    }
}

Handles::~Handles() {
    if (handles_ != nullptr) firmware_.boot->FreePool(handles_);
}

}  // namespace axiom::efi
