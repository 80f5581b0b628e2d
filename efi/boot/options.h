// SPDX-License-Identifier: MIT
// Options as the EFI image receives them: axiom.conf on our own volume, then the load options of
// whoever started us (the shell's command line, a boot entry). The later wins.
#pragma once

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "model/report/options.h"

namespace axiom::efi {

inline constexpr char kConfigPath[] = "\\axiom\\axiom.conf";
inline constexpr char kModelPath[] = "\\axiom\\model.axm";

// `text` is page memory that outlives the options: their values view into it.
inline constexpr size_t kOptionTextBytes = 96 * 1024;
Status read_options(const Firmware& firmware, std::span<char> text, Options* out);

}  // namespace axiom::efi
