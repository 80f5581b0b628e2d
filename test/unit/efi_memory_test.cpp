// SPDX-License-Identifier: MIT
// From a firmware memory map to the ranges the slab may have.
#include "efi/memory/memory_map.h"

#include <cstring>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint64_t kMib = 1 << 20;

// A map as firmware gives it: descriptors of 48 bytes, more than the 40 that the structure has.
struct RawMap {
    std::vector<uint8_t> bytes;
    void add(MemoryType type, uint64_t begin, uint64_t n_pages,
             uint64_t attributes = kAttributeWriteBack) {
        const size_t at = bytes.size();
        bytes.resize(at + 48);
        const auto type_word = uint32_t(type);
        memcpy(&bytes[at], &type_word, 4);
        memcpy(&bytes[at + 8], &begin, 8);
        memcpy(&bytes[at + 24], &n_pages, 8);
        memcpy(&bytes[at + 32], &attributes, 8);
    }
};

MemoryRegion region(MemoryType type, uint64_t begin, uint64_t end,
                    uint64_t attributes = kAttributeWriteBack) {
    return {begin, end, type, attributes};
}

std::vector<AddressRange> free_of(const std::vector<MemoryRegion>& regions,
                                  const std::vector<AddressRange>& kept, size_t capacity = 64,
                                  FreeMemoryKind kind = FreeMemoryKind::any) {
    std::vector<AddressRange> out(capacity);
    out.resize(free_ranges(regions, kept, kind, out));
    return out;
}

Result<size_t> decode(const RawMap& map, size_t descriptor_bytes, std::span<MemoryRegion> out) {
    SkippedRegions skipped;
    return decode_memory_map("map", map.bytes, descriptor_bytes, out, &skipped);
}

bool same(const std::vector<AddressRange>& a, const std::vector<AddressRange>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); i++) {
        if (a[i].begin != b[i].begin || a[i].end != b[i].end) return false;
    }
    return true;
}

}  // namespace

TEST_CASE("a memory map is decoded by the descriptor size the firmware states") {
    RawMap map;
    map.add(MemoryType::conventional, kMib, 16);
    map.add(MemoryType::reserved, 8 * kMib, 0);
    map.add(MemoryType::runtime_code, 4 * kMib, 1, kAttributeRuntime | kAttributeWriteBack);
    MemoryRegion out[8];
    const Result<size_t> n = decode(map, 48, out);
    REQUIRE(n.ok());
    REQUIRE(n.value() == 2);
    CHECK(out[0].begin == kMib);
    CHECK(out[0].end == kMib + 16 * 4096);
    CHECK(out[1].type == MemoryType::runtime_code);
    CHECK((out[1].attributes & kAttributeRuntime) != 0);
}

TEST_CASE("impossible descriptors are left out and told, and the others stay") {
    MemoryRegion out[8];
    RawMap map;
    map.add(MemoryType::conventional, kMib, 16);
    map.add(MemoryType::conventional, 4096, ~uint64_t{0} / 4096);  // wraps
    map.add(MemoryType::conventional, 100, 1);
    map.add(MemoryType::reserved, uint64_t{1} << 52, 1);
    map.add(MemoryType::boot_data, 8 * kMib, 16);
    SkippedRegions skipped;
    const Result<size_t> n = decode_memory_map("map", map.bytes, 48, out, &skipped);
    REQUIRE(n.ok());
    REQUIRE(n.value() == 2);
    CHECK(out[1].type == MemoryType::boot_data);
    CHECK(skipped.n == 3);
    CHECK(skipped.first.view() ==
          "map: descriptor at offset 0x30: found 0x1000 + 4503599627370495 pages, allowed "
          "page-aligned addresses below 2^52");
    REQUIRE(decode_memory_map("map", std::span(map.bytes).first(48), 48, out, &skipped).ok());
    CHECK(skipped.n == 0);
    CHECK(skipped.first.view().empty());
}

TEST_CASE("memory maps that cannot be read are refused") {
    MemoryRegion out[1];
    RawMap two;
    two.add(MemoryType::conventional, 4096, 1);
    two.add(MemoryType::conventional, 8192, 1);
    CHECK(decode(two, 48, out).status().code() == Code::no_memory);
    CHECK(decode(two, 39, out).status().code() == Code::bad_format);
    CHECK(decode(two, 0, out).status().code() == Code::bad_format);
    two.bytes.resize(40);
    CHECK(decode(two, 40, out).ok());
}

TEST_CASE("boot services' memory is free apart from the rest") {
    const std::vector<MemoryRegion> regions{
        region(MemoryType::boot_data, 8 * kMib, 9 * kMib),
        region(MemoryType::conventional, 0, 2 * kMib),
        region(MemoryType::loader_code, 2 * kMib, 3 * kMib),
        region(MemoryType::boot_code, 3 * kMib, 4 * kMib),
    };
    const std::vector<AddressRange> kept{{8 * kMib, 8 * kMib + 1}};
    CHECK(
        same(free_of(regions, kept, 64, FreeMemoryKind::never_boot_services), {{kMib, 3 * kMib}}));
    CHECK(same(free_of(regions, kept, 64, FreeMemoryKind::boot_services),
               {{3 * kMib, 4 * kMib}, {8 * kMib + 4096, 9 * kMib}}));
}

