// SPDX-License-Identifier: MIT
// Page sizes and how far addresses reach (Intel SDM vol. 3A, sections 4.1 and 4.5).
#pragma once

#include <cstdint>

namespace axiom::efi {

inline constexpr uint64_t kPageBytes = 4096;
inline constexpr uint64_t kLargePageBytes = uint64_t{2} << 20;
inline constexpr uint64_t kHugePageBytes = uint64_t{1} << 30;
inline constexpr uint64_t kMaxPhysicalAddress = uint64_t{1} << 52;
// The end of the canonical lower half, which is what our page tables can map onto itself.
inline constexpr uint64_t kMappableEnd = uint64_t{1} << 47;

}  // namespace axiom::efi
