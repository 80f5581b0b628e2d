// SPDX-License-Identifier: MIT
// Virtual machines that are refused, and those that are not.
#include "efi/platform/confidential.h"

#include "test/unit/catch.h"

using namespace axiom::efi;

TEST_CASE("TDX and each kind of SEV are told by name, and nothing else is") {
    ConfidentialWords words;
    CHECK(confidential_kind(words).empty());
    words.leaf21_ebx = 0x65746e49, words.leaf21_edx = 0x5844546c, words.leaf21_ecx = 0x20202020;
    CHECK(confidential_kind(words) == "TDX");
    words.leaf21_ecx = 0x20202021;
    CHECK(confidential_kind(words).empty());
    words = {};
    words.leaf8000001f_eax = 1 << 1;  // the CPU can, and nobody uses it
    CHECK(confidential_kind(words).empty());
    words.sev_status = 1;
    CHECK(confidential_kind(words) == "SEV");
    words.sev_status = 3;
    CHECK(confidential_kind(words) == "SEV-ES");
    words.sev_status = 7;
    CHECK(confidential_kind(words) == "SEV-SNP");
    words.leaf8000001f_eax = 1;  // without SEV the register means nothing
    CHECK(confidential_kind(words).empty());
}
