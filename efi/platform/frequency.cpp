// SPDX-License-Identifier: MIT
#include "efi/platform/frequency.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kGenuineIntel = 0x756e6547, kAuthenticAmd = 0x68747541,
                   kHygonGenuine = 0x6f677948;

constexpr bool bit(uint64_t word, unsigned n) {
    return (word >> n & 1) != 0;
}
constexpr uint64_t byte(uint64_t word, unsigned at) {
    return word >> at & 0xff;
}

bool is_intel(const FrequencyWords& words) {
    return words.vendor_ebx == kGenuineIntel;
}
bool is_amd(const FrequencyWords& words) {
    return words.vendor_ebx == kAuthenticAmd || words.vendor_ebx == kHygonGenuine;
}

bool write_and_check(MsrAccess& msrs, uint32_t msr, uint64_t value, uint64_t mask) {
    uint64_t now = 0;
    return msrs.write(msr, value) && msrs.read(msr, &now) && ((now ^ value) & mask) == 0;
}

// Where EPP does not say so: performance, not energy (IA32_ENERGY_PERF_BIAS).
void set_energy_bias(const FrequencyWords& words, MsrAccess& msrs) {
    constexpr uint32_t kEnergyBias = 0x1b0;
    if (bit(words.leaf6_ecx, 3)) msrs.write(kEnergyBias, 0);
}

bool raise_by_hwp(const FrequencyWords& words, MsrAccess& msrs) {
    constexpr uint32_t kEnable = 0x770, kCapabilities = 0x771, kRequest = 0x774;
    uint64_t enabled = 0, capabilities = 0;
    // Once on it stays on until reset, and PERF_CTL is ignored.
    if (!msrs.read(kEnable, &enabled)) return false;
    if (!bit(enabled, 0) && !write_and_check(msrs, kEnable, 1, 1)) return false;
    if (!msrs.read(kCapabilities, &capabilities)) return false;
    const uint64_t highest = byte(capabilities, 0);
    if (highest == 0) return false;
    if (!bit(words.leaf6_eax, 10)) set_energy_bias(words, msrs);
    // Minimum and maximum; desired 0 leaves the choice between them to the CPU, EPP 0 is performance.
    return write_and_check(msrs, kRequest, highest | highest << 8, 0xffffffff);
}

// Since Sandy Bridge, which is where AVX came, the ratio stands in bits 15:8.
bool raise_by_ratio(const FrequencyWords& words, MsrAccess& msrs) {
    constexpr uint32_t kPlatformInfo = 0xce, kPerfControl = 0x199, kMiscEnable = 0x1a0,
                       kTurboLimit = 0x1ad;
    constexpr uint64_t kEistOn = 1 << 16;
    uint64_t info = 0, turbo = 0, enable = 0;
    if (!bit(words.leaf1_ecx, 28) || !msrs.read(kPlatformInfo, &info)) return false;
    uint64_t ratio = byte(info, 8);
    // The limit of one active core: with more of them the CPU itself keeps to theirs.
    if (bit(words.leaf6_eax, 1) && msrs.read(kTurboLimit, &turbo) && byte(turbo, 0) > ratio)
        ratio = byte(turbo, 0);
    if (ratio == 0) return false;
    if (msrs.read(kMiscEnable, &enable) && (enable & kEistOn) == 0)
        msrs.write(kMiscEnable, enable | kEistOn);
    set_energy_bias(words, msrs);
    return write_and_check(msrs, kPerfControl, ratio << 8, 0xff00);  // bit 32 clear: turbo allowed
}

bool raise_by_cppc(MsrAccess& msrs) {
    constexpr uint32_t kCapabilities = 0xc00102b0, kEnable = 0xc00102b1, kRequest = 0xc00102b3;
    uint64_t capabilities = 0;
    if (!msrs.read(kCapabilities, &capabilities)) return false;
    const uint64_t highest = byte(capabilities, 24);
    if (highest == 0 || !write_and_check(msrs, kEnable, 1, 1)) return false;
    return write_and_check(msrs, kRequest, highest | highest << 8, 0xffffffff);
}

bool raise_by_p_state(MsrAccess& msrs) {
    constexpr uint32_t kControl = 0xc0010062;
    return write_and_check(msrs, kControl, 0, 7);  // P0, from where the CPU boosts by itself
}

}  // namespace

std::string_view name_of(FrequencyMethod method) {
    switch (method) {
        case FrequencyMethod::none:
            return "";
        case FrequencyMethod::hwp:
            return "HWP";
        case FrequencyMethod::perf_ctl:
            return "PERF_CTL";
        case FrequencyMethod::cppc:
            return "CPPC";
        case FrequencyMethod::p_state:
            return "P-state";
    }
    return "";
}

FrequencyMethod raise_frequency(const FrequencyWords& words, MsrAccess& msrs) {
    if (is_intel(words)) {
        if (bit(words.leaf6_eax, 7) && raise_by_hwp(words, msrs)) return FrequencyMethod::hwp;
        if (bit(words.leaf1_ecx, 7) && raise_by_ratio(words, msrs))
            return FrequencyMethod::perf_ctl;
    }
    if (is_amd(words)) {
        if (bit(words.extended8_ebx, 27) && raise_by_cppc(msrs)) return FrequencyMethod::cppc;
        if (bit(words.extended7_edx, 7) && raise_by_p_state(msrs)) return FrequencyMethod::p_state;
    }
    return FrequencyMethod::none;
}

bool read_cycles(const FrequencyWords& words, MsrAccess& msrs, CycleCounts* counts) {
    constexpr uint32_t kMperf = 0xe7, kAperf = 0xe8;
    return bit(words.leaf6_ecx, 0) && msrs.read(kAperf, &counts->aperf) &&
           msrs.read(kMperf, &counts->mperf);
}

double speed_between(const CycleCounts& from, const CycleCounts& to) {
    const uint64_t mperf = to.mperf - from.mperf;
    return mperf == 0 ? 0 : double(to.aperf - from.aperf) / double(mperf);
}

uint32_t microcode_revision(const FrequencyWords& words, MsrAccess& msrs, void (*identify)()) {
    constexpr uint32_t kRevision = 0x8b;
    uint64_t value = 0;
    if (is_amd(words)) return msrs.read(kRevision, &value) ? uint32_t(value) : 0;
    if (!is_intel(words) || !msrs.write(kRevision, 0)) return 0;
    identify();
    return msrs.read(kRevision, &value) ? uint32_t(value >> 32) : 0;
}

}  // namespace axiom::efi
