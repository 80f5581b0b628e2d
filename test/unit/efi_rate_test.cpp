// SPDX-License-Identifier: MIT
// Which rate of the time-stamp counter is believed.
#include "efi/cpu/rate.h"

#include <string_view>

#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

Result<TscRate> measured(uint64_t hz) {
    return TscRate{hz, 0.001, "HPET"};
}
const Result<TscRate> kNothing = error(Code::io, "nothing counts");

}  // namespace

TEST_CASE("the crystal's rate is taken where a clock confirms it") {
    const TscWords words{2, 216, 24000000, 2600};
    CHECK(crystal_hz(words) == 2592000000u);
    const TscRate rate = choose_rate(words, measured(2592100000));
    CHECK(rate.hz == 2592000000u);
    CHECK(std::string_view(rate.reference) == "CPUID 0x15");
    CHECK(rate.is_measured);
}

TEST_CASE("a crystal's rate that a clock contradicts is not") {
    const TscWords words{2, 216, 24000000, 2600};
    const TscRate below = choose_rate(words, measured(2500000000));
    CHECK(below.hz == 2500000000u);
    CHECK(std::string_view(below.reference) == "HPET");
    CHECK(choose_rate(words, measured(2700000000)).hz == 2700000000u);
}

TEST_CASE("a leaf that leaves out the crystal, or the ratio, counts for nothing") {
    CHECK(crystal_hz({2, 216, 0, 2600}) == 0);
    CHECK(crystal_hz({0, 216, 24000000, 0}) == 0);
    CHECK(crystal_hz({2, 0, 24000000, 0}) == 0);
    CHECK(choose_rate({2, 216, 0, 2600}, measured(2592000000)).hz == 2592000000u);
}

TEST_CASE("without any clock the machine starts with what CPUID says, or a guess, and says so") {
    const TscRate crystal = choose_rate({2, 216, 24000000, 2600}, kNothing);
    CHECK((crystal.hz == 2592000000u && !crystal.is_measured));
    const TscRate base = choose_rate({0, 0, 0, 2600}, kNothing);
    CHECK((base.hz == 2600000000u && !base.is_measured));
    CHECK(std::string_view(base.reference) == "CPUID 0x16");
    const TscRate guess = choose_rate({}, kNothing);
    CHECK((guess.hz == 1000000000u && !guess.is_measured));
}

TEST_CASE("an HPET counts at 10 MHz to 1 GHz") {
    CHECK(hpet_hz(69841279) == 14318179);
    CHECK(hpet_hz(100000000) == 10000000);
    CHECK(hpet_hz(100000001) == 0);
    CHECK(hpet_hz(999999) == 0);
    CHECK(hpet_hz(0) == 0);
    CHECK(hpet_hz(0xffffffff) == 0);
}
