// SPDX-License-Identifier: MIT
// Builds x86-64 page tables in a caller's pool: identity mapping with the largest page that fits,
// split where protections differ (Intel SDM vol. 3A, chapter 4).
// Must not know: what is mapped why, or how the tables are switched to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"

namespace axiom::efi {

enum class Access : uint8_t {
    none,  // not present: null page, guards
    read,
    read_write,
    read_execute,
    everything,  // runtime services code that firmware did not split into code and data
};
// The PAT's entries 0, 2 and 1 (efi/cpu/memory_types.h): WB, UC-, and WC.
enum class Cache : uint8_t { write_back, uncached, write_combining };

struct alignas(4096) PageTable {
    uint64_t entries[512];
};

class PageTables {
  public:
    struct Features {
        bool gib_pages = false;    // CPUID 0x80000001 EDX bit 26
        bool no_execute = false;   // CPUID 0x80000001 EDX bit 20
        bool five_levels = false;  // CR4.LA57 is on and cannot be turned off in long mode
        bool only_small = false;   // by wish: nothing larger than 4 KiB (--disturb)
    };

    // `pool` is identity-mapped, uninitialised, 4 KiB-aligned and outlives the tables.
    // It must hold at least one table (two with five levels).
    void init(std::span<PageTable> pool, const Features& features);

    // Maps [begin, end), widened to whole pages, onto itself; later calls override earlier ones.
    // no_memory when the pool is used up; bad_format for an address that is not canonical-low.
    Status map(uint64_t begin, uint64_t end, Access access, Cache cache = Cache::write_back);

    // Lets two pages of one size translate to each other's memory; false where one is not mapped, or they
    // are not alike.
    bool swap_pages(uint64_t a, uint64_t b);

    uint64_t root() const { return uint64_t(root_); }  // for CR3
    size_t n_used() const { return n_used_; }

    // The entry that translates `address`, and the size of its page; entry 0 where nothing does.
    struct Leaf {
        uint64_t entry = 0;
        uint64_t page_bytes = 0;

        uint64_t physical() const { return entry & kAddressMask & ~(page_bytes - 1); }
    };
    Leaf find(uint64_t address) const;

    // The pages that translate [begin, end), up to the first address that nothing translates.
    struct Counts {
        uint64_t n_4kib = 0, n_2mib = 0, n_1gib = 0;
    };
    Counts count(uint64_t begin, uint64_t end) const;

    static constexpr uint64_t kAddressMask = 0x000ffffffffff000;
    static constexpr uint64_t kPresent = 1, kWritable = 2, kLarge = 1 << 7;
    static constexpr uint64_t kCombining = 1 << 3, kUncached = 1 << 4;  // PWT and PCD
    static constexpr uint64_t kNoExecute = uint64_t{1} << 63;

  private:
    PageTable* take();
    struct Slot {
        uint64_t* entry = nullptr;  // nullptr: nothing translates the address
        uint64_t page_bytes = 0;
    };
    Slot slot(uint64_t address) const;
    Status map_in(PageTable* table, int level, uint64_t begin, uint64_t end, uint64_t flags);

    std::span<PageTable> pool_;
    size_t n_used_ = 0;
    PageTable* root_ = nullptr;
    Features features_;
};

}  // namespace axiom::efi
