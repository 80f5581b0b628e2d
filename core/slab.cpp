// SPDX-License-Identifier: MIT
#include "core/slab.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"

namespace axiom {
namespace {

constexpr size_t bitmap_bytes(size_t n_objects) {
    return (n_objects + 63) / 64 * 8;
}

// Objects of `bytes` each, at most `most`, that fit into `range` together with their bitmap.
size_t objects_that_fit(const AddressRange& range, size_t bytes, size_t alignment, size_t most) {
    const uintptr_t first = round_up(range.begin, alignment);
    if (first < range.begin || first >= range.end) return 0;
    const size_t room = range.end - first;
    size_t n = std::min(most, room / bytes);
    while (n > 0 && room - n * bytes < bitmap_bytes(n) + 8) {
        const size_t missing = bitmap_bytes(n) + 8 - (room - n * bytes);
        n -= std::min(n, missing / (bytes + 1) + 1);
    }
    return n;
}

}  // namespace

void Slab::init(std::span<const AddressRange> ranges, std::span<const AddressRange> used_last) {
    n_ranges_ = n_classes_ = 0;
    add_ranges(ranges);
    add_ranges(used_last);
}

// Sorted by size, largest first, so that what does not fit the table is the smallest.
void Slab::add_ranges(std::span<const AddressRange> ranges) {
    const size_t first = n_ranges_;
    for (const AddressRange& range : ranges) {
        if (range.end <= range.begin) continue;
        size_t i = n_ranges_ < kMaxRanges ? n_ranges_++ : kMaxRanges;
        if (i == kMaxRanges) {
            if (first == kMaxRanges || range.size() <= ranges_[kMaxRanges - 1].size()) continue;
            i = kMaxRanges - 1;
        }
        for (; i > first && ranges_[i - 1].size() < range.size(); i--) ranges_[i] = ranges_[i - 1];
        ranges_[i] = range;
    }
}

size_t Slab::free_bytes() const {
    size_t total = 0;
    for (size_t i = 0; i < n_ranges_; i++) total += ranges_[i].size();
    return total;
}

size_t Slab::carve(AddressRange& range, size_t bytes, size_t alignment, size_t count,
                   uintptr_t* begin) {
    const size_t n = objects_that_fit(range, bytes, alignment, count);
    if (n == 0) return 0;
    *begin = round_up(range.begin, alignment);
    range.begin = round_up(*begin + n * bytes, 8) + bitmap_bytes(n);
    return n;
}

Result<Slab::ClassId> Slab::create_class(std::string_view name, size_t object_bytes, size_t count,
                                         size_t alignment) {
    AXIOM_CHECK(n_classes_ < kMaxClasses);
    AXIOM_CHECK(alignment >= kAlignment && (alignment & (alignment - 1)) == 0);
    AXIOM_CHECK(object_bytes > 0 && object_bytes <= SIZE_MAX / 2);
    const size_t bytes = round_up(object_bytes, alignment);

    // First see that it fits, so that a failure leaves the ranges as they were.
    size_t fits = 0, n_spans = 0;
    for (size_t i = 0; i < n_ranges_ && fits < count && n_spans < kMaxSpans; i++) {
        const size_t n = objects_that_fit(ranges_[i], bytes, alignment, SIZE_MAX);
        fits += n;
        n_spans += n != 0;
    }
    if (fits < count) {
        return error(Code::no_memory, "slab class ", name, ": needs ", uint64_t(count), " x ",
                     Bytes{bytes}, ", memory left holds ", uint64_t(fits), " (",
                     Bytes{free_bytes()}, " free)");
    }

    Class& c = classes_[n_classes_];
    c = Class{};
    c.name = name;
    c.object_bytes = bytes;
    c.capacity = count;
    for (size_t i = 0, left = count; left > 0; i++) {
        uintptr_t begin;
        const size_t n = carve(ranges_[i], bytes, alignment, left, &begin);
        if (n == 0) continue;
        Span& span = c.spans[c.n_spans++];
        span.begin = begin;
        span.count = n;
        span.used = reinterpret_cast<uint64_t*>(round_up(begin + n * bytes, 8));
        memset(span.used, 0, bitmap_bytes(n));
        left -= n;
    }
    // Lowest address on top, so that a sequence's blocks are neighbours.
    for (size_t s = c.n_spans; s-- > 0;) {
        for (size_t i = c.spans[s].count; i-- > 0;) {
            void* const object = reinterpret_cast<void*>(c.spans[s].begin + i * bytes);
            memcpy(object, &c.free_list, sizeof c.free_list);
            c.free_list = object;
        }
    }
    return ClassId(n_classes_++);
}

// The bitmap position of an object of this class; panics if it is none.
void* Slab::find(Class& c, void* object, uint64_t** word, uint64_t* bit) {
    const uintptr_t p = reinterpret_cast<uintptr_t>(object);
    for (size_t s = 0; s < c.n_spans; s++) {
        const Span& span = c.spans[s];
        if (p < span.begin || p >= span.begin + span.count * c.object_bytes) continue;
        const size_t offset = p - span.begin;
        if (offset % c.object_bytes != 0) AXIOM_PANIC("slab: interior pointer");
        const size_t index = offset / c.object_bytes;
        *word = &span.used[index / 64];
        *bit = uint64_t{1} << (index % 64);
        return object;
    }
    AXIOM_PANIC("slab: foreign pointer");
}

void* Slab::allocate(ClassId id) {
    AXIOM_CHECK(id < n_classes_);
    Class& c = classes_[id];
    void* const object = c.free_list;
    if (object == nullptr) return nullptr;
    uint64_t *word, bit;
    find(c, object, &word, &bit);
    if (*word & bit) AXIOM_PANIC("slab: free list names an object in use");
    *word |= bit;
    memcpy(&c.free_list, object, sizeof c.free_list);
    c.high_water = std::max(c.high_water, ++c.in_use);
    return object;
}

void Slab::free(ClassId id, void* object) {
    AXIOM_CHECK(id < n_classes_);
    Class& c = classes_[id];
    uint64_t *word, bit;
    find(c, object, &word, &bit);
    if (!(*word & bit)) AXIOM_PANIC("slab: double free");
    *word &= ~bit;
    memcpy(object, &c.free_list, sizeof c.free_list);
    c.free_list = object;
    c.in_use--;
}

SlabClassStats Slab::stats(ClassId id) const {
    AXIOM_CHECK(id < n_classes_);
    const Class& c = classes_[id];
    return {c.name, c.object_bytes, c.capacity, c.in_use, c.high_water};
}

}  // namespace axiom
