// SPDX-License-Identifier: MIT
// Memory as boot services give it: pages, what of them is ours, the memory map (UEFI 2.10, section
// 7.2). Must not know: what the memory is for.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/slab.h"
#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/memory/memory_map.h"

namespace axiom::efi {

struct PageRequest {
    std::string_view what;  // for the message
    uint64_t bytes = 0;
    uint64_t alignment = kPageBytes;       // a power of two, at least a page
    uint64_t below = kMaxPhysicalAddress;  // where they end at the latest
};

// Pages of EfiLoaderData, with any content; what is over-allocated to align them is given back.
// no_memory names the need, and the largest piece there is.
Result<uint64_t> allocate_pages(const Firmware& firmware, const PageRequest& request);
void free_pages(const Firmware& firmware, uint64_t address, uint64_t bytes);

// The memory that is AXIOM's, which nothing else may have after the exit. What it took is given
// back when the object is destroyed, which never happens after the exit.
class OwnedPages {
  public:
    explicit OwnedPages(const Firmware& firmware) : firmware_(firmware) {}
    ~OwnedPages();
    OwnedPages(const OwnedPages&) = delete;
    OwnedPages& operator=(const OwnedPages&) = delete;

    // As allocate_pages(). Panics past kMax: how many there are is ours to know.
    Result<uint64_t> take(const PageRequest& request);
    // Memory that is ours, but not to be given back here.
    void keep(const AddressRange& range);

    std::span<const AddressRange> ranges() const { return {ranges_, n_}; }

    static constexpr size_t kMax = 32;

  private:
    const Firmware& firmware_;
    AddressRange ranges_[kMax] = {};
    bool taken_[kMax] = {};
    size_t n_ = 0;
};

// The memory map, and the memory to read it into, again and again.
class MemoryMap {
  public:
    Status allocate(OwnedPages* pages);
    // As it is now; `key` names this state of it.
    Status read(const Firmware& firmware);

    std::span<const MemoryRegion> regions;
    SkippedRegions skipped;
    UINTN key = 0;

  private:
    std::span<uint8_t> raw_;
    std::span<MemoryRegion> storage_;
};

}  // namespace axiom::efi
