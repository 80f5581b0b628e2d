// SPDX-License-Identifier: MIT
// Which devices lose their leave to write to memory.
#include "efi/platform/bus_masters.h"

#include <map>
#include <tuple>

#include "test/unit/catch.h"

using namespace axiom::efi;

namespace {

constexpr uint32_t kBusMaster = 1 << 2, kMemory = 1 << 1;

struct FakePci final : PciConfig {
    struct Function {
        uint32_t class_code = 0;
        uint32_t command = kBusMaster | kMemory | 0xf9000000;  // status bits are cleared by ones
        bool has_more = false;
        bool is_stubborn = false;
    };
    std::map<std::tuple<int, int, int>, Function> functions;

    Function* find(const PciAddress& where) {
        const auto found = functions.find({where.bus, where.device, where.function});
        return found == functions.end() ? nullptr : &found->second;
    }
    uint32_t read(const PciAddress& where, uint8_t offset) override {
        const Function* f = find(where);
        if (f == nullptr) return ~0u;
        switch (offset) {
            case 0x00:
                return 0x12348086;
            case 0x04:
                return f->command;
            case 0x08:
                return f->class_code << 8 | 0x11;
            case 0x0c:
                return f->has_more ? 1u << 23 : 0;
            default:
                return 0;
        }
    }
    void write(const PciAddress& where, uint8_t offset, uint32_t value) override {
        Function* f = find(where);
        REQUIRE((f != nullptr && offset == 0x04));
        CHECK(value >> 16 == 0);
        if (!f->is_stubborn) f->command = (f->command & 0xffff0000) | (value & 0xffff);
    }
    bool is_master(int bus, int device, int function = 0) {
        return (functions.at({bus, device, function}).command & kBusMaster) != 0;
    }
};

}  // namespace

TEST_CASE("disks, network, sound and FireWire are stopped, what the machine lives by is not") {
    FakePci pci;
    const uint32_t stopped[] = {0x010601, 0x010802, 0x020000, 0x040300,
                                0x0c0010, 0x0d8000, 0x120000};
    const uint32_t kept[] = {0x030000, 0x060000, 0x060400, 0x060100, 0x070002, 0x080600,
                             0x080501, 0x0c0330, 0x0c0320, 0x0c0500, 0x0c0701, 0x000100};
    int device = 0;
    for (const uint32_t c : stopped) pci.functions[{0, device++, 0}].class_code = c;
    for (const uint32_t c : kept) pci.functions[{0, device++, 0}].class_code = c;
    const StoppedMasters masters = stop_bus_masters(pci, nullptr);
    CHECK(masters.n_functions == 19);
    CHECK(masters.n_stopped == 7);
    for (int i = 0; i < 7; i++) {
        CHECK(!pci.is_master(0, i));
        CHECK((pci.functions.at({0, i, 0}).command & kMemory) != 0);
    }
    for (int i = 7; i < 19; i++) CHECK(pci.is_master(0, i));
}

TEST_CASE("the disk that layers are streamed from stays a bus master") {
    FakePci pci;
    pci.functions[{1, 0, 0}].class_code = 0x010802;
    pci.functions[{2, 0, 0}].class_code = 0x010802;
    const PciAddress kept{0, 2, 0, 0};
    CHECK(stop_bus_masters(pci, &kept).n_stopped == 1);
    CHECK(!pci.is_master(1, 0));
    CHECK(pci.is_master(2, 0));
}

TEST_CASE("functions are found on every bus, beyond the first only where a device has more") {
    FakePci pci;
    pci.functions[{255, 31, 0}] = {.class_code = 0x020000, .has_more = true};
    pci.functions[{255, 31, 7}].class_code = 0x020000;
    pci.functions[{128, 5, 0}].class_code = 0x020000;
    pci.functions[{128, 5, 1}].class_code = 0x020000;  // the same one, decoded incompletely
    const StoppedMasters masters = stop_bus_masters(pci, nullptr);
    CHECK(masters.n_functions == 3);
    CHECK(masters.n_stopped == 3);
    CHECK(!pci.is_master(255, 31, 7));
    CHECK(pci.is_master(128, 5, 1));
}

TEST_CASE("one that is no bus master, or stays one, is not counted as stopped") {
    FakePci pci;
    pci.functions[{0, 1, 0}] = {.class_code = 0x020000, .command = kMemory};
    pci.functions[{0, 2, 0}] = {.class_code = 0x020000, .is_stubborn = true};
    CHECK(stop_bus_masters(pci, nullptr).n_stopped == 0);
    FakePci empty;
    CHECK(stop_bus_masters(empty, nullptr).n_functions == 0);
}
