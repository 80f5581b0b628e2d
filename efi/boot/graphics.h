// SPDX-License-Identifier: MIT
// The framebuffer that the firmware's console is drawn in.
// Must not know: what will be drawn.
#pragma once

#include <span>

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/screen/framebuffer.h"

namespace axiom::efi {

// In the mode it is in, which stays. not_found where nothing has graphics, otherwise as check_mode().
Result<Framebuffer> find_framebuffer(const Firmware& firmware,
                                     std::span<const MemoryRegion> regions);

}  // namespace axiom::efi
