// SPDX-License-Identifier: MIT
// Page tables on the heap, and questions a test asks of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "efi/memory/paging.h"

namespace axiom::efi {

struct Tables {
    static constexpr uint64_t kAddress = 0x000ffffffffff000;
    static constexpr size_t kPool = 64;

    std::unique_ptr<PageTable[]> pool;
    PageTables tables;
    explicit Tables(PageTables::Features features = {true, true, false}, size_t n = kPool)
        : pool(new PageTable[n]) {
        tables.init({pool.get(), n}, features);
    }

    uint64_t flags(uint64_t address) const { return tables.find(address).entry & ~kAddress; }
    bool mapped(uint64_t address) const { return tables.find(address).page_bytes != 0; }
    bool writable(uint64_t address) const { return (flags(address) & PageTables::kWritable) != 0; }
    bool executable(uint64_t address) const {
        return mapped(address) && (flags(address) & PageTables::kNoExecute) == 0;
    }
    bool uncached(uint64_t address) const { return (flags(address) & PageTables::kUncached) != 0; }
};

}  // namespace axiom::efi
