// SPDX-License-Identifier: MIT
// A section of a PE32+ image that lies in memory as firmware loaded it (Microsoft PE Format, "Section Table
// (Section Headers)"). What a signature of the image covers.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace axiom::efi {

// The section's bytes in the image, without the padding of its last page; empty where there is none, or
// where the headers are not a PE32+ image's.
std::span<const uint8_t> find_section(std::span<const uint8_t> image, std::string_view name);

}  // namespace axiom::efi
