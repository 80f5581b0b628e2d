// SPDX-License-Identifier: MIT
// A core's clock: firmware leaves it at some boot P-state, half of what it can do or less, and nothing
// but an operating system raises it. By the means that CPUID announces: HWP or PERF_CTL (Intel SDM vol. 3B,
// sections 15.1 and 15.4), CPPC or the P-state control (AMD APM vol. 2, sections 17.1 and 17.6).
// Must not know: how CPUID and registers are read, or which cores there are.
#pragma once

#include <cstdint>
#include <string_view>

#include "efi/platform/msr_access.h"

namespace axiom::efi {

// CPUID of this core; 0 where a leaf does not exist.
struct FrequencyWords {
    uint32_t vendor_ebx = 0;                // leaf 0: the first four letters
    uint32_t leaf1_ecx = 0;                 // bit 7 EIST, bit 28 AVX
    uint32_t leaf6_eax = 0, leaf6_ecx = 0;  // bit 1 turbo, 7 HWP, 10 EPP; bit 0 APERF, 3 EPB
    uint32_t extended7_edx = 0;             // 0x80000007: bit 7 P-state control
    uint32_t extended8_ebx = 0;             // 0x80000008: bit 27 CPPC
};

enum class FrequencyMethod : uint8_t { none, hwp, perf_ctl, cppc, p_state };
// "HWP", "PERF_CTL", "CPPC", "P-state"; empty for none.
std::string_view name_of(FrequencyMethod method);

// Asks for the highest performance there is, turbo included, by the first means that works: what was
// written reads back. none: the core's clock is as firmware or a hypervisor left it. What firmware has
// turned off (MISC_ENABLE's turbo disable, HWCR's CpbDis) is its owner's choice and stays.
FrequencyMethod raise_frequency(const FrequencyWords& words, MsrAccess& msrs);

// Cycles at the speed the core had and at its nominal one (MSRs 0xE8 and 0xE7).
struct CycleCounts {
    uint64_t aperf = 0, mperf = 0;
};
// False where the core does not count them.
bool read_cycles(const FrequencyWords& words, MsrAccess& msrs, CycleCounts* counts);
// Speed over the nominal one between two readings; 0 where no cycle was counted.
double speed_between(const CycleCounts& from, const CycleCounts& to);

// The revision of the microcode, 0 where it cannot be told (IA32_BIOS_SIGN_ID and AMD's PATCH_LEVEL, both
// MSR 0x8B). `identify` runs CPUID leaf 1, which is what makes Intel's CPUs fill the register in.
uint32_t microcode_revision(const FrequencyWords& words, MsrAccess& msrs, void (*identify)());

}  // namespace axiom::efi
