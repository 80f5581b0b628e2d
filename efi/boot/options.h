// SPDX-License-Identifier: MIT
// Options as the EFI image receives them: the policy inside the image, axiom.conf on our own volume, then
// the load options of whoever started us (the shell's command line, a boot entry). The later wins, but for
// what the policy says, which nothing may say again.
#pragma once

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/boot/pages.h"
#include "efi/boot/tpm.h"
#include "model/report/options.h"

namespace axiom::efi {

inline constexpr char kConfigPath[] = "\\axiom\\axiom.conf";

// The values view into pages that it takes. Each source is measured as it is, before it is looked at.
Result<Options> read_options(const Firmware& firmware, Tpm* tpm, OwnedPages* pages);

}  // namespace axiom::efi
