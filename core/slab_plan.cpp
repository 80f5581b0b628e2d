// SPDX-License-Identifier: MIT
#include "core/slab_plan.h"

#include <algorithm>

#include "core/round.h"

namespace axiom {

void SlabPlan::add(const Entry& entry) {
    AXIOM_CHECK(n_entries_ < Slab::kMaxClasses && entry.object_bytes != 0);
    entries_[n_entries_++] = entry;
}

void SlabPlan::add_class(std::string_view name, uint64_t object_bytes, uint64_t count,
                         Slab::ClassId* id, size_t alignment) {
    add({name, object_bytes, count, id, nullptr, alignment});
}

void SlabPlan::add_objects(std::string_view name, uint64_t object_bytes, uint64_t count,
                           void** objects) {
    add({name, object_bytes, count, objects, [](void* where, size_t i, void* object, uint64_t) {
             static_cast<void**>(where)[i] = object;
         }});
}

bool SlabPlan::carve(std::span<AddressRange> ranges) const {
    for (const Entry& e : std::span(entries_, n_entries_)) {
        uint64_t bytes;
        if (e.object_bytes > SIZE_MAX / 4 || !checked_mul(e.object_bytes, e.count, &bytes) ||
            bytes > SIZE_MAX / 4) {
            return false;
        }
        const size_t object = round_up(size_t(e.object_bytes), e.alignment);
        size_t left = size_t(e.count);
        for (size_t i = 0; i < ranges.size() && left > 0; i++) {
            uintptr_t begin;
            left -= Slab::carve(ranges[i], object, e.alignment, left, &begin);
        }
        if (left > 0) return false;
    }
    return true;
}

bool SlabPlan::sum(uint64_t* bytes) const {
    AddressRange all{0, SIZE_MAX / 2};
    if (!carve({&all, 1})) return false;
    // Slab::carve wants 8 bytes more than it takes, for aligning the bitmap. This range began at the
    // best of addresses.
    size_t alignment = Slab::kAlignment;
    for (const Entry& e : std::span(entries_, n_entries_))
        alignment = std::max(alignment, e.alignment);
    *bytes = all.begin + 8 + (alignment - Slab::kAlignment);
    return true;
}

bool SlabPlan::fits(const Slab& slab) const {
    AddressRange ranges[Slab::kMaxRanges];
    std::copy_n(slab.ranges_, slab.n_ranges_, ranges);
    return carve(std::span(ranges, slab.n_ranges_));
}

Status SlabPlan::create(Slab& slab) const {
    for (const Entry& e : std::span(entries_, n_entries_)) {
        if (e.object_bytes > SIZE_MAX / 4) {
            return error(Code::no_memory, "slab class ", e.name, ": needs objects of ",
                         e.object_bytes, " bytes");
        }
        const Result<Slab::ClassId> id =
            slab.create_class(e.name, size_t(e.object_bytes), size_t(e.count), e.alignment);
        if (!id.ok()) return id.status();
        if (e.place == nullptr) {
            *static_cast<Slab::ClassId*>(e.where) = id.value();
            continue;
        }
        for (size_t i = 0; i < e.count; i++)
            e.place(e.where, i, slab.allocate(id.value()), e.object_bytes);
    }
    return {};
}

}  // namespace axiom
