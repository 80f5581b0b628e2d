// SPDX-License-Identifier: MIT
// The tensor-native slab allocator. Classes are created at start-up from the model's shapes, each
// with a fixed object size and count; afterwards allocate and free are O(1), nothing else can be
// had, and fragmentation is zero by construction. Works over any set of address ranges.
// Must not know: what an object holds, or who owns the memory outside its ranges.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"

namespace axiom {

struct AddressRange {
    uintptr_t begin = 0;
    uintptr_t end = 0;
    size_t size() const { return end - begin; }
};

struct SlabClassStats {
    std::string_view name;
    size_t object_bytes = 0;  // as rounded up to the alignment
    size_t capacity = 0;      // objects
    size_t in_use = 0;
    size_t high_water = 0;
};

class Slab {
  public:
    static constexpr size_t kMaxClasses = 48;
    static constexpr size_t kMaxRanges = 64;
    static constexpr size_t kMaxSpans = kMaxRanges;  // a class may straddle them all
    static constexpr size_t kAlignment = 64;

    using ClassId = uint32_t;

    // Takes ownership of the ranges (readable, writable, disjoint, unused). Extra ranges beyond
    // kMaxRanges are ignored, smallest first. Contents need not be zero.
    // Classes are carved from `used_last` only once the others are full.
    void init(std::span<const AddressRange> ranges, std::span<const AddressRange> used_last = {});

    // Bytes that classes can still be carved from.
    size_t free_bytes() const;

    // Carves `count` objects. `name` must outlive the slab. no_memory says need and have.
    // One object never straddles two ranges; objects are `alignment`-aligned (power of two >= 64).
    Result<ClassId> create_class(std::string_view name, size_t object_bytes, size_t count,
                                 size_t alignment = kAlignment);

    // nullptr when the class is exhausted. Contents are whatever was there before.
    void* allocate(ClassId id);
    // Panics on a foreign pointer, an interior pointer and a double free.
    void free(ClassId id, void* object);

    size_t n_classes() const { return n_classes_; }
    SlabClassStats stats(ClassId id) const;

  private:
    struct Span {
        uintptr_t begin = 0;
        size_t count = 0;
        uint64_t* used = nullptr;  // one bit per object
    };
    struct Class {
        std::string_view name;
        size_t object_bytes = 0;
        Span spans[kMaxSpans];
        size_t n_spans = 0;
        void* free_list = nullptr;  // intrusive, through the first word of each free object
        size_t capacity = 0, in_use = 0, high_water = 0;
    };
    void* find(Class& c, void* object, uint64_t** word, uint64_t* bit);
    void add_ranges(std::span<const AddressRange> ranges);
    // Takes up to `count` objects of `bytes` with their bitmap from the front of a range, and says
    // how many; touches no memory. *begin: the first.
    static size_t carve(AddressRange& range, size_t bytes, size_t alignment, size_t count,
                        uintptr_t* begin);
    friend class SlabPlan;  // tries what create_class() would do

    AddressRange ranges_[kMaxRanges];
    size_t n_ranges_ = 0;
    Class classes_[kMaxClasses];
    size_t n_classes_ = 0;
};

}  // namespace axiom
