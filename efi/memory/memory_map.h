// SPDX-License-Identifier: MIT
// The firmware's memory map as data: decoding, and which addresses are ours after
// ExitBootServices (UEFI 2.10, section 7.2, tables 7.5 and 7.6).
// Must not know: how the map was obtained.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/fmt.h"
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

// Descriptors that no memory can have: some firmware's map has one, of a device nobody asks for.
struct SkippedRegions {
    size_t n = 0;
    Text<160> first{""};  // for people; empty where there are none
};
// EFI_MEMORY_DESCRIPTORs `descriptor_bytes` apart -> regions in the order given; empty ones are
// left out, and those past 2^52 or not of whole pages, which `skipped` then tells. bad_format for a size below
// a descriptor's, no_memory when `out` is full.
Result<size_t> decode_memory_map(std::string_view what, std::span<const uint8_t> map,
                                 size_t descriptor_bytes, std::span<MemoryRegion> out,
                                 SkippedRegions* skipped);

// RAM that nobody needs after the exit.
bool is_free(const MemoryRegion& region);

// Boot services' memory is as good as any once they are gone, but for a device that firmware left running and
// that still writes there: it is used last.
enum class FreeMemoryKind : uint8_t { any, never_boot_services, boot_services };
// Memory that is free once boot services are gone, merged, ascending, 4 KiB-aligned:
// conventional, boot-services and loader memory from 1 MiB up, minus every other region and minus
// `kept`; of the kind asked for. Of more than out.size() pieces the largest are given.
size_t free_ranges(std::span<const MemoryRegion> regions, std::span<const AddressRange> kept,
                   FreeMemoryKind kind, std::span<AddressRange> out);

// `n_pages` pages of RAM that nobody needs after the exit, not the first page, that end at or below `below`,
// the highest there are; 0 where there are none. For start-up code, which has to be below 1 MiB.
uint64_t find_low_pages(std::span<const MemoryRegion> regions, std::span<const AddressRange> kept,
                        uint64_t n_pages, uint64_t below);

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
