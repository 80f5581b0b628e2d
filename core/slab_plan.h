// SPDX-License-Identifier: MIT
// The classes somebody will take from a slab, as one list: summed before anything is taken, tried
// against the memory there is, and created. Whoever needs memory adds its classes to a plan and
// says where the objects are to be put; no second list has to agree with it.
// Must not know: what the objects are.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/slab.h"

namespace axiom {

class SlabPlan {
  public:
    // Names outlive the slab; `id`, `objects` and `array` stay where they are until create().
    // Sizes that no memory could hold are kept as such: sum() and fits() then say no.

    // Objects that are allocated and freed later, from the class *id.
    void add_class(std::string_view name, uint64_t object_bytes, uint64_t count, Slab::ClassId* id,
                   size_t alignment = Slab::kAlignment);
    // `count` objects for good: objects[i] is each one's address.
    void add_objects(std::string_view name, uint64_t object_bytes, uint64_t count, void** objects);
    // One array of n elements for good; of none, nothing.
    template <class T>
    void add_array(std::string_view name, uint64_t n, std::span<T>* array) {
        if (n == 0) return;
        uint64_t bytes;
        if (!checked_mul(n, sizeof(T), &bytes)) bytes = UINT64_MAX;
        add({name, bytes, 1, array, [](void* where, size_t, void* object, uint64_t n_bytes) {
                 *static_cast<std::span<T>*>(where) = {static_cast<T*>(object),
                                                       size_t(n_bytes / sizeof(T))};
             }});
    }

    // Bytes of one range, 64-byte aligned, that create() succeeds in; none to spare where no class
    // wants more alignment than that. false if there are more than SIZE_MAX/2.
    [[nodiscard]] bool sum(uint64_t* bytes) const;
    // Whether create() would succeed now.
    bool fits(const Slab& slab) const;
    // Creates all of it; no_memory names the class and both sizes.
    Status create(Slab& slab) const;

  private:
    using Place = void (*)(void* where, size_t i, void* object, uint64_t n_bytes);
    struct Entry {
        std::string_view name;
        uint64_t object_bytes = 0, count = 0;
        void* where = nullptr;
        Place place = nullptr;  // nullptr: `where` is a ClassId, and objects are taken later
        size_t alignment = Slab::kAlignment;
    };
    void add(const Entry& entry);
    // What is left of the ranges once everything has been carved from them; false if it did not
    // fit.
    bool carve(std::span<AddressRange> ranges) const;

    Entry entries_[Slab::kMaxClasses];
    size_t n_entries_ = 0;
};

}  // namespace axiom
