// SPDX-License-Identifier: MIT
// Which handles there are (UEFI 2.10, section 7.3).
// Must not know: what is looked for.
#pragma once

#include <span>

#include "efi/boot/firmware.h"

namespace axiom::efi {

// Handles that have a protocol, or all there are, in the firmware's order; freed with the object.
class Handles {
  public:
    Handles(const Firmware& firmware, EFI_GUID protocol)
        : Handles(firmware, ByProtocol, &protocol) {}
    explicit Handles(const Firmware& firmware) : Handles(firmware, AllHandles, nullptr) {}
    ~Handles();
    Handles(const Handles&) = delete;
    Handles& operator=(const Handles&) = delete;
    std::span<EFI_HANDLE const> all() const { return {handles_, n_}; }

  private:
    Handles(const Firmware& firmware, EFI_LOCATE_SEARCH_TYPE which, EFI_GUID* protocol);

    const Firmware& firmware_;
    EFI_HANDLE* handles_ = nullptr;
    UINTN n_ = 0;
};

}  // namespace axiom::efi
