// SPDX-License-Identifier: MIT
#include "efi/cpu/cached_memory.h"

#include <algorithm>

namespace axiom::efi {
namespace {

constexpr uint64_t kAddressMask = 0x000ffffffffff000;
constexpr uint64_t kValid = 1 << 11, kTypeMask = 0xff;
constexpr uint64_t kWriteBack = 6;

struct Stretch {
    uint64_t end = 0;  // of addresses that are all alike
    bool is_write_back = false;
};

// From `at`, which is a page's address, on.
Stretch stretch_at(const CacheRules& rules, uint64_t at, uint64_t end) {
    constexpr uint64_t kHigh = uint64_t{4} << 30;
    if (at < kHigh) end = std::min(end, kHigh);
    if (at >= kHigh && at < rules.forced_end) return {std::min(end, rules.forced_end), true};
    const MemoryTypes& types = rules.types;
    bool any = false, all_write_back = true;
    for (uint32_t i = 0; i < types.n_variable; i++) {
        const uint64_t base = types.variable[2 * i], mask = types.variable[2 * i + 1];
        if ((mask & kValid) == 0) continue;
        const uint64_t bits = mask & kAddressMask;
        if (bits == 0) {
            any = true, all_write_back &= (base & kTypeMask) == kWriteBack;
            continue;
        }
        // A match can begin or end only where an address passes the mask's lowest bit.
        const uint64_t step = bits & -bits;
        end = std::min(end, at / step * step + step);
        if ((at & bits) != (base & bits)) continue;
        any = true;
        // Of ranges that overlap the weaker type holds, or the result is undefined.
        all_write_back &= (base & kTypeMask) == kWriteBack;
    }
    const bool by_default = (types.default_type & kTypeMask) == kWriteBack;
    return {end, any ? all_write_back : by_default};
}

class Pieces {
  public:
    explicit Pieces(std::span<AddressRange> out) : out_(out) {}
    size_t n() const { return n_; }
    void add(uint64_t begin, uint64_t end) {
        if (out_.empty()) return;
        if (n_ != 0 && (out_[n_ - 1].end == begin || n_ == out_.size())) {
            out_[n_ - 1].begin = std::min<uint64_t>(out_[n_ - 1].begin, begin);
            out_[n_ - 1].end = std::max<uint64_t>(out_[n_ - 1].end, end);
        } else {
            out_[n_++] = {begin, end};
        }
    }

  private:
    std::span<AddressRange> out_;
    size_t n_ = 0;
};

}  // namespace

size_t uncached_ranges(std::span<const MemoryRegion> regions, const CacheRules& rules,
                       std::span<AddressRange> out) {
    if ((rules.types.default_type & kValid) == 0) return 0;
    Pieces pieces(out);
    for (const MemoryRegion& region : regions) {
        if (!is_free(region)) continue;
        for (uint64_t at = region.begin; at < region.end;) {
            const Stretch stretch = stretch_at(rules, at, region.end);
            if (!stretch.is_write_back) pieces.add(at, stretch.end);
            at = stretch.end;
        }
    }
    return pieces.n();
}

}  // namespace axiom::efi
