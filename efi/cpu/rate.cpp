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

}  // namespace axiom::efi
