// SPDX-License-Identifier: MIT
// Which RAM the MTRRs let a core cache.
#include "efi/cpu/cached_memory.h"

#include <vector>

#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint64_t kMib = 1 << 20, kGib = uint64_t{1} << 30;
constexpr uint64_t kOn = 1 << 11, kUncached = 0, kWriteThrough = 4, kWriteBack = 6;
constexpr unsigned kAddressBits = 39;

// A variable range of a power of two of bytes.
void add(CacheRules& rules, uint64_t begin, uint64_t bytes, uint64_t type, bool is_valid = true) {
    MemoryTypes& t = rules.types;
    const uint64_t mask = ~(bytes - 1) & ((uint64_t{1} << kAddressBits) - 1);
    t.variable[2 * t.n_variable] = begin | type;
    t.variable[2 * t.n_variable + 1] = mask | (is_valid ? kOn : 0);
    t.n_variable++;
}

CacheRules rules_of(uint64_t default_type) {
    CacheRules rules;
    rules.types.default_type = kOn | default_type;
    return rules;
}

struct Piece {
    uint64_t begin, end;
    bool operator==(const Piece&) const = default;
};

std::vector<Piece> uncached_of(const CacheRules& rules, const std::vector<AddressRange>& ram,
                               size_t capacity = 8) {
    std::vector<MemoryRegion> regions;
    for (const AddressRange& r : ram)
        regions.push_back({r.begin, r.end, MemoryType::conventional, kAttributeWriteBack});
    std::vector<AddressRange> out(capacity);
    out.resize(uncached_ranges(regions, rules, out));
    std::vector<Piece> pieces;
    for (const AddressRange& r : out) pieces.push_back({r.begin, r.end});
    return pieces;
}

}  // namespace

TEST_CASE("where the default is write-back only what ranges take away is left out") {
    CacheRules rules = rules_of(kWriteBack);
    CHECK(uncached_of(rules, {{kMib, 8 * kGib}}).empty());
    add(rules, 2 * kGib, 2 * kGib, kUncached);
    CHECK(uncached_of(rules, {{kMib, kGib}, {4 * kGib, 8 * kGib}}).empty());
    CHECK(uncached_of(rules, {{kMib, 3 * kGib}, {4 * kGib, 8 * kGib}}) ==
          std::vector<Piece>{{2 * kGib, 3 * kGib}});
}

TEST_CASE("RAM that firmware forgot to cover is left out") {
    CacheRules rules = rules_of(kUncached);
    add(rules, 0, 2 * kGib, kWriteBack);
    add(rules, 4 * kGib, 4 * kGib, kWriteBack);
    CHECK(uncached_of(rules, {{kMib, 2 * kGib}, {4 * kGib, 8 * kGib + 16 * kMib}}) ==
          std::vector<Piece>{{8 * kGib, 8 * kGib + 16 * kMib}});
    CHECK(uncached_of(rules_of(kUncached), {{kMib, 2 * kGib}}) ==
          std::vector<Piece>{{kMib, 2 * kGib}});
}

TEST_CASE("of ranges that overlap the weaker holds, and one that is off counts for nothing") {
    CacheRules rules = rules_of(kUncached);
    add(rules, 0, 4 * kGib, kWriteBack);
    add(rules, 3 * kGib, kGib, kUncached);
    add(rules, kGib, 256 * kMib, kWriteThrough);
    add(rules, 0, kGib, kUncached, false);
    CHECK(uncached_of(rules, {{kMib, 4 * kGib}}) ==
          std::vector<Piece>{{kGib, kGib + 256 * kMib}, {3 * kGib, 4 * kGib}});
}

TEST_CASE("AMD's CPUs cache RAM above 4 GiB whatever the ranges say, as far as it goes") {
    CacheRules rules = rules_of(kUncached);
    add(rules, 0, 2 * kGib, kWriteBack);
    rules.forced_end = 6 * kGib;
    CHECK(uncached_of(rules, {{kMib, 2 * kGib}, {4 * kGib, 6 * kGib}}).empty());
    CHECK(uncached_of(rules, {{3 * kGib, 7 * kGib}}) ==
          std::vector<Piece>{{3 * kGib, 4 * kGib}, {6 * kGib, 7 * kGib}});
}

TEST_CASE("with the MTRRs off nothing is left out") {
    CHECK(uncached_of({}, {{kMib, kGib}}).empty());
    CacheRules rules;
    rules.types.default_type = kUncached;  // there, but off
    add(rules, 0, kGib, kUncached);
    CHECK(uncached_of(rules, {{kMib, kGib}}).empty());
}

TEST_CASE("memory that is not ours to use is not looked at") {
    const MemoryRegion runtime{kMib, kGib, MemoryType::runtime_data, kAttributeWriteBack};
    AddressRange out[2];
    CHECK(uncached_ranges({&runtime, 1}, rules_of(kUncached), out) == 0);
}

TEST_CASE("more pieces than there is room for become one that takes in all of them") {
    CacheRules rules = rules_of(kWriteBack);
    for (uint64_t i = 1; i <= 3; i++) add(rules, i * kGib, kMib, kUncached);
    const auto pieces = uncached_of(rules, {{kMib, 8 * kGib}}, 2);
    CHECK(pieces == std::vector<Piece>{{kGib, kGib + kMib}, {2 * kGib, 3 * kGib + kMib}});
}

TEST_CASE("a range whose mask has holes covers what it matches") {
    CacheRules rules = rules_of(kWriteBack);
    // Every second MiB below 4 MiB of each GiB-aligned address is not asked for; here: bit 20 set, bit 21 any.
    rules.types.variable[0] = kMib | kUncached;
    rules.types.variable[1] =
        ((((uint64_t{1} << kAddressBits) - 1) & ~(4 * kMib - 1)) | kMib) | kOn;
    rules.types.n_variable = 1;
    CHECK(uncached_of(rules, {{0, 8 * kMib}}) ==
          std::vector<Piece>{{kMib, 2 * kMib}, {3 * kMib, 4 * kMib}});
}
