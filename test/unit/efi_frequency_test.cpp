// SPDX-License-Identifier: MIT
// How a core's clock is raised: every means there is, and what a hypervisor may do to each.
#include "efi/platform/frequency.h"

#include "test/unit/catch.h"
#include "test/unit/fake_msrs.h"

using namespace axiom::efi;

namespace {

constexpr uint32_t kIntel = 0x756e6547, kAmd = 0x68747541, kHygon = 0x6f677948, kOther = 0x746e6543;
constexpr uint32_t kPlatformInfo = 0xce, kPerfControl = 0x199, kMiscEnable = 0x1a0,
                   kTurboLimit = 0x1ad, kEnergyBias = 0x1b0, kHwpEnable = 0x770,
                   kHwpCapabilities = 0x771, kHwpRequest = 0x774;
constexpr uint32_t kPState = 0xc0010062, kCppcCapabilities = 0xc00102b0, kCppcEnable = 0xc00102b1,
                   kCppcRequest = 0xc00102b3;

FrequencyWords intel_words() {
    FrequencyWords words;
    words.vendor_ebx = kIntel;
    words.leaf1_ecx = 1u << 7 | 1u << 28;            // EIST, AVX
    words.leaf6_eax = 1u << 1 | 1u << 7 | 1u << 10;  // turbo, HWP, EPP
    words.leaf6_ecx = 1u << 0 | 1u << 3;             // APERF, EPB
    return words;
}

FakeMsrs intel_msrs() {
    FakeMsrs msrs;
    msrs.values = {{kPlatformInfo, 0x1800},        {kPerfControl, 0x0800},   {kMiscEnable, 1 << 16},
                   {kTurboLimit, 0x28282a2d},      {kEnergyBias, 6},         {kHwpEnable, 0},
                   {kHwpCapabilities, 0x0108182d}, {kHwpRequest, 0x80002d08}};
    return msrs;
}

FrequencyWords amd_words() {
    FrequencyWords words;
    words.vendor_ebx = kAmd;
    words.extended7_edx = 1u << 7;
    words.extended8_ebx = 1u << 27;
    return words;
}

FakeMsrs amd_msrs() {
    FakeMsrs msrs;
    msrs.values = {
        {kCppcCapabilities, 0xc4803a10}, {kCppcEnable, 0}, {kCppcRequest, 0}, {kPState, 2}};
    return msrs;
}

}  // namespace

TEST_CASE("HWP is asked for the highest performance, for minimum and maximum, with EPP 0") {
    FakeMsrs msrs = intel_msrs();
    CHECK(raise_frequency(intel_words(), msrs) == FrequencyMethod::hwp);
    CHECK(msrs.values[kHwpEnable] == 1);
    CHECK(msrs.values[kHwpRequest] == 0x00002d2d);
    CHECK(msrs.values[kPerfControl] == 0x0800);  // ignored from then on
    CHECK(msrs.values[kEnergyBias] == 6);
    CHECK(name_of(FrequencyMethod::hwp) == "HWP");
}

TEST_CASE("HWP that firmware has turned on is not turned on again") {
    FakeMsrs msrs = intel_msrs();
    msrs.values[kHwpEnable] = 1;
    msrs.refuses.insert(kHwpEnable);
    CHECK(raise_frequency(intel_words(), msrs) == FrequencyMethod::hwp);
}

TEST_CASE("HWP without EPP sets the energy bias to performance") {
    FakeMsrs msrs = intel_msrs();
    FrequencyWords words = intel_words();
    words.leaf6_eax &= ~(1u << 10);
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::hwp);
    CHECK(msrs.values[kEnergyBias] == 0);
    msrs = intel_msrs();
    words.leaf6_ecx &= ~(1u << 3);
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::hwp);
    CHECK(msrs.values[kEnergyBias] == 6);
}

TEST_CASE("a ratio is asked for where there is no HWP, the turbo's where there is one") {
    FrequencyWords words = intel_words();
    words.leaf6_eax &= ~(1u << 7);
    FakeMsrs msrs = intel_msrs();
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::perf_ctl);
    CHECK(msrs.values[kPerfControl] == 0x2d00);
    CHECK(msrs.values[kEnergyBias] == 0);
    CHECK(msrs.values[kHwpEnable] == 0);

    words.leaf6_eax = 0;  // firmware's setup has turbo off
    msrs = intel_msrs();
    msrs.values[kMiscEnable] = 0;  // and EIST
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::perf_ctl);
    CHECK(msrs.values[kPerfControl] == 0x1800);
    CHECK(msrs.values[kMiscEnable] == 1 << 16);

    words.leaf6_eax = 1 << 1;  // turbo without a limit to read
    msrs = intel_msrs();
    msrs.values.erase(kTurboLimit);
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::perf_ctl);
    CHECK(msrs.values[kPerfControl] == 0x1800);
}

