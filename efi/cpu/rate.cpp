// SPDX-License-Identifier: MIT
#include "efi/cpu/rate.h"

#include <algorithm>

namespace axiom::efi {

Result<TscRate> judge_rates(std::span<uint64_t> rates_hz, const char* reference) {
    AXIOM_CHECK(!rates_hz.empty());
    std::sort(rates_hz.begin(), rates_hz.end());
    const uint64_t median = rates_hz[rates_hz.size() / 2];
    if (median < kMinTscHz || median > kMaxTscHz) {
        return error(Code::io, "TSC rate against the ", reference, ": found ", median,
                     " Hz, allowed ", kMinTscHz, "..", kMaxTscHz, " Hz");
    }
    const double spread = double(rates_hz.back() - rates_hz.front()) / double(median);
    return TscRate{median, spread, reference};
}

uint64_t crystal_hz(const TscWords& words) {
    if (words.leaf15_eax == 0 || words.leaf15_ebx == 0) return 0;
    return uint64_t{words.leaf15_ecx} * words.leaf15_ebx / words.leaf15_eax;
}

uint32_t hpet_hz(uint32_t period_fs) {
    constexpr uint64_t kSecondFs = 1000000000000000;
    constexpr uint32_t kMinFs = 1000000, kMaxFs = 100000000;
    return period_fs < kMinFs || period_fs > kMaxFs ? 0 : uint32_t(kSecondFs / period_fs);
}

TscRate choose_rate(const TscWords& words, const Result<TscRate>& measured) {
    constexpr const char* kCrystal = "CPUID 0x15";
    constexpr uint64_t kGuessHz = 1000000000;
    const uint64_t crystal = crystal_hz(words);
    const bool is_plausible = crystal >= kMinTscHz && crystal <= kMaxTscHz;
    if (measured.ok()) {
        const TscRate& rate = measured.value();
        const double off = double(crystal) / double(rate.hz) - 1;
        return is_plausible && off <= kMaxSpread && -off <= kMaxSpread
                   ? TscRate{crystal, rate.spread, kCrystal}
                   : rate;
    }
    if (is_plausible) return {crystal, 0, kCrystal, false};
    const uint64_t base = uint64_t{words.leaf16_eax} * 1000000;
    if (base >= kMinTscHz && base <= kMaxTscHz) return {base, 0, "CPUID 0x16", false};
    return {kGuessHz, 0, "nothing", false};
}

}  // namespace axiom::efi
