// SPDX-License-Identifier: MIT
#include "efi/platform/confidential.h"

namespace axiom::efi {

std::string_view confidential_kind(const ConfidentialWords& words) {
    constexpr uint32_t kInte = 0x65746e49, kLtdx = 0x5844546c, kBlanks = 0x20202020;
    if (words.leaf21_ebx == kInte && words.leaf21_edx == kLtdx && words.leaf21_ecx == kBlanks)
        return "TDX";
    if ((words.leaf8000001f_eax >> 1 & 1) == 0) return "";
    if ((words.sev_status >> 2 & 1) != 0) return "SEV-SNP";
    if ((words.sev_status >> 1 & 1) != 0) return "SEV-ES";
    return (words.sev_status & 1) != 0 ? "SEV" : "";
}

}  // namespace axiom::efi
