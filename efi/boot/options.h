// SPDX-License-Identifier: MIT
// Options as the EFI image receives them: axiom.conf on our own volume, then the load options of
// whoever started us (the shell's command line, a boot entry). The later wins.
#pragma once

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/pages.h"
#include "model/report/options.h"

namespace axiom::efi {

inline constexpr char kConfigPath[] = "\\axiom\\axiom.conf";

// The values view into pages that it takes.
Result<Options> read_options(const Firmware& firmware, OwnedPages* pages);

}  // namespace axiom::efi
