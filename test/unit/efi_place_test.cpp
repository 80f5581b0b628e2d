// SPDX-License-Identifier: MIT
// Pages of the model trade places with free ones of the node that reads them.
#include "efi/memory/place_pages.h"

#include <map>
#include <vector>

#include "efi/memory/addresses.h"
#include "test/unit/catch.h"
#include "test/unit/efi_tables.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint64_t kPage = kLargePageBytes;

// Memory by what each large page of it holds; node 0 is below kBorder, node 1 from there on.
struct World {
    static constexpr uint64_t kBorder = 64 * kPage, kEnd = 128 * kPage;
    Tables f{{false, true, false}};
    std::map<uint64_t, uint64_t> memory;  // physical page -> the address whose contents it has
    std::map<uint64_t, uint64_t> wanted;  // address -> node
    int n_copies = 0;

    World() {
        REQUIRE(f.tables.map(kPage, kEnd, Access::read_write).ok());
        for (uint64_t at = kPage; at < kEnd; at += kPage) memory[at] = at;
    }
    PagePlaces places() {
        return {.wanted =
                    [](const void* c, uint64_t address) {
                        const auto& all = static_cast<const World*>(c)->wanted;
                        const auto found = all.find(address);
                        return found == all.end() ? PagePlaces::kAnywhere : found->second;
                    },
                .node_of = [](const void*, uint64_t at) -> uint64_t { return at >= kBorder; },
                .copy =
                    [](const void* c, uint64_t from, uint64_t to, uint64_t n_bytes) {
                        World& w = *const_cast<World*>(static_cast<const World*>(c));
                        REQUIRE(n_bytes == kPage);
                        w.memory[to] = w.memory.at(from);
                        w.n_copies++;
                    },
                .context = this};
    }
    struct Placed {
        uint64_t n_wanted, n_near, n_moved;
    };
    Placed place(const AddressRange& model, const std::vector<AddressRange>& free) {
        const uint64_t n_moved = place_pages(model, free, places(), &f.tables);
        const NearPages now = count_near(model, places(), f.tables);
        return {now.n_wanted, now.n_near, n_moved};
    }
    uint64_t physical(uint64_t address) { return f.tables.find(address).physical(); }
    // Whether every page of the range still reads what it was.
    bool reads_the_same(const AddressRange& range) {
        for (uint64_t at = range.begin; at < range.end; at += kPage)
            if (memory.at(physical(at)) != at) return false;
        return true;
    }
};

}  // namespace

TEST_CASE("pages go where they are wanted, read the same, and free memory stays free") {
    World w;
    const AddressRange model{10 * kPage, 20 * kPage};
    for (uint64_t i = 10; i < 20; i++) w.wanted[i * kPage] = i % 2;
    const AddressRange free{70 * kPage + 4096, 80 * kPage};
    const World::Placed placed = w.place(model, {{30 * kPage, 31 * kPage}, free});
    CHECK((placed.n_wanted == 10 && placed.n_near == 10 && placed.n_moved == 5));
    CHECK(w.n_copies == 5);
    CHECK(w.reads_the_same(model));
    for (uint64_t i = 10; i < 20; i++) CHECK((w.physical(i * kPage) >= World::kBorder) == (i % 2));
    // What was free translates to memory of its own, nobody else's.
    std::map<uint64_t, int> users;
    for (uint64_t at = kPage; at < World::kEnd; at += kPage) users[w.physical(at)]++;
    CHECK(users.size() == 127);
    CHECK(w.physical(70 * kPage) == 70 * kPage);  // not free as a whole
    CHECK(bytes_on_node(model, 1, w.places(), w.f.tables) == 5 * kPage);
    CHECK(bytes_on_node(model, 0, w.places(), w.f.tables) == 5 * kPage);
}

TEST_CASE("pages that nobody wants, are there already, or find no room stay") {
    World w;
    const AddressRange model{10 * kPage + 4096, 20 * kPage + 4096};  // 9 whole pages
    for (uint64_t i = 10; i < 15; i++) w.wanted[i * kPage] = 1;
    w.wanted[15 * kPage] = 0;
    const World::Placed placed = w.place(model, {{64 * kPage, 66 * kPage}});
    CHECK((placed.n_wanted == 5 && placed.n_near == 3 && placed.n_moved == 2));
    CHECK(w.physical(10 * kPage) == 10 * kPage);  // it holds something else, too
    CHECK(w.physical(11 * kPage) == 64 * kPage);
    CHECK(w.physical(13 * kPage) == 13 * kPage);
    CHECK(w.reads_the_same({11 * kPage, 20 * kPage}));
    CHECK(bytes_on_node(model, 1, w.places(), w.f.tables) == 2 * kPage);
}

TEST_CASE("memory that pages have left is what pages from the other node go to") {
    World w;
    const AddressRange model{60 * kPage, 68 * kPage};  // across the border, the wrong way around
    for (uint64_t i = 60; i < 68; i++) w.wanted[i * kPage] = i < 64;
    const World::Placed placed = w.place(model, {{100 * kPage, 104 * kPage}});
    CHECK((placed.n_wanted == 8 && placed.n_near == 8 && placed.n_moved == 8));
    CHECK(w.reads_the_same(model));
}

TEST_CASE("pages of another size are left alone") {
    World w;
    const AddressRange model{10 * kPage, 12 * kPage};
    w.wanted[10 * kPage] = w.wanted[11 * kPage] = 1;
    REQUIRE(w.f.tables.map(10 * kPage, 10 * kPage + 4096, Access::read).ok());  // split
    const World::Placed placed = w.place(model, {{64 * kPage, 66 * kPage}});
    CHECK((placed.n_wanted == 1 && placed.n_near == 1 && placed.n_moved == 1));
    CHECK(w.physical(10 * kPage) == 10 * kPage);
}
