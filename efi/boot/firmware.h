// SPDX-License-Identifier: MIT
// What main() was handed by the firmware, and small questions asked of it. Valid until
// ExitBootServices unless said otherwise.
#pragma once

#include <efi.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"
#include "efi/memory/memory_map.h"

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

// "not found" for EFI_NOT_FOUND and so on, with the number.
Text<48> status_name(EFI_STATUS status);
// The status efi_main returns for an error of ours.
EFI_STATUS to_efi_status(const Status& status);

// A vendor table by GUID; 0 when there is none.
uint64_t configuration_table(const Firmware& firmware, const EFI_GUID& guid);
uint64_t acpi_rsdp(const Firmware& firmware);
uint64_t memory_attributes_table(const Firmware& firmware);

// "EDK II 0x10000, UEFI 2.7"
Text<128> firmware_name(const Firmware& firmware);
// "2026-01-31T12:00:00Z", or empty when the clock cannot be read.
Text<32> utc_now(const Firmware& firmware);

// Pages of EfiLoaderData, `alignment`-aligned (a power of two, at least a page): what is
// over-allocated to align is given back. no_memory names the need and the largest piece there is.
Result<uint64_t> allocate_pages(const Firmware& firmware, std::string_view what, uint64_t bytes,
                                uint64_t alignment);
void free_pages(const Firmware& firmware, uint64_t address, uint64_t bytes);

// The current memory map, decoded. `buffer` receives the raw descriptors.
struct MemoryMap {
    std::span<const MemoryRegion> regions;
    UINTN key = 0;
};
Status read_memory_map(const Firmware& firmware, std::span<uint8_t> buffer,
                       std::span<MemoryRegion> regions, MemoryMap* out);

}  // namespace axiom::efi
