// SPDX-License-Identifier: MIT
// How ACPI's registers power a machine off: the tables, the AML that is searched, what is written.
#include "efi/dev/acpi_power.h"

#include <cstring>
#include <map>
#include <vector>

#include "test/unit/catch.h"

using namespace axiom::efi;

namespace {

using Bytes = std::vector<uint8_t>;

// A DSDT with this behind its header, and one more byte.
Bytes aml(const Bytes& code) {
    Bytes table(36);
    memcpy(table.data(), "DSDT", 4);
    table.insert(table.end(), code.begin(), code.end());
    table.push_back(0xa3);
    return table;
}

// Name (_S5, Package (n) {elements}) with a length of one byte.
Bytes s5(const Bytes& elements, uint8_t n, bool is_rooted = false) {
    Bytes code{0x08};
    if (is_rooted) code.push_back('\\');
    code.insert(code.end(), {'_', 'S', '5', '_', 0x12, uint8_t(2 + elements.size()), n});
    code.insert(code.end(), elements.begin(), elements.end());
    return code;
}

struct FakeRegisters final : RegisterAccess {
    std::map<uint64_t, uint32_t> values;
    std::vector<std::pair<uint64_t, uint32_t>> written;
    bool obeys_smi = true;

    uint32_t read(const Register& where, unsigned) override { return values[where.address]; }
    void write(const Register& where, unsigned, uint32_t value) override {
        written.emplace_back(where.address, value);
        values[where.address] = value;
        if (where.address == 0xb2 && value == 0xa1 && obeys_smi) values[0x604] |= 1;
    }
};

PowerOff plain() {
    PowerOff how;
    how.pm1a_control = {0x604, true, 16, 2};
    how.has_types = true;
    how.types = {5, 6};
    return how;
}

}  // namespace

TEST_CASE("S5 is found in AML as compilers write it") {
    SleepTypes types;
    REQUIRE(find_s5(aml(s5({0x0a, 0x05, 0x0a, 0x06, 0x00, 0x00}, 4)), &types));
    CHECK((types.a == 5 && types.b == 6));
    REQUIRE(find_s5(aml(s5({0x00, 0x01, 0x00, 0x00}, 4, true)), &types));
    CHECK((types.a == 0 && types.b == 1));
    REQUIRE(find_s5(aml(s5({0x0a, 0x07}, 1)), &types));
    CHECK((types.a == 7 && types.b == 7));
    // A length of two bytes, which counts itself.
    Bytes code{0x08, '_', 'S', '5', '_', 0x12, 0x47, 0x00, 0x02, 0x0a, 0x03, 0x0a, 0x04};
    REQUIRE(find_s5(aml(code), &types));
    CHECK((types.a == 3 && types.b == 4));
}

TEST_CASE("what only looks like S5 is passed over, and the real one behind it found") {
    SleepTypes types;
    Bytes code{0x14, 0x09, '_',  'S',  '5', '_',
               0x12, 0x04, 0x02, 0x00, 0x00};  // a method of that name
    const Bytes real = s5({0x0a, 0x05, 0x00}, 2);
    code.insert(code.end(), real.begin(), real.end());
    REQUIRE(find_s5(aml(code), &types));
    CHECK((types.a == 5 && types.b == 0));
}

TEST_CASE("S5 that is cut, empty, too large or not constant is not found") {
    SleepTypes types;
    const Bytes whole = aml(s5({0x0a, 0x05, 0x0a, 0x06}, 4));
    for (size_t n = 0; n + 2 < whole.size(); n++)
        CHECK(!find_s5(std::span(whole).first(n), &types));
    CHECK(!find_s5(aml(s5({}, 0)), &types));
    CHECK(!find_s5(aml(s5({0x0a, 0x08, 0x00}, 2)), &types));
    CHECK(!find_s5(aml(s5({0x68, 0x00}, 2)), &types));
    Bytes code = s5({0x0a, 0x05, 0x00}, 2);
    code[6] = 0x3f;  // longer than the table
    CHECK(!find_s5(aml(code), &types));
    code[6] = 0x01;  // shorter than itself
    CHECK(!find_s5(aml(code), &types));
    code[6] = 0xff;
    CHECK(!find_s5(aml(code), &types));
    CHECK(!find_s5(aml({}), &types));
    CHECK(!find_s5({}, &types));
}

TEST_CASE("both PM1 controls get their type first and then the order to sleep") {
    PowerOff how = plain();
    how.pm1b_control = {0x704, true, 16, 2};
    FakeRegisters registers;
    registers.values = {{0x604, 0x1c01}, {0x704, 0x0002}};
    REQUIRE(enter_s5(how, registers));
    CHECK(registers.written ==
          std::vector<std::pair<uint64_t, uint32_t>>{
              {0x604, 0x1401}, {0x604, 0x3401}, {0x704, 0x1802}, {0x704, 0x3802}});
}

TEST_CASE("ACPI mode is entered first where firmware has not, and waited for with patience") {
    PowerOff how = plain();
    how.smi_command = {0xb2, true, 8, 1};
    how.acpi_enable = 0xa1;
    FakeRegisters registers;
    REQUIRE(enter_s5(how, registers));
    REQUIRE(registers.written.size() == 3);
    CHECK(registers.written[0] == std::pair<uint64_t, uint32_t>{0xb2, 0xa1});
    CHECK(registers.written[2] == std::pair<uint64_t, uint32_t>{0x604, 0x3401});
    FakeRegisters deaf;
    deaf.obeys_smi = false;
    CHECK(enter_s5(how, deaf));
    FakeRegisters on;
    on.values[0x604] = 1;
    CHECK(enter_s5(how, on));
    CHECK(on.written.size() == 2);
}

TEST_CASE("reduced hardware has one register, and without types or registers nothing is written") {
    PowerOff how;
    how.has_types = true;
    how.types = {5, 5};
    how.sleep_control = {0xfed00404, false, 8, 1};
    FakeRegisters registers;
    REQUIRE(enter_s5(how, registers));
    CHECK(registers.written == std::vector<std::pair<uint64_t, uint32_t>>{{0xfed00404, 0x34}});
    FakeRegisters none;
    CHECK(!enter_s5({}, none));
    PowerOff typeless = plain();
    typeless.has_types = false;
    CHECK(!enter_s5(typeless, none));
    PowerOff registerless;
    registerless.has_types = true;
    CHECK(!enter_s5(registerless, none));
    CHECK(none.written.empty());
}
