// SPDX-License-Identifier: MIT
// The end of the machine belongs to one core, and the others stop first, wherever they are: by NMI,
// so that no lock or mask keeps one of them going.
#pragma once

#include "core/clock.h"

namespace axiom::efi {

// For how long to wait for cores to stop.
void set_stop_clock(const Clock& clock);

// Returns on the first core that calls, at once when it calls again; all others have stopped by
// then, or cannot be reached. Any other core that calls stops here.
void take_the_end();

// For the NMI handler: stops this core if another has taken the end, returns if not.
void stop_if_told();

}  // namespace axiom::efi
