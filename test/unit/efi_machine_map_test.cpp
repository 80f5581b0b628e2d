// SPDX-License-Identifier: MIT
// Every address once the machine is ours: who may write it, who may run it, what is not there.
#include "efi/memory/machine_map.h"

#include <cstring>
#include <vector>

#include "test/unit/catch.h"
#include "test/unit/efi_tables.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

constexpr uint64_t kMib = 1 << 20, kGib = 1 << 30;
constexpr uint64_t kTable = 20 * kMib;  // where the memory attributes table pretends to be

// A small machine: 1 GiB of RAM with a runtime driver in it, a hole, 1 GiB more, a flash chip.
struct Example {
    std::vector<MemoryRegion> regions{
        {0, 512 * kMib, MemoryType::conventional, kAttributeWriteBack},
        {512 * kMib, 513 * kMib, MemoryType::runtime_code, kAttributeWriteBack | kAttributeRuntime},
        {513 * kMib, 514 * kMib, MemoryType::runtime_data, kAttributeWriteBack | kAttributeRuntime},
        {514 * kMib, kGib, MemoryType::boot_data, kAttributeWriteBack},
        {2 * kGib, 3 * kGib, MemoryType::loader_data, kAttributeWriteBack},
        {3 * kGib, 3 * kGib + kMib, MemoryType::reserved, 0},
        {0xffc00000, 0xffd00000, MemoryType::mmio, kAttributeRuntime},
        {0xfff00000, 0x100000000, MemoryType::mmio, 0}};
    std::vector<uint8_t> attributes;

    CoreMemory others{4 * kMib, 2, 0x8000};
    MachinePlan plan{.regions = {},
                     .image = {{64 * kMib, 65 * kMib},
                               {64 * kMib + 0x1000, 64 * kMib + 0x9000},
                               {64 * kMib + 0x20000, 65 * kMib}},
                     .model = {2 * kGib, 2 * kGib + 512 * kMib},
                     .stacks = CoreStacks::at(kMib, 256 << 10),
                     .others = others,
                     .memory = {read, this},
                     .attributes_table = 0};
    Tables t;

    static const uint8_t* read(const void* context, uint64_t address, uint64_t n_bytes) {
        const std::vector<uint8_t>& bytes = static_cast<const Example*>(context)->attributes;
        return address == kTable && n_bytes <= bytes.size() ? bytes.data() : nullptr;
    }
    // Entries of 48 bytes: begin, pages, attributes.
    void add_attributes(const std::vector<MemoryRegion>& parts) {
        attributes.assign(16 + parts.size() * 48, 0);
        const uint32_t header[4] = {1, uint32_t(parts.size()), 48, 0};
        memcpy(attributes.data(), header, sizeof header);
        for (size_t i = 0; i < parts.size(); i++) {
            const auto type = uint32_t(parts[i].type);
            const uint64_t n_pages = (parts[i].end - parts[i].begin) / kPageBytes;
            uint8_t* const at = attributes.data() + 16 + i * 48;
            memcpy(at, &type, 4);
            memcpy(at + 8, &parts[i].begin, 8);
            memcpy(at + 24, &n_pages, 8);
            memcpy(at + 32, &parts[i].attributes, 8);
        }
        plan.attributes_table = kTable;
    }
    void map() {
        plan.regions = regions;
        REQUIRE(map_machine(plan, &t.tables).ok());
    }
    void expect(uint64_t address, bool writable, bool executable) const {
        INFO(std::hex << address);
        CHECK(t.mapped(address));
        CHECK(t.writable(address) == writable);
        CHECK(t.executable(address) == executable);
        CHECK(!t.uncached(address));
    }
};

}  // namespace

TEST_CASE("RAM is writable and never executable, and what no region describes is not mapped") {
    Example e;
    e.map();
    for (const uint64_t address : {0x1000ul, 100 * kMib, kGib - 1, 3 * kGib - 1}) {
        e.expect(address, true, false);
    }
    for (const uint64_t address : {kGib, 2 * kGib - 1, 3 * kGib, uint64_t{0xfff00000}}) {
        CHECK(!e.t.mapped(address));
    }
    CHECK(e.t.tables.find(700 * kMib).page_bytes == kLargePageBytes);
}