TEST_CASE("start-up code gets the highest low pages that nobody needs, and never the first page") {
    const auto pages_of = [](const std::vector<MemoryRegion>& regions,
                             const std::vector<AddressRange>& kept) {
        return find_low_pages(regions, kept, 3, 0xa0000);
    };
    const std::vector<MemoryRegion> regions{region(MemoryType::conventional, 0, 0x58000),
                                            region(MemoryType::reserved, 0x58000, 0x59000),
                                            region(MemoryType::boot_data, 0x59000, 0x9f000),
                                            region(MemoryType::reserved, 0x9f000, kMib)};
    CHECK(pages_of(regions, {}) == 0x9c000);
    CHECK(pages_of(regions, {{0x9b800, 0x9b900}}) == 0x9c000);
    CHECK(pages_of(regions, {{0x9c800, 0x9c900}}) == 0x99000);
    CHECK(pages_of(regions, {{0x59000, 0x9f000}}) == 0x55000);
    CHECK(pages_of({region(MemoryType::conventional, 0, 0x4000)}, {}) == 0x1000);
    CHECK(pages_of({region(MemoryType::conventional, 0, 0x3000)}, {}) == 0);
    CHECK(pages_of({region(MemoryType::conventional, 0x9e000, kMib)}, {}) == 0);
    CHECK(pages_of({region(MemoryType::runtime_data, 0x1000, kMib)}, {}) == 0);
    CHECK(pages_of({}, {}) == 0);
}

TEST_CASE("free memory is merged, ascending and starts at one MiB") {
    const auto free = free_of({region(MemoryType::boot_data, 8 * kMib, 9 * kMib),
                               region(MemoryType::conventional, 0, 2 * kMib),
                               region(MemoryType::loader_code, 2 * kMib, 3 * kMib),
                               region(MemoryType::boot_code, 3 * kMib, 4 * kMib)},
                              {});
    CHECK(same(free, {{kMib, 4 * kMib}, {8 * kMib, 9 * kMib}}));
    CHECK(total_bytes(free) == 4 * kMib);
}

TEST_CASE("what firmware, hardware or we ourselves own is not free") {
    const auto free =
        free_of({region(MemoryType::conventional, 4 * kMib, 16 * kMib),
                 region(MemoryType::runtime_data, 16 * kMib, 17 * kMib),
                 region(MemoryType::acpi_reclaim, 17 * kMib, 18 * kMib),
                 region(MemoryType::acpi_nvs, 18 * kMib, 19 * kMib),
                 region(MemoryType::mmio, 19 * kMib, 20 * kMib),
                 region(MemoryType::unaccepted, 20 * kMib, 21 * kMib),
                 region(MemoryType::persistent, 21 * kMib, 22 * kMib)},
                {{6 * kMib, 8 * kMib}, {4 * kMib, 5 * kMib}, {15 * kMib + 1, 15 * kMib + 2}});
    CHECK(same(free, {{5 * kMib, 6 * kMib}, {8 * kMib, 15 * kMib}, {15 * kMib + 4096, 16 * kMib}}));
}

TEST_CASE("memory that cannot be cached or that runtime services want is not free") {
    CHECK(free_of({region(MemoryType::conventional, kMib, 2 * kMib, 0)}, {}).empty());
    CHECK(free_of({region(MemoryType::boot_data, kMib, 2 * kMib,
                          kAttributeWriteBack | kAttributeRuntime)},
                  {})
              .empty());
}

TEST_CASE("a map that overlaps itself loses the doubtful part") {
    const auto free = free_of({region(MemoryType::conventional, kMib, 8 * kMib),
                               region(MemoryType::conventional, 2 * kMib, 3 * kMib),
                               region(MemoryType::reserved, 4 * kMib, 5 * kMib)},
                              {});
    CHECK(same(free, {{kMib, 4 * kMib}, {5 * kMib, 8 * kMib}}));
}

TEST_CASE("of more pieces than there is room for the largest are kept, ascending") {
    // 1, 2 .. 8 MiB, each followed by a gap, the larger ones higher up; two more below them all.
    std::vector<MemoryRegion> regions{region(MemoryType::conventional, 2 * kMib, 7 * kMib)};
    for (uint64_t i = 1; i <= 8; i++) {
        const uint64_t begin = 16 * i * kMib;
        regions.push_back(region(MemoryType::conventional, begin, begin + i * kMib));
    }
    const auto free = free_of(regions, {{3 * kMib, 4 * kMib}}, 3);
    CHECK(
        same(free, {{96 * kMib, 102 * kMib}, {112 * kMib, 119 * kMib}, {128 * kMib, 136 * kMib}}));
    CHECK(free_of(regions, {}, 0).empty());
}

TEST_CASE("a large piece made of many small regions in any order is kept as one") {
    std::vector<MemoryRegion> regions;
    for (uint64_t i = 64; i > 32; i--) {
        regions.push_back(region(i % 2 != 0 ? MemoryType::conventional : MemoryType::boot_data,
                                 i * kMib, (i + 1) * kMib));
    }
    regions.push_back(region(MemoryType::conventional, 2 * kMib, 4 * kMib));
    regions.push_back(region(MemoryType::conventional, 8 * kMib, 10 * kMib));
    CHECK(same(free_of(regions, {}, 1), {{33 * kMib, 65 * kMib}}));
}

TEST_CASE("of pieces of one size the lowest are kept") {
    std::vector<MemoryRegion> regions;
    for (uint64_t i = 1; i < 10; i++) {
        regions.push_back(region(MemoryType::conventional, 2 * i * kMib, (2 * i + 1) * kMib));
    }
    CHECK(same(free_of(regions, {}, 2), {{2 * kMib, 3 * kMib}, {4 * kMib, 5 * kMib}}));
}
