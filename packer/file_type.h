// SPDX-License-Identifier: MIT
// llama.cpp's names of general.file_type.
#pragma once

#include <cstdint>

namespace axiom::packer {

// "Q4_K - Medium"; "unknown" for numbers it does not name.
const char* file_type_name(uint64_t file_type);

}  // namespace axiom::packer
