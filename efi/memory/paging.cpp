// SPDX-License-Identifier: MIT
#include "efi/memory/paging.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {
namespace {

constexpr uint64_t page_bytes(int level) {
    return uint64_t{1} << (12 + 9 * (level - 1));
}
constexpr size_t index_of(uint64_t address, int level) {
    return size_t(address >> (12 + 9 * (level - 1))) & 511;
}
PageTable* table_at(uint64_t entry) {
    return reinterpret_cast<PageTable*>(entry & PageTables::kAddressMask);
}

}  // namespace

void PageTables::init(std::span<PageTable> pool, const Features& features) {
    pool_ = pool;
    n_used_ = 0;
    features_ = features;
    root_ = take();
    AXIOM_CHECK(root_ != nullptr);
}

PageTable* PageTables::take() {
    if (n_used_ == pool_.size()) return nullptr;
    PageTable* table = &pool_[n_used_++];
    memset(table, 0, sizeof *table);
    return table;
}

Status PageTables::map(uint64_t begin, uint64_t end, Access access, Cache cache) {
    begin = begin / kPageBytes * kPageBytes;
    if (end > kMappableEnd || begin > end) {
        return error(Code::bad_format, "page tables: range ", Hex{begin}, "..", Hex{end},
                     ": allowed ascending addresses below 2^47");
    }
    end = round_up(end, kPageBytes);
    uint64_t flags = 0;
    if (access != Access::none) {
        flags = kPresent;
        if (access == Access::read_write || access == Access::everything) flags |= kWritable;
        const bool executable = access == Access::read_execute || access == Access::everything;
        if (!executable && features_.no_execute) flags |= kNoExecute;
        if (cache == Cache::uncached) flags |= kUncached;
        if (cache == Cache::write_combining) flags |= kCombining;
    }
    return map_in(root_, features_.five_levels ? 5 : 4, begin, end, flags);
}

Status PageTables::map_in(PageTable* table, int level, uint64_t begin, uint64_t end,
                          uint64_t flags) {
    const uint64_t bytes = page_bytes(level);
    for (uint64_t at = begin; at < end;) {
        const uint64_t next = std::min(end, (at / bytes + 1) * bytes);
        uint64_t& entry = table->entries[index_of(at, level)];
        const bool whole = at % bytes == 0 && next - at == bytes;
        const bool is_table = level > 1 && (entry & kPresent) != 0 && (entry & kLarge) == 0;
        const bool leaf_allowed =
            level == 1 || (!is_table && !features_.only_small &&
                           (level == 2 || (level == 3 && features_.gib_pages)));
        if (whole && leaf_allowed) {
            entry = flags == 0 ? 0 : at | flags | (level > 1 ? kLarge : 0);
        } else if (!is_table && (entry & kPresent) == 0 && flags == 0) {
            // Already absent.
        } else {
            if (!is_table) {
                PageTable* child = take();
                if (child == nullptr) {
                    return error(Code::no_memory, "page tables: all ", pool_.size(),
                                 " tables are used at address ", Hex{at});
                }
                if ((entry & kPresent) != 0) {  // split a large page, keeping its protection
                    const uint64_t child_bytes = page_bytes(level - 1);
                    const uint64_t first = at / bytes * bytes;
                    uint64_t kept = entry & ~kAddressMask & ~kLarge;
                    if (level - 1 > 1) kept |= kLarge;
                    for (size_t i = 0; i < 512; i++) {
                        child->entries[i] = (first + i * child_bytes) | kept;
                    }
                }
                // Upper levels allow everything; the leaf decides.
                entry = uint64_t(child) | kPresent | kWritable;
            }
            Status status = map_in(table_at(entry), level - 1, at, next, flags);
            if (!status.ok()) return status;
        }
        at = next;
    }
    return {};
}

PageTables::Slot PageTables::slot(uint64_t address) const {
    PageTable* table = root_;
    if (table == nullptr || address >> 47 != 0) return {};
    for (int level = features_.five_levels ? 5 : 4; level > 0; level--) {
        uint64_t& entry = table->entries[index_of(address, level)];
        if ((entry & kPresent) == 0) return {};
        if (level == 1 || (entry & kLarge) != 0) return {&entry, page_bytes(level)};
        table = table_at(entry);
    }
    return {};
}

bool PageTables::swap_pages(uint64_t a, uint64_t b) {
    const Slot slot_a = slot(a), slot_b = slot(b);
    if (slot_a.entry == nullptr || slot_a.page_bytes != slot_b.page_bytes) return false;
    const uint64_t address_a = *slot_a.entry & kAddressMask;
    const uint64_t address_b = *slot_b.entry & kAddressMask;
    *slot_a.entry = (*slot_a.entry & ~kAddressMask) | address_b;
    *slot_b.entry = (*slot_b.entry & ~kAddressMask) | address_a;
    return true;
}

PageTables::Leaf PageTables::find(uint64_t address) const {
    const Slot found = slot(address);
    return found.entry == nullptr ? Leaf() : Leaf{*found.entry, found.page_bytes};
}

PageTables::Counts PageTables::count(uint64_t begin, uint64_t end) const {
    Counts counts;
    for (uint64_t at = begin; at < end;) {
        const uint64_t bytes = find(at).page_bytes;
        if (bytes == 0) break;
        (bytes == page_bytes(1)   ? counts.n_4kib
         : bytes == page_bytes(2) ? counts.n_2mib
                                  : counts.n_1gib)++;
        at = (at / bytes + 1) * bytes;
    }
    return counts;
}

}  // namespace axiom::efi
