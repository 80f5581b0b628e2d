// SPDX-License-Identifier: MIT
#include "efi/memory/memory_map.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"

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

bool is_free_as(const MemoryRegion& region, FreeMemoryKind kind) {
    const bool is_boot =
        region.type == MemoryType::boot_code || region.type == MemoryType::boot_data;
    return is_free(region) &&
           (kind == FreeMemoryKind::any || is_boot == (kind == FreeMemoryKind::boot_services));
}

// Ascending ranges in the caller's storage; when that is full the smallest gives way.
struct RangeList {
    std::span<AddressRange> storage;
    size_t n = 0;

    void append(const AddressRange& range) {
        if (range.size() == 0 || storage.empty()) return;
        if (n == storage.size()) {
            const auto smallest = std::min_element(
                storage.begin(), storage.end(),
                [](const AddressRange& x, const AddressRange& y) { return x.size() < y.size(); });
            if (smallest->size() >= range.size()) return;
            std::copy(smallest + 1, storage.end(), smallest);
            n--;
        }
        storage[n++] = range;
    }
};

AddressRange whole_pages(const AddressRange& range) {
    return {range.begin / kPageBytes * kPageBytes, round_up(range.end, kPageBytes)};
}

// The longest stretch of one free region that begins at the first free address from `from` on;
// empty when there is none. Only begin is final: others' memory may lie in it.
AddressRange next_free(std::span<const MemoryRegion> regions, FreeMemoryKind kind, uint64_t from) {
    AddressRange next{~uint64_t{0}, ~uint64_t{0}};
    for (const MemoryRegion& region : regions) {
        if (!is_free_as(region, kind) || region.end <= from) continue;
        const uint64_t begin = std::max(region.begin, from);
        if (begin < next.begin || (begin == next.begin && region.end > next.end)) {
            next = {begin, region.end};
        }
    }
    return next;
}

// Cuts `range` where `hole` begins; false, with *resume moved, when `hole` covers its beginning.
bool cut(AddressRange* range, const AddressRange& hole, uint64_t* resume) {
    if (hole.begin >= range->end || hole.end <= range->begin) return true;
    if (hole.begin > range->begin) {
        range->end = hole.begin;
        return true;
    }
    *resume = std::max<uint64_t>(*resume, hole.end);
    return false;
}

}  // namespace

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

Result<size_t> decode_memory_map(std::string_view what, std::span<const uint8_t> map,
                                 size_t descriptor_bytes, std::span<MemoryRegion> out,
                                 SkippedRegions* skipped) {
    *skipped = {};
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
            if (skipped->n++ != 0) continue;
            skipped->first =
                Text<160>(what, ": descriptor at offset ", Hex{at}, ": found ", Hex{d.physical},
                          " + ", d.n_pages, " pages, allowed page-aligned addresses below 2^52");
            continue;
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
                   FreeMemoryKind kind, std::span<AddressRange> out) {
    // One walk upwards, so that no more is held than the piece at hand: a map that overlaps itself
    // loses the doubtful part, and pieces that touch become one.
    RangeList list{out};
    AddressRange piece{};
    for (uint64_t at = kLowest;;) {
        AddressRange next = next_free(regions, kind, at);
        if (next.size() == 0) break;
        bool begins_free = true;
        for (const MemoryRegion& region : regions) {
            if (!is_free_as(region, kind))
                begins_free &= cut(&next, {region.begin, region.end}, &at);
        }
        for (const AddressRange& range : kept) begins_free &= cut(&next, whole_pages(range), &at);
        if (!begins_free) continue;
        at = next.end;
        if (piece.end == next.begin) {
            piece.end = next.end;
        } else {
            list.append(piece);
            piece = next;
        }
    }
    list.append(piece);
    return list.n;
}

uint64_t find_low_pages(std::span<const MemoryRegion> regions, std::span<const AddressRange> kept,
                        uint64_t n_pages, uint64_t below) {
    const uint64_t bytes = n_pages * kPageBytes;
    const auto is_all_free = [&](const AddressRange& piece) {
        bool is_covered = false;
        for (const MemoryRegion& region : regions) {
            const bool is_apart = region.begin >= piece.end || region.end <= piece.begin;
            if (is_apart) continue;
            if (!is_free(region)) return false;
            is_covered |= piece.begin >= region.begin && piece.end <= region.end;
        }
        return is_covered && std::all_of(kept.begin(), kept.end(), [&](const AddressRange& range) {
                   return range.begin >= piece.end || range.end <= piece.begin;
               });
    };
    for (uint64_t end = below / kPageBytes * kPageBytes; end >= bytes + kPageBytes;
         end -= kPageBytes) {
        if (is_all_free({end - bytes, end})) return end - bytes;
    }
    return 0;
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

PhysicalView readable_memory(const std::span<const MemoryRegion>* regions) {
    return {[](const void* context, uint64_t address, uint64_t n_bytes) -> const uint8_t* {
                uint64_t end = 0;
                if (address == 0 || !checked_add(address, n_bytes, &end)) return nullptr;
                const auto* all = static_cast<const std::span<const MemoryRegion>*>(context);
                for (const MemoryRegion& region : *all) {
                    const bool readable =
                        is_memory(region.type) || region.type == MemoryType::reserved;
                    if (readable && address >= region.begin && end <= region.end) {
                        return reinterpret_cast<const uint8_t*>(address);
                    }
                }
                return nullptr;
            },
            regions};
}

}  // namespace axiom::efi
