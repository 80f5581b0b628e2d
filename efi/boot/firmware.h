// SPDX-License-Identifier: MIT
// What efi_main was handed by the firmware, and small questions asked of it. Valid until
// ExitBootServices unless said otherwise.
#pragma once

#include <efi.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "efi/memory/machine_map.h"

namespace axiom::efi {

struct Firmware {
    EFI_HANDLE image = nullptr;
    EFI_SYSTEM_TABLE* system = nullptr;
    EFI_BOOT_SERVICES* boot = nullptr;
    EFI_RUNTIME_SERVICES* runtime = nullptr;  // stays valid after the exit
    EFI_LOADED_IMAGE_PROTOCOL* loaded = nullptr;
    bool from_shell = false;
};

// Fills in everything; not_found when the firmware does not know our own image.
Status open_firmware(EFI_HANDLE image, EFI_SYSTEM_TABLE* system, Firmware* out);

// What the image itself says of its options: its section .policy, empty without one.
std::span<const uint8_t> image_policy(const Firmware& firmware);
// Our own image in memory.
ImageParts image_parts(const Firmware& firmware);

// "not found" for EFI_NOT_FOUND and so on, with the number.
Text<48> status_name(EFI_STATUS status);
// The status efi_main returns for an error of ours.
EFI_STATUS to_efi_status(const Status& status);

// Addresses of tables, as they are now, also after the exit; 0 where there is none.
uint64_t acpi_rsdp(const Firmware& firmware);
uint64_t memory_attributes_table(const Firmware& firmware);

// "EDK II 0x10000, UEFI 2.7"
Text<128> firmware_name(const Firmware& firmware);
// Secure Boot as the firmware reports it (UEFI 2.10 section 3.3): "on", "off", or "setup" where keys can
// still be enrolled by anyone; "unknown" where it has no such variable.
std::string_view secure_boot_state(const Firmware& firmware);
// "2026-01-31T12:00:00Z", or empty when the clock cannot be read.
Text<32> utc_now(const Firmware& firmware);

}  // namespace axiom::efi
