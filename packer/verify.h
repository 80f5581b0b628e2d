// SPDX-License-Identifier: MIT
// Everything about a packed file that can be checked without running the model.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "core/status.h"

namespace axiom::packer {

// Checksums, structure, tokenizer, chat template, zeros between extents, finite scales and norms:
// the first thing wrong. `bytes` is the whole file, 64-byte aligned.
Status verify(std::string_view file, std::span<const uint8_t> bytes);

}  // namespace axiom::packer
