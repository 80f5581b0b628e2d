// SPDX-License-Identifier: MIT
// Page tables as the CPU would walk them.
#include "efi/memory/paging.h"

#include "efi/memory/addresses.h"
#include "test/unit/catch.h"
#include "test/unit/efi_tables.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint64_t kMib = 1 << 20;
constexpr uint64_t kGib = 1 << 30;
constexpr uint64_t kAddress = Tables::kAddress;

}  // namespace

TEST_CASE("an identity mapping translates every address to itself with the largest page") {
    Tables f;
    REQUIRE(f.tables.map(kGib, 3 * kGib + 4 * kMib + 4096, Access::read_write).ok());
    CHECK(f.tables.find(2 * kGib + 12345).page_bytes == kGib);
    CHECK((f.tables.find(2 * kGib + 12345).entry & kAddress) == 2 * kGib);
    CHECK(f.tables.find(3 * kGib + kMib).page_bytes == 2 * kMib);
    CHECK(f.tables.find(3 * kGib + 4 * kMib).page_bytes == 4096);
    CHECK((f.tables.find(3 * kGib + 4 * kMib).entry & kAddress) == 3 * kGib + 4 * kMib);
    CHECK(f.tables.find(3 * kGib + 4 * kMib + 4096).page_bytes == 0);
    CHECK(f.tables.find(kGib - 1).page_bytes == 0);
}

TEST_CASE("without 1 GiB pages 2 MiB pages are used") {
    Tables f({false, true, false});
    REQUIRE(f.tables.map(kGib, 2 * kGib, Access::read_write).ok());
    CHECK(f.tables.find(kGib + 5 * kMib).page_bytes == 2 * kMib);
}

TEST_CASE("accesses become exactly the bits they name") {
    Tables f;
    REQUIRE(f.tables.map(0x1000, 0x2000, Access::read).ok());
    REQUIRE(f.tables.map(0x2000, 0x3000, Access::read_write).ok());
    REQUIRE(f.tables.map(0x3000, 0x4000, Access::read_execute).ok());
    REQUIRE(f.tables.map(0x4000, 0x5000, Access::everything, Cache::uncached).ok());
    CHECK(!f.writable(0x1000));
    CHECK(!f.executable(0x1000));
    CHECK(f.writable(0x2000));
    CHECK(!f.executable(0x2000));
    CHECK(!f.writable(0x3000));
    CHECK(f.executable(0x3000));
    CHECK(f.writable(0x4000));
    CHECK(f.executable(0x4000));
    CHECK((f.flags(0x4000) & PageTables::kUncached) != 0);
    CHECK((f.flags(0x3000) & PageTables::kUncached) == 0);
}

TEST_CASE("a CPU without no-execute never sees the bit") {
    Tables f({true, false, false});
    REQUIRE(f.tables.map(0, kGib, Access::read_write).ok());
    CHECK((f.flags(0) & PageTables::kNoExecute) == 0);
}

TEST_CASE("a guard page inside a 1 GiB page splits it and leaves its neighbours as they were") {
    Tables f;
    REQUIRE(f.tables.map(0, 2 * kGib, Access::read_write).ok());
    const uint64_t guard = kGib + 6 * kMib + 0x5000;
    REQUIRE(f.tables.map(guard, guard + 4096, Access::none).ok());
    CHECK(f.tables.find(guard).page_bytes == 0);
    for (const uint64_t address : {guard - 1, guard + 4096, kGib + 4 * kMib, 2 * kGib - 1, kGib}) {
        INFO(address);
        const PageTables::Leaf leaf = f.tables.find(address);
        REQUIRE(leaf.page_bytes != 0);
        CHECK((leaf.entry & kAddress & ~(leaf.page_bytes - 1)) ==
              address / leaf.page_bytes * leaf.page_bytes);
        CHECK(f.writable(address));
        CHECK(!f.executable(address));
    }
    CHECK(f.tables.find(guard + 4096).page_bytes == 4096);
    // In the last level the bit of large pages means something else.
    CHECK((f.flags(guard + 4096) & PageTables::kLarge) == 0);
    CHECK((f.flags(kGib + 8 * kMib) & PageTables::kLarge) != 0);
    CHECK(f.tables.find(kGib + 8 * kMib).page_bytes == 2 * kMib);
    CHECK(f.tables.find(5).page_bytes == kGib);
}

TEST_CASE("ranges are widened to whole pages") {
    Tables f;
    REQUIRE(f.tables.map(0x1800, 0x2001, Access::read).ok());
    CHECK(f.tables.find(0x1000).page_bytes == 4096);
    CHECK(f.tables.find(0x2fff).page_bytes == 4096);
    CHECK(f.tables.find(0x3000).page_bytes == 0);
}

TEST_CASE("a used-up pool and addresses past 2^47 are errors") {
    Tables f({true, true, false}, 3);
    CHECK(f.tables.map(0x1000, 0x2000, Access::read).code() == Code::no_memory);
    Tables g;
    CHECK(g.tables.map(0, (uint64_t{1} << 47) + 4096, Access::read).code() == Code::bad_format);
    CHECK(g.tables.map(8192, 4096, Access::read).code() == Code::bad_format);
    CHECK(g.tables.map(8192, 8192, Access::read).ok());
    CHECK(g.tables.map(kMappableEnd - 4096, kMappableEnd, Access::read).ok());
    CHECK(g.tables.find(kMappableEnd - 1).page_bytes == 4096);
    CHECK(g.tables.find(kMappableEnd).page_bytes == 0);
    CHECK(g.tables.find(uint64_t{1} << 63).page_bytes == 0);
}

TEST_CASE("tables that are not yet initialised translate nothing") {
    CHECK(PageTables().find(0x1000).page_bytes == 0);
    CHECK(PageTables().count(0, kGib).n_1gib == 0);
}

TEST_CASE("unmapping what was never mapped costs no table") {
    Tables f;
    REQUIRE(f.tables.map(5 * kGib, 5 * kGib + 4096, Access::none).ok());
    CHECK(f.tables.n_used() == 1);
}

TEST_CASE("with five levels the same addresses translate through one table more") {
    Tables f({true, true, true});
    REQUIRE(f.tables.map(kGib, 2 * kGib, Access::read_write).ok());
    CHECK(f.tables.find(kGib + 77).page_bytes == kGib);
    CHECK(f.tables.n_used() == 3);
}

TEST_CASE("pages of a range are counted by size, read-only 1 GiB pages among writable ones") {
    Tables f;
    REQUIRE(f.tables.map(0, 4 * kGib, Access::read_write).ok());
    REQUIRE(f.tables.map(kGib, 2 * kGib + 4 * kMib, Access::read).ok());
    const PageTables::Counts n = f.tables.count(kGib, 2 * kGib + 4 * kMib);
    CHECK(n.n_1gib == 1);
    CHECK(n.n_2mib == 2);
    CHECK(n.n_4kib == 0);
    CHECK(!f.writable(kGib));
    CHECK(f.writable(3 * kGib));
    CHECK(f.tables.count(8 * kGib, 9 * kGib).n_2mib == 0);
}
