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

class Placer {
  public:
    Placer(const AddressRange& model, std::span<const AddressRange> free, const PagePlaces& places,
           PageTables* tables)
        : model_(model), free_(free), places_(places), tables_(tables) {}

    PlacedPages run() {
        // What the first time made free may be what another page wants.
        while (move_all() != 0) {
        }
        for_wanted([&](uint64_t page, uint64_t node) {
            placed_.n_wanted++;
            placed_.n_near += is_on(page, node);
        });
        return placed_;
    }

  private:
    uint64_t physical(uint64_t page) const {
        const PageTables::Leaf leaf = tables_->find(page);
        return leaf.page_bytes == kLargePageBytes ? leaf.physical() : 0;
    }
    bool is_on(uint64_t page, uint64_t node) const {
        const uint64_t at = physical(page);
        return at != 0 && places_.node_of(places_.context, at) == node;
    }

    template <class F>
    void for_wanted(F f) const {
        for (uint64_t page = round_up(model_.begin, kLargePageBytes);
             page + kLargePageBytes <= model_.end; page += kLargePageBytes) {
            const uint64_t node = places_.wanted(places_.context, page);
            if (node != PagePlaces::kAnywhere && physical(page) != 0) f(page, node);
        }
    }

    // One node after the other, each with one walk over the free pages.
    uint64_t move_all() {
        uint64_t n_moved = 0, done_below = 0;
        for (;;) {
            uint64_t node = PagePlaces::kAnywhere;
            for_wanted([&](uint64_t, uint64_t wanted) {
                if (wanted >= done_below) node = std::min(node, wanted);
            });
            if (node == PagePlaces::kAnywhere) break;
            n_moved += move_to(node);
            done_below = node + 1;
        }
        placed_.n_moved += n_moved;
        return n_moved;
    }

    uint64_t move_to(uint64_t node) {
        uint64_t n_moved = 0;
        FreePages free(free_);
        bool has_more = true;
        for_wanted([&](uint64_t page, uint64_t wanted) {
            if (!has_more || wanted != node || is_on(page, node)) return;
            uint64_t to = free.next();
            while (to != 0 && !is_on(to, node)) to = free.next();
            has_more = to != 0;
            if (!has_more) return;
            places_.copy(places_.context, physical(page), physical(to), kLargePageBytes);
            AXIOM_CHECK(tables_->swap_pages(page, to));
            n_moved++;
        });
        return n_moved;
    }

    const AddressRange& model_;
    const std::span<const AddressRange> free_;
    const PagePlaces& places_;
    PageTables* const tables_;
    PlacedPages placed_;
};

}  // namespace

PlacedPages place_pages(const AddressRange& model, std::span<const AddressRange> free,
                        const PagePlaces& places, PageTables* tables) {
    return Placer(model, free, places, tables).run();
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
