// SPDX-License-Identifier: MIT
#include "efi/memory/place_pages.h"

#include <algorithm>

#include "core/round.h"
#include "core/status.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {
namespace {

// Large pages of a list of ranges, one after the other.
class FreePages {
  public:
    explicit FreePages(std::span<const AddressRange> ranges) : ranges_(ranges) {}

    // The next one, 0 after the last.
    uint64_t next() {
        for (; i_ < ranges_.size(); i_++, at_ = 0) {
            const uint64_t begin =
                round_up(std::max(at_, uint64_t(ranges_[i_].begin)), kLargePageBytes);
            if (begin + kLargePageBytes > ranges_[i_].end) continue;
            at_ = begin + kLargePageBytes;
            return begin;
        }
        return 0;
    }

  private:
    std::span<const AddressRange> ranges_;
    size_t i_ = 0;
    uint64_t at_ = 0;
};

bool is_on(const PageTables& tables, const PagePlaces& places, uint64_t page, uint64_t node) {
    const PageTables::Leaf leaf = tables.find(page);
    return leaf.page_bytes == kLargePageBytes &&
           places.node_of(places.context, leaf.physical()) == node;
}

// f(page, node) for the model's pages that a node should have.
template <class F>
void for_wanted(const AddressRange& model, const PagePlaces& places, const PageTables& tables,
                F f) {
    for (uint64_t page = round_up(model.begin, kLargePageBytes);
         page + kLargePageBytes <= model.end; page += kLargePageBytes) {
        const uint64_t node = places.wanted(places.context, page);
        const bool is_large = tables.find(page).page_bytes == kLargePageBytes;
        if (node != PagePlaces::kAnywhere && is_large) f(page, node);
    }
}

uint64_t move_to(uint64_t node, const AddressRange& model, std::span<const AddressRange> free,
                 const PagePlaces& places, PageTables* tables) {
    uint64_t n_moved = 0;
    FreePages pages(free);
    bool has_more = true;
    for_wanted(model, places, *tables, [&](uint64_t page, uint64_t wanted) {
        if (!has_more || wanted != node || is_on(*tables, places, page, node)) return;
        uint64_t to = pages.next();
        while (to != 0 && !is_on(*tables, places, to, node)) to = pages.next();
        has_more = to != 0;
        if (!has_more) return;
        places.copy(places.context, tables->find(page).physical(), tables->find(to).physical(),
                    kLargePageBytes);
        AXIOM_CHECK(tables->swap_pages(page, to));
        n_moved++;
    });
    return n_moved;
}

// One node after the other, each with one walk over the free pages.
uint64_t move_all(const AddressRange& model, std::span<const AddressRange> free,
                  const PagePlaces& places, PageTables* tables) {
    uint64_t n_moved = 0, done_below = 0;
    for (;;) {
        uint64_t node = PagePlaces::kAnywhere;
        for_wanted(model, places, *tables, [&](uint64_t, uint64_t wanted) {
            if (wanted >= done_below) node = std::min(node, wanted);
        });
        if (node == PagePlaces::kAnywhere) return n_moved;
        n_moved += move_to(node, model, free, places, tables);
        done_below = node + 1;
    }
}

}  // namespace

uint64_t place_pages(const AddressRange& model, std::span<const AddressRange> free,
                     const PagePlaces& places, PageTables* tables) {
    uint64_t n_moved = 0;
    // What the first time made free may be what another page wants.
    while (const uint64_t n = move_all(model, free, places, tables)) n_moved += n;
    return n_moved;
}

NearPages count_near(const AddressRange& model, const PagePlaces& places,
                     const PageTables& tables) {
    NearPages pages;
    for_wanted(model, places, tables, [&](uint64_t page, uint64_t node) {
        pages.n_wanted++;
        pages.n_near += is_on(tables, places, page, node);
    });
    return pages;
}

uint64_t bytes_on_node(const AddressRange& range, uint64_t node, const PagePlaces& places,
                       const PageTables& tables) {
    uint64_t n_bytes = 0;
    for (uint64_t at = range.begin; at < range.end;) {
        const PageTables::Leaf leaf = tables.find(at);
        if (leaf.page_bytes == 0) break;
        const uint64_t next =
            std::min<uint64_t>(range.end, (at / leaf.page_bytes + 1) * leaf.page_bytes);
        if (places.node_of(places.context, leaf.physical() + at % leaf.page_bytes) == node)
            n_bytes += next - at;
        at = next;
    }
    return n_bytes;
}

}  // namespace axiom::efi