TEST_CASE("nothing of the image is both writable and executable") {
    Example e;
    e.map();
    e.expect(64 * kMib, false, false);          // headers
    e.expect(64 * kMib + 0x1000, false, true);  // code
    e.expect(64 * kMib + 0x8fff, false, true);
    e.expect(64 * kMib + 0x9000, false, false);  // constants
    e.expect(64 * kMib + 0x1ffff, false, false);
    e.expect(64 * kMib + 0x20000, true, false);  // data
    e.expect(65 * kMib - 1, true, false);
    e.expect(65 * kMib, true, false);  // RAM again
    e.expect(64 * kMib - 1, true, false);
}

TEST_CASE("the model is read-only and its neighbours are not") {
    Example e;
    e.map();
    e.expect(2 * kGib, false, false);
    e.expect(2 * kGib + 512 * kMib - 1, false, false);
    e.expect(2 * kGib + 512 * kMib, true, false);
}

TEST_CASE("the null page and the page below every stack are not mapped") {
    Example e;
    e.map();
    CHECK(!e.t.mapped(0));
    CHECK(!e.t.mapped(kPageBytes - 1));
    std::vector<CoreStacks> all{e.plan.stacks, e.others.stacks(0), e.others.stacks(1)};
    for (const CoreStacks& s : all) {
        for (const uint64_t guard : {s.exception_guard, s.stack_guard}) {
            CHECK(!e.t.mapped(guard));
            CHECK(!e.t.mapped(guard + kPageBytes - 1));
        }
        e.expect(s.exception_stacks, true, false);
        e.expect(s.stack_guard - 1, true, false);
        e.expect(s.stack_begin, true, false);
        e.expect(s.stack_end - 1, true, false);
    }
    e.expect(e.others.state_address(0), true, false);
    e.expect(e.others.state_address(1), true, false);
    e.expect(e.others.range().end, true, false);
}

TEST_CASE("places of cores follow each other without overlap, each stack below its state") {
    const CoreMemory others{0x100000, 3, 0};
    for (uint64_t i = 0; i < 3; i++) {
        const CoreStacks s = others.stacks(i);
        CHECK(s.exception_guard == 0x100000 + i * CoreMemory::kPlaceBytes);
        CHECK(s.exception_stacks == s.exception_guard + kPageBytes);
        CHECK(s.stack_guard - s.exception_stacks == kNExceptionStacks * kExceptionStackBytes);
        CHECK(s.stack_begin == s.stack_guard + kPageBytes);
        CHECK(s.stack_end - s.stack_begin == CoreMemory::kStackBytes);
        CHECK(others.state_address(i) == s.stack_end);
        CHECK(s.range().size() == CoreStacks::bytes(CoreMemory::kStackBytes));
    }
    CHECK(others.range().end == others.state_address(2) + CoreMemory::kStateBytes);
}

TEST_CASE("runtime drivers run, and only the registers that they want are mapped, uncached") {
    Example e;
    e.map();
    e.expect(512 * kMib, true, true);
    e.expect(513 * kMib, true, false);
    CHECK(e.t.uncached(0xffc00000));
    CHECK(e.t.writable(0xffc00000));
    CHECK(!e.t.executable(0xffc00000));
}

TEST_CASE("whatever runtime services want is mapped, of any type, cached only if it is memory") {
    Example e;
    e.regions.push_back({0xfe000000, 0xfe010000, MemoryType::mmio_ports, kAttributeRuntime});
    e.regions.push_back({0xfd000000, 0xfd010000, MemoryType::reserved, kAttributeRuntime});
    e.regions.push_back(
        {0xfc000000, 0xfc010000, MemoryType::reserved, kAttributeRuntime | kAttributeWriteBack});
    // Farther than our tables reach: left out, and the rest stands.
    e.regions.push_back(
        {kMappableEnd, kMappableEnd + kPageBytes, MemoryType::mmio, kAttributeRuntime});
    e.map();
    CHECK((e.t.uncached(0xfe000000) && e.t.writable(0xfe00f000)));
    CHECK((e.t.uncached(0xfd000000) && e.t.writable(0xfd000000)));
    e.expect(0xfc000000, true, false);
    CHECK(!e.t.mapped(3 * kGib));
}

