// SPDX-License-Identifier: MIT
// Hardware watchdogs that are stopped, and chips that are none.
#include "efi/dev/acpi_watchdog.h"

#include <cstring>
#include <map>
#include <tuple>
#include <vector>

#include "efi/platform/tco.h"
#include "test/unit/catch.h"

using namespace axiom::efi;

namespace {

struct FakeRegisters final : RegisterAccess {
    std::map<uint64_t, uint32_t> values;
    std::vector<std::tuple<uint64_t, unsigned, uint32_t>> written;
    bool is_locked = false;

    uint32_t read(const Register& where, unsigned) override { return values[where.address]; }
    void write(const Register& where, unsigned bytes, uint32_t value) override {
        written.emplace_back(where.address, bytes, value);
        if (!is_locked) values[where.address] = value;
    }
};

struct FakePci final : PciConfig {
    std::map<std::pair<int, uint8_t>, uint32_t> values;  // by function of 00:1f
    uint32_t read(const PciAddress& where, uint8_t offset) override {
        const auto found = values.find({where.function, offset});
        return where.bus == 0 && where.device == 0x1f && found != values.end() ? found->second
                                                                               : ~0u;
    }
    void write(const PciAddress&, uint8_t, uint32_t) override { FAIL("written"); }
};

// As an ICH9's: power management at port 0x600.
FakePci old_chipset() {
    FakePci pci;
    pci.values = {
        {{0, 0x00}, 0x29188086}, {{0, 0x08}, 0x06010002}, {{0, 0x40}, 0x601}, {{0, 0x44}, 0x80}};
    return pci;
}

FakePci new_chipset() {
    FakePci pci;
    pci.values = {{{0, 0x00}, 0xa1488086}, {{0, 0x08}, 0x06010031}, {{4, 0x00}, 0xa1238086},
                  {{4, 0x08}, 0x0c050031}, {{4, 0x50}, 0x401},      {{4, 0x54}, 1 << 8}};
    return pci;
}

// One action of a WDAT.
struct Action {
    uint8_t action, instruction;
    uint64_t port;
    uint32_t value, mask;
};

std::vector<uint8_t> wdat(const std::vector<Action>& actions, uint8_t flags = 1) {
    std::vector<uint8_t> t(68);
    const auto put = [&](size_t at, auto value) { memcpy(&t[at], &value, sizeof value); };
    t[60] = flags;
    put(64, uint32_t(actions.size()));
    for (const Action& a : actions) {
        const size_t at = t.size();
        t.resize(at + 24);
        t[at] = a.action, t[at + 1] = a.instruction;
        t[at + 4] = 1, t[at + 5] = 16, t[at + 7] = 2;
        put(at + 8, a.port);
        put(at + 16, a.value), put(at + 20, a.mask);
    }
    return t;
}

constexpr uint8_t kSetRunning = 9, kSetStopped = 11, kWrite = 2, kWriteKeeping = 0x82, kRead = 0;

}  // namespace

TEST_CASE("what stops the timer of a WDAT is found and done, and the register's other bits stay") {
    const auto table = wdat({{kSetRunning, kWriteKeeping, 0x460, 0, 0x800},
                             {kSetStopped, kWriteKeeping, 0x468, 0x800, 0x800}});
    const WatchdogStop stop = read_wdat(table);
    CHECK((stop.where.address == 0x468 && stop.where.io && stop.keeps_rest));
    FakeRegisters registers;
    registers.values[0x468] = 0x0201;
    CHECK(stop_watchdog(stop, registers));
    CHECK(registers.values[0x468] == 0x0a01);
    CHECK(std::get<1>(registers.written.at(0)) == 2);
    registers.is_locked = true;
    registers.values[0x468] = 0;
    CHECK(!stop_watchdog(stop, registers));
    const WatchdogStop whole = read_wdat(wdat({{kSetStopped, kWrite, 0x468, 0xff01, 0x00ff}}));
    registers.is_locked = false;
    registers.values[0x468] = 0xaa00;
    CHECK(stop_watchdog(whole, registers));
    CHECK(registers.values[0x468] == 0x01);
}

TEST_CASE("a WDAT that is off, cut, or says nothing of stopping gives nothing to do") {
    FakeRegisters registers;
    const Action good{kSetStopped, kWrite, 0x468, 1, 1};
    CHECK(read_wdat(wdat({good}, 0)).where.address == 0);
    CHECK(read_wdat(wdat({})).where.address == 0);
    CHECK(read_wdat(wdat({{kSetRunning, kWrite, 0x468, 1, 1}})).where.address == 0);
    CHECK(read_wdat(wdat({{kSetStopped, kRead, 0x468, 1, 1}})).where.address == 0);
    CHECK(read_wdat(wdat({{kSetStopped, kWrite, 0x10468, 1, 1}})).where.address == 0);
    auto cut = wdat({good});
    for (size_t n = 0; n < cut.size(); n++)
        CHECK(read_wdat(std::span(cut).first(n)).where.address == 0);
    auto many = wdat({{kSetRunning, kWrite, 0x468, 1, 1}});
    memset(&many[64], 0xff, 4);  // more entries than there are
    CHECK(read_wdat(many).where.address == 0);
    CHECK(!stop_watchdog({}, registers));
    CHECK(registers.written.empty());
}

TEST_CASE("the TCO of old and new chipsets is halted, once") {
    FakeRegisters registers;
    FakePci old = old_chipset();
    CHECK(stop_tco(old, 0x600, registers) == Tco::stopped);
    CHECK(registers.values[0x668] == 0x800);
    CHECK(stop_tco(old, 0x600, registers) == Tco::halted);
    CHECK(registers.written.size() == 1);
    FakePci modern = new_chipset();
    registers.values[0x408] = 0x0001;
    CHECK(stop_tco(modern, 0x1800, registers) == Tco::stopped);
    CHECK(registers.values[0x408] == 0x801);
    registers.values[0x408] = 0;
    registers.is_locked = true;
    CHECK(stop_tco(modern, 0x1800, registers) == Tco::runs_on);
}

TEST_CASE("chips that are not known to have a TCO are left alone") {
    FakeRegisters registers;
    FakePci pci = old_chipset();
    CHECK(stop_tco(pci, 0x400, registers) == Tco::none);  // ACPI says another port
    pci.values[{0, 0x44}] = 0;
    CHECK(stop_tco(pci, 0x600, registers) == Tco::none);
    pci = old_chipset();
    pci.values[{0, 0x00}] = 0x29181022;
    CHECK(stop_tco(pci, 0x600, registers) == Tco::none);
    pci = old_chipset();
    pci.values[{0, 0x08}] = 0x06800002;
    CHECK(stop_tco(pci, 0x600, registers) == Tco::none);
    pci = old_chipset();
    pci.values[{0, 0x40}] = 1;
    CHECK(stop_tco(pci, 0, registers) == Tco::none);
    FakePci modern = new_chipset();
    modern.values[{4, 0x54}] = 0;
    CHECK(stop_tco(modern, 0x1800, registers) == Tco::none);
    FakePci nothing;
    CHECK(stop_tco(nothing, 0x600, registers) == Tco::none);
    CHECK(registers.written.empty());
    FakePci absent = old_chipset();
    registers.values[0x668] = 0xffff;
    CHECK(stop_tco(absent, 0x600, registers) == Tco::none);
}
