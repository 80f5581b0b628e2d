// SPDX-License-Identifier: MIT
// Which commit this image was built from, by git; "-dirty" where it was changed.
#pragma once

#include <string_view>

namespace axiom::efi {

extern const std::string_view kCommit;

}  // namespace axiom::efi