TEST_CASE("the memory attributes table splits runtime drivers into code and data") {
    Example e;
    const auto part = [](uint64_t begin, uint64_t end, uint64_t attributes) {
        return MemoryRegion{begin, end, MemoryType::runtime_code, attributes};
    };
    const uint64_t at = 512 * kMib;
    e.add_attributes({part(at, at + 0x4000, kAttributeReadOnly),
                      part(at + 0x4000, at + 0x6000, kAttributeExecuteProtect),
                      part(at + 0x6000, at + 0x8000, kAttributeReadOnly | kAttributeExecuteProtect),
                      part(at + 0xff000, at + 0x100000, kAttributeReadOnly),
                      part(600 * kMib, 601 * kMib, 0)});  // outside of any driver
    e.map();
    e.expect(at, false, true);
    e.expect(at + 0x4000, true, false);
    e.expect(at + 0x6000, false, false);
    e.expect(at + 0x8000, true, true);
    e.expect(at + 0xff000, false, true);  // up to its end
    e.expect(600 * kMib, true, false);
}

TEST_CASE("a memory attributes table that cannot be true is left out") {
    for (const uint32_t field : {0u, 1u, 2u}) {
        Example e;
        e.add_attributes({{512 * kMib, 513 * kMib, MemoryType::runtime_code, kAttributeReadOnly}});
        const uint32_t lies[][2] = {{4, 4097}, {8, 4097}, {4, 2}};
        memcpy(e.attributes.data() + lies[field][0], &lies[field][1], 4);
        e.map();
        INFO(field);
        e.expect(512 * kMib, true, true);
    }
}

TEST_CASE("the tables that are asked for suffice, with large pages and without") {
    for (const PageTables::Features features :
         {PageTables::Features{true, true, false}, PageTables::Features{false, true, false},
          PageTables::Features{true, true, true}, PageTables::Features{false, true, true}}) {
        Example e;
        // Regions that share nothing, and a machine of half a tebibyte.
        for (uint64_t i = 0; i < 40; i++) {
            const uint64_t at = (8 + 2 * i) * 512 * kGib + 0x3000;
            e.regions.push_back({at, at + 0x5000, MemoryType::conventional, kAttributeWriteBack});
        }
        e.regions.push_back({4 * kGib, 512 * kGib, MemoryType::conventional, kAttributeWriteBack});
        const uint64_t n = tables_needed(e.regions, e.others, {}, features);
        Tables t(features, n);
        e.plan.regions = e.regions;
        CHECK(map_machine(e.plan, &t.tables).ok());
        CHECK(t.tables.n_used() <= n);
    }
    Example e;
    const PageTables::Features large{true, true, false}, small{false, true, false};
    const auto needed = [&](const MoreRanges& more, const PageTables::Features& features) {
        return tables_needed(e.regions, e.others, more, features);
    };
    const CoreMemory many{4 * kMib, 255, 0x8000};
    CHECK(tables_needed(e.regions, many, {}, large) >=
          needed({}, large) + many.range().size() / kLargePageBytes - 1);
    CHECK(needed({3, 0x3000}, large) >= needed({}, large) + 3 * 6);
    CHECK(needed({1, 16 * kGib}, small) >= needed({}, small) + 16);
}

TEST_CASE("a machine that the tables have no room for is an error") {
    Example e;
    e.plan.regions = e.regions;
    Tables t({true, true, false}, 4);
    CHECK(map_machine(e.plan, &t.tables).code() == Code::no_memory);
}

TEST_CASE("only RAM and reserved memory of the map may be read, never across a region's end") {
    const MemoryRegion all[] = {{0, kMib, MemoryType::conventional, kAttributeWriteBack},
                                {kMib, 2 * kMib, MemoryType::reserved, 0},
                                {2 * kMib, 3 * kMib, MemoryType::mmio, 0}};
    const std::span<const MemoryRegion> regions(all);
    const PhysicalView view = readable_memory(&regions);
    const auto readable = [&](uint64_t address, uint64_t n_bytes) {
        return view.at(view.context, address, n_bytes) == reinterpret_cast<uint8_t*>(address);
    };
    CHECK(readable(0x1000, 0x1000));
    CHECK(readable(kMib, kMib));
    CHECK(readable(kMib - 8, 8));
    const auto refused = [&](uint64_t address, uint64_t n_bytes) {
        return view.at(view.context, address, n_bytes) == nullptr;
    };
    CHECK(refused(kMib - 8, 9));
    CHECK(refused(2 * kMib, 8));
    CHECK(refused(4 * kMib, 8));
    CHECK(refused(0x1000, ~uint64_t{0}));
    CHECK(refused(0, 8));
}
