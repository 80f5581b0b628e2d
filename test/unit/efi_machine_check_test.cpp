// SPDX-License-Identifier: MIT
// Machine-check banks: what is turned on, what is read, what is counted and cleared.
#include "efi/platform/machine_check.h"

#include "test/unit/catch.h"
#include "test/unit/fake_msrs.h"

using namespace axiom::efi;

namespace {

constexpr uint64_t kValid = uint64_t{1} << 63, kLost = uint64_t{1} << 62,
                   kUncorrected = uint64_t{1} << 61, kMisc = uint64_t{1} << 59,
                   kAddress = uint64_t{1} << 58;

FakeMsrs banks(uint32_t n, uint64_t capability_bits) {
    FakeMsrs msrs;
    msrs.values[0x179] = n | capability_bits;
    msrs.values[0x17b] = 0;
    for (uint32_t i = 0; i < 4 * n; i++) msrs.values[0x400 + i] = 0;
    return msrs;
}

}  // namespace

TEST_CASE("every bank is turned on, and the global control where there is one") {
    FakeMsrs msrs = banks(3, 1 << 8);
    MachineChecks checks(true, msrs);
    CHECK(checks.n_banks() == 3);
    checks.enable();
    CHECK(msrs.values[0x17b] == ~uint64_t{0});
    for (const uint32_t control : {0x400, 0x404, 0x408})
        CHECK(msrs.values[control] == ~uint64_t{0});
    FakeMsrs without = banks(1, 0);
    MachineChecks(true, without).enable();
    CHECK(without.values[0x17b] == 0);
}

TEST_CASE("a core without banks, or whose banks cannot be read, has none") {
    FakeMsrs msrs = banks(3, 0);
    CHECK(MachineChecks(false, msrs).n_banks() == 0);
    msrs.values.erase(0x179);
    MachineChecks checks(true, msrs);
    CHECK(checks.n_banks() == 0);
    checks.enable();
    CHECK(checks.take_corrected() == 0);
    CHECK(msrs.written.empty());
    FakeMsrs many = banks(255, 0);
    CHECK(MachineChecks(true, many).n_banks() == MachineChecks::kMaxBanks);
}

TEST_CASE("banks with an error are read with what is valid of address and misc, and stay") {
    FakeMsrs msrs = banks(4, 0);
    msrs.values[0x405] = kValid | kUncorrected | kAddress | 0x175;
    msrs.values[0x406] = 0x12340;
    msrs.values[0x407] = 77;
    msrs.values[0x40d] = kValid | kLost | kMisc;
    msrs.values[0x40f] = 5;
    msrs.values[0x409] = 0x99;  // not valid
    MachineChecks checks(true, msrs);
    MachineCheckBank found[4];
    REQUIRE(checks.read(found) == 2);
    CHECK(found[0].number == 1);
    CHECK(found[0].is_uncorrected());
    CHECK((found[0].has_address && found[0].address == 0x12340));
    CHECK((!found[0].has_misc && found[0].misc == 0));
    CHECK(found[1].number == 3);
    CHECK(!found[1].is_uncorrected());
    CHECK(found[1].has_lost_some());
    CHECK((!found[1].has_address && found[1].has_misc && found[1].misc == 5));
    CHECK(checks.read({found, 1}) == 1);
    CHECK(msrs.written.empty());
}

TEST_CASE("corrected errors are counted once, by their count where banks have one") {
    FakeMsrs msrs = banks(3, 0);
    msrs.values[0x401] = kValid | uint64_t{5} << 38;
    msrs.values[0x405] = kValid | kUncorrected;
    msrs.values[0x409] = kValid;
    MachineChecks checks(true, msrs);
    CHECK(checks.take_corrected() == 2);  // the bits are no count here
    CHECK(checks.take_corrected() == 0);
    CHECK(msrs.values[0x405] == (kValid | kUncorrected));  // for the report
    FakeMsrs counting = banks(2, 1 << 10);
    counting.values[0x401] = kValid | uint64_t{5} << 38;
    counting.values[0x405] = kValid;
    CHECK(MachineChecks(true, counting).take_corrected() == 6);
}

TEST_CASE("corrected errors from before are not counted") {
    FakeMsrs msrs = banks(2, 0);
    msrs.values[0x401] = kValid;
    MachineChecks checks(true, msrs);
    checks.enable();
    CHECK(checks.take_corrected() == 0);
}
