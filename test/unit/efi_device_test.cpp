// SPDX-License-Identifier: MIT
// What devices declare becomes mappings, tables and tasks.
#include "efi/dev/device.h"

#include <string>
#include <vector>

#include "test/unit/catch.h"
#include "test/unit/efi_tables.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

struct Counter : Device {
    int n_polls = 0;
    uint64_t last_ticks = 0;
    explicit Counter(const char* text) {
        name = text;
        poll = [](Device& self, uint64_t now_ticks) {
            Counter& counter = static_cast<Counter&>(self);
            counter.n_polls++;
            counter.last_ticks = now_ticks;
        };
    }
};

}  // namespace

TEST_CASE(
    "registers that devices declare are mapped writable, not executable, cached as they say") {
    Device uart, disk;
    uart.registers[0] = registers_at({0xfe036010, false, 32, 3});
    disk.registers[0].range = {0xc0000000, 0xc0004000};
    disk.registers[3] = {{0xd0000000, 0xd0001000}, Cache::write_back};
    Device* const devices[] = {&uart, &disk};
    Tables t;
    REQUIRE(map_registers(devices, &t.tables).ok());
    for (const uint64_t address : {0xfe036010, 0xfe03602f, 0xc0000000, 0xc0003fff, 0xd0000000}) {
        INFO(std::hex << address);
        CHECK(t.mapped(address));
        CHECK(t.writable(address));
        CHECK(!t.executable(address));
        CHECK(t.uncached(address) == (address != 0xd0000000));
    }
    CHECK(!t.mapped(0xc0004000));
    CHECK(!t.mapped(0xbfffffff));
    CHECK(!t.mapped(0xfe037000));
}

TEST_CASE("a register in I/O space, and one that is not there, need no mapping") {
    CHECK(registers_at({0x3f8, true, 8, 1}).range.size() == 0);
    CHECK(registers_at({}).range.size() == 0);
    CHECK(registers_at({0xfe000000, false, 8, 1}).range.size() == kRegisterBytes);
}

TEST_CASE("registers that the tables have no room for are an error") {
    Device device;
    device.registers[0].range = {0xc0000000, 0xc0001000};
    Device* const devices[] = {&device};
    Tables t({true, true, false}, 2);
    CHECK(map_registers(devices, &t.tables).code() == Code::no_memory);
}

TEST_CASE("declared ranges are counted, empty ones left out") {
    Device a, b, none;
    a.registers[1].range = {0x1000, 0x3000};
    b.registers[0].range = {0x8000, 0x9000};
    b.registers[2].range = {0x10000, 0x10020};
    Device* const devices[] = {&a, &none, &b};
    CHECK(count_registers(devices).n == 3);
    CHECK(count_registers(devices).bytes == 0x3020);
    CHECK(count_registers({}).n == 0);
}

TEST_CASE(
    "every poll becomes a task with the device's name, in order, and reaches its own device") {
    Counter first("first"), second("second");
    Device silent;
    silent.name = "silent";
    Device* const devices[] = {&silent, &first, &second};
    LayerLoop loop;
    add_tasks(devices, &loop);
    REQUIRE(loop.n_tasks() == 2);
    CHECK(std::string(loop.task(0).name) == "first");
    CHECK(std::string(loop.task(1).name) == "second");
    loop.task(1).poll(loop.task(1).context, 77);
    CHECK(first.n_polls == 0);
    CHECK(second.n_polls == 1);
    CHECK(second.last_ticks == 77);
    Team team;
    team.init(1);
    CHECK(loop.run(team, {.n_layers = 3, .layer = [](void*, const Worker&, size_t) {}}, {}).ok());
    CHECK(first.n_polls == 3);
    CHECK(second.n_polls == 4);
}
