// SPDX-License-Identifier: MIT
// A person's choice among several models, on the firmware's console.
// Must not know: what is done with the one that is chosen.
#pragma once

#include <cstdint>

#include "efi/load/find_model.h"

namespace axiom::efi {

// Lists them with their sizes and asks which, while it counts down; the preset one when nobody presses a
// key within these seconds. A key that chooses nothing ends the countdown: somebody is there.
const ModelPlace& choose_model(const Firmware& firmware, const ModelList& models, uint32_t seconds);

}  // namespace axiom::efi
