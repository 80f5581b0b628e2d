// SPDX-License-Identifier: MIT
// Rounding up to a multiple, for sizes and addresses alike. Always inlined: kernel files use it (law 6).
#pragma once

#include <cstddef>

namespace axiom {

// The smallest multiple of `multiple` (at least 1, any number) that is at least n; wraps like any
// size_t where that exceeds 64 bits.
[[gnu::always_inline]] constexpr size_t round_up(size_t n, size_t multiple) {
    return (n + multiple - 1) / multiple * multiple;
}

}  // namespace axiom
