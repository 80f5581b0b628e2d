// SPDX-License-Identifier: MIT
// The firmware's memory map as data: decoding, and which addresses are ours after
// ExitBootServices (UEFI 2.10, section 7.2, tables 7.5 and 7.6).
// Must not know: how the map was obtained.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/slab.h"
#include "core/status.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {

enum class MemoryType : uint32_t {
    reserved = 0,
    loader_code = 1,
    loader_data = 2,
    boot_code = 3,
    boot_data = 4,
    runtime_code = 5,
    runtime_data = 6,
    conventional = 7,
    unusable = 8,
    acpi_reclaim = 9,
    acpi_nvs = 10,
    mmio = 11,
    mmio_ports = 12,
    pal_code = 13,
    persistent = 14,
    unaccepted = 15
};

inline constexpr uint64_t kAttributeWriteBack = 0x8;
inline constexpr uint64_t kAttributeExecuteProtect = 0x4000;
inline constexpr uint64_t kAttributeReadOnly = 0x20000;
inline constexpr uint64_t kAttributeRuntime = uint64_t{1} << 63;

struct MemoryRegion {
    uint64_t begin = 0, end = 0;  // 4 KiB-aligned, physical
    MemoryType type = MemoryType::reserved;
    uint64_t attributes = 0;
};

// EFI_MEMORY_DESCRIPTORs `descriptor_bytes` apart -> regions in the order given; empty ones are
// left out. bad_format for a size below a descriptor's or an address past 2^52, no_memory when
// `out` is full.
Result<size_t> decode_memory_map(std::string_view what, std::span<const uint8_t> map,
                                 size_t descriptor_bytes, std::span<MemoryRegion> out);

// Memory that is free once boot services are gone, merged, ascending, 4 KiB-aligned:
// conventional, boot-services and loader memory from 1 MiB up, minus every other region and minus
// `kept`. Of more than out.size() pieces the largest are given.
size_t free_ranges(std::span<const MemoryRegion> regions, std::span<const AddressRange> kept,
                   std::span<AddressRange> out);

uint64_t total_bytes(std::span<const AddressRange> ranges);

// Whether a type is RAM that code may have to read or write after the exit (so it gets mapped).
bool is_memory(MemoryType type);

// Physical memory as far as it may be read: nullptr for a range that is not all in it.
struct PhysicalView {
    const uint8_t* (*at)(const void* context, uint64_t address, uint64_t n_bytes) = nullptr;
    const void* context = nullptr;
};
// What the map describes as RAM, and what it calls reserved: some firmware keeps its tables there.
// `regions` outlive the view.
PhysicalView readable_memory(const std::span<const MemoryRegion>* regions);

}  // namespace axiom::efi
