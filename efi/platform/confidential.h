// SPDX-License-Identifier: MIT
// Virtual machines whose memory the host must not read: AMD SEV (APM vol. 2, section 15.34) and Intel TDX
// (TDX Module Base Architecture Specification, section 10). Devices there, and page tables, want what we have
// not: they are refused by name, since what comes otherwise is a machine that hangs.
// Must not know: how CPUID and registers are read.
#pragma once

#include <cstdint>
#include <string_view>

namespace axiom::efi {

struct ConfidentialWords {
    uint32_t leaf21_ebx = 0, leaf21_ecx = 0,
             leaf21_edx = 0;        // "Inte", "    ", "lTDX" where it is TDX
    uint32_t leaf8000001f_eax = 0;  // bit 1: the CPU has SEV
    uint64_t sev_status =
        0;  // MSR 0xC0010131, where that bit is set: bit 0 SEV, 1 SEV-ES, 2 SEV-SNP
};

// "SEV", "SEV-ES", "SEV-SNP" or "TDX"; empty: none of them.
std::string_view confidential_kind(const ConfidentialWords& words);

}  // namespace axiom::efi
