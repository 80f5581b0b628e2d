// SPDX-License-Identifier: MIT
#include "efi/boot/commit.h"

namespace axiom::efi {

constinit const std::string_view kCommit = AXIOM_COMMIT;

}  // namespace axiom::efi
