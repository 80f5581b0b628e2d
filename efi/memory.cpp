// SPDX-License-Identifier: MIT
#include "efi/memory.h"

#include <algorithm>
#include <cstring>

namespace axiom::efi {
namespace {

struct Descriptor {  // EFI_MEMORY_DESCRIPTOR, UEFI 2.10 section 7.2.3
    uint32_t type;
    uint32_t padding;
    uint64_t physical;
    uint64_t virtual_;
    uint64_t n_pages;
    uint64_t attributes;
};
static_assert(sizeof(Descriptor) == 40);

// Below 1 MiB live firmware data areas, the trampoline that starts other cores, and holes.
constexpr uint64_t kLowest = 1 << 20;

bool is_free(const MemoryRegion& region) {
    switch (region.type) {
        case MemoryType::loader_code:
        case MemoryType::loader_data:
        case MemoryType::boot_code:
        case MemoryType::boot_data:
        case MemoryType::conventional:
            return (region.attributes & kAttributeWriteBack) != 0 &&
                   (region.attributes & kAttributeRuntime) == 0;
        default:
            return false;
    }
}

// Ascending list of disjoint ranges in the caller's storage.
struct RangeList {
    std::span<AddressRange> storage;
    size_t n = 0;

    void add(AddressRange range) {
        if (range.begin >= range.end) return;
        size_t i = n;
        while (i > 0 && storage[i - 1].begin > range.begin) i--;
        // Swallow what touches the new range on either side.
        if (i > 0 && storage[i - 1].end >= range.begin) i--;
        size_t last = i;
        while (last < n && storage[last].begin <= range.end) {
            range.begin = std::min(range.begin, storage[last].begin);
            range.end = std::max(range.end, storage[last].end);
            last++;
        }
        if (last == i && n == storage.size()) return;
        replace(i, last, &range, 1);
    }

    void subtract(AddressRange hole) {
        for (size_t i = 0; i < n; i++) {
            const AddressRange range = storage[i];
            if (hole.end <= range.begin || hole.begin >= range.end) continue;
            AddressRange rest[2];
            size_t n_rest = 0;
            if (hole.begin > range.begin) rest[n_rest++] = {range.begin, hole.begin};
            if (hole.end < range.end) rest[n_rest++] = {hole.end, range.end};
            if (n_rest == 2 && n == storage.size()) n_rest = 1;
            replace(i, i + 1, rest, n_rest);
            i += n_rest;
            i--;
        }
    }

    void replace(size_t begin, size_t end, const AddressRange* with, size_t n_with) {
        memmove(storage.data() + begin + n_with, storage.data() + end,
                (n - end) * sizeof(AddressRange));
        for (size_t i = 0; i < n_with; i++) storage[begin + i] = with[i];
        n = n - (end - begin) + n_with;
    }
};

}  // namespace

Result<size_t> decode_memory_map(std::string_view what, std::span<const uint8_t> map,
                                 size_t descriptor_bytes, std::span<MemoryRegion> out) {
    if (descriptor_bytes < sizeof(Descriptor)) {
        return field_error(what, "descriptor size", 0, descriptor_bytes, "40 or more");
    }
    size_t n = 0;
    for (size_t at = 0; map.size() - at >= descriptor_bytes; at += descriptor_bytes) {
        Descriptor d;
        memcpy(&d, map.data() + at, sizeof d);
        if (d.n_pages == 0) continue;
        uint64_t bytes = 0, end = 0;
        if (!checked_mul(d.n_pages, kPageBytes, &bytes) || !checked_add(d.physical, bytes, &end) ||
            end > kMaxPhysicalAddress || d.physical % kPageBytes != 0) {
            return field_error(what, "descriptor", at,
                               Text<64>(Hex{d.physical}, " + ", d.n_pages, " pages"),
                               "page-aligned addresses below 2^52");
        }
        if (n == out.size()) {
            return error(Code::no_memory, what, ": more than the ", out.size(),
                         " descriptors allowed");
        }
        out[n++] = {d.physical, end, MemoryType(d.type), d.attributes};
    }
    return n;
}

size_t free_ranges(std::span<const MemoryRegion> regions, std::span<const AddressRange> kept,
                   std::span<AddressRange> out) {
    RangeList list{out};
    for (const MemoryRegion& region : regions) {
        if (is_free(region)) list.add({std::max(region.begin, kLowest), region.end});
    }
    // A map that overlaps itself loses the doubtful part.
    for (const MemoryRegion& region : regions) {
        if (!is_free(region)) list.subtract({region.begin, region.end});
    }
    for (const AddressRange& range : kept) {
        list.subtract({range.begin / kPageBytes * kPageBytes,
                       (range.end + kPageBytes - 1) / kPageBytes * kPageBytes});
    }
    return list.n;
}

uint64_t total_bytes(std::span<const AddressRange> ranges) {
    uint64_t bytes = 0;
    for (const AddressRange& range : ranges) bytes += range.size();
    return bytes;
}

bool is_memory(MemoryType type) {
    switch (type) {
        case MemoryType::loader_code:
        case MemoryType::loader_data:
        case MemoryType::boot_code:
        case MemoryType::boot_data:
        case MemoryType::runtime_code:
        case MemoryType::runtime_data:
        case MemoryType::conventional:
        case MemoryType::acpi_reclaim:
        case MemoryType::acpi_nvs:
            return true;
        default:
            return false;
    }
}

}  // namespace axiom::efi
