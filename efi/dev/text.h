// SPDX-License-Identifier: MIT
// UTF-16 as firmware speaks it <-> UTF-8 as everything else here does.
// Must not know: where the text comes from or goes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"

namespace axiom::efi {

// UTF-16 units up to the first NUL or the end -> UTF-8 in `out`; returns the bytes written.
// bad_option for an unpaired surrogate or a control character other than a tab (so binary data is
// not taken for text), no_memory when `out` is too small. `what` names the text in messages.
Result<size_t> utf16_to_utf8(std::string_view what, std::span<const uint16_t> units,
                             std::span<char> out);

// UTF-8 -> NUL-terminated UTF-16; returns the units written without the NUL. bad_option for
// malformed UTF-8, no_memory when `out` is too small.
Result<size_t> utf8_to_utf16(std::string_view what, std::string_view text, std::span<uint16_t> out);

// The code point's bytes; returns how many.
size_t encode_utf8(uint32_t point, char out[4]);

// UTF-8 bytes in pieces of any size -> code points. A malformed sequence gives U+FFFD once.
class Utf8Stream {
  public:
    // The code points that `byte` completes, 0 to 2 of them (a broken sequence, then a character).
    size_t feed(uint8_t byte, uint32_t out[2]);

  private:
    uint32_t point_ = 0;
    uint32_t least_ = 0;  // smallest code point this length may encode
    int n_missing_ = 0;
};

}  // namespace axiom::efi