TEST_CASE(
    "a hypervisor that announces registers and lacks them, or ignores writes, gets no request") {
    for (const uint32_t missing : {kHwpEnable, kHwpCapabilities, kHwpRequest}) {
        FakeMsrs msrs = intel_msrs();
        msrs.values.erase(missing);
        CHECK(raise_frequency(intel_words(), msrs) == FrequencyMethod::perf_ctl);
        msrs.values.erase(kPerfControl);
        CHECK(raise_frequency(intel_words(), msrs) == FrequencyMethod::none);
    }
    for (const uint32_t ignored : {kHwpEnable, kHwpRequest}) {
        FakeMsrs msrs = intel_msrs();
        msrs.ignores = {ignored, kPerfControl};
        CHECK(raise_frequency(intel_words(), msrs) == FrequencyMethod::none);
    }
    FakeMsrs msrs = intel_msrs();
    msrs.values[kHwpCapabilities] = 0;
    msrs.values[kPlatformInfo] = msrs.values[kTurboLimit] = 0;
    CHECK(raise_frequency(intel_words(), msrs) == FrequencyMethod::none);
    CHECK(name_of(FrequencyMethod::none).empty());
}

TEST_CASE("registers that CPUID does not announce are not touched") {
    FrequencyWords words;
    words.vendor_ebx = kIntel;
    FakeMsrs msrs = intel_msrs();
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::none);
    words.leaf1_ecx = 1u << 7;  // EIST before Sandy Bridge: the ratio stands elsewhere
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::none);
    words = intel_words();
    words.vendor_ebx = kOther;
    CHECK(raise_frequency(words, msrs) == FrequencyMethod::none);
    words = amd_words();
    words.vendor_ebx = kOther;
    FakeMsrs amd = amd_msrs();
    CHECK(raise_frequency(words, amd) == FrequencyMethod::none);
    words = {};
    words.vendor_ebx = kAmd;
    CHECK(raise_frequency(words, amd) == FrequencyMethod::none);
    CHECK(msrs.written.empty());
    CHECK(amd.written.empty());
}

TEST_CASE(
    "CPPC is asked for the highest performance, and the P-state control where there is none") {
    FakeMsrs msrs = amd_msrs();
    CHECK(raise_frequency(amd_words(), msrs) == FrequencyMethod::cppc);
    CHECK(msrs.values[kCppcEnable] == 1);
    CHECK(msrs.values[kCppcRequest] == 0x0000c4c4);
    CHECK(msrs.values[kPState] == 2);

    for (const uint32_t missing : {kCppcCapabilities, kCppcEnable, kCppcRequest}) {
        msrs = amd_msrs();
        msrs.values.erase(missing);
        CHECK(raise_frequency(amd_words(), msrs) == FrequencyMethod::p_state);
        CHECK(msrs.values[kPState] == 0);
    }
    msrs = amd_msrs();
    msrs.values[kCppcCapabilities] = 0;
    msrs.refuses.insert(kPState);
    CHECK(raise_frequency(amd_words(), msrs) == FrequencyMethod::none);
    FrequencyWords hygon = amd_words();
    hygon.vendor_ebx = kHygon;
    hygon.extended8_ebx = 0;
    msrs = amd_msrs();
    CHECK(raise_frequency(hygon, msrs) == FrequencyMethod::p_state);
}

TEST_CASE("the speed is APERF over MPERF between two readings, where the core counts them") {
    FakeMsrs msrs;
    msrs.values = {{0xe7, 1000}, {0xe8, 3000}};
    CycleCounts from, to;
    REQUIRE(read_cycles(intel_words(), msrs, &from));
    msrs.values = {{0xe7, 3000}, {0xe8, 6000}};
    REQUIRE(read_cycles(intel_words(), msrs, &to));
    CHECK(speed_between(from, to) == 1.5);
    CHECK(speed_between(from, from) == 0);
    CHECK(!read_cycles(amd_words(), msrs, &to));
    msrs.values.erase(0xe7);
    CHECK(!read_cycles(intel_words(), msrs, &to));
}

TEST_CASE("the microcode's revision is in the upper half on Intel, in the lower on AMD") {
    static FakeMsrs* identified;
    FakeMsrs msrs;
    identified = &msrs;
    msrs.values[0x8b] = 0x1234;
    const auto identify = [] { identified->values[0x8b] |= uint64_t{0x2b000603} << 32; };
    CHECK(microcode_revision(intel_words(), msrs, identify) == 0x2b000603);
    CHECK(msrs.written.size() == 1);  // zero, before CPUID
    msrs.values[0x8b] = 0x0a201210;
    CHECK(microcode_revision(amd_words(), msrs, identify) == 0x0a201210);
    msrs.values.clear();
    CHECK(microcode_revision(intel_words(), msrs, identify) == 0);
    CHECK(microcode_revision(amd_words(), msrs, identify) == 0);
    CHECK(microcode_revision({}, msrs, identify) == 0);
}
