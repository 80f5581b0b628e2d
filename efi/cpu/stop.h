// SPDX-License-Identifier: MIT
// The end of the machine belongs to one core, and the others stop first, wherever they are: by NMI,
// so that no lock or mask keeps one of them going.
#pragma once

#include "core/clock.h"
#include "core/fmt.h"

namespace axiom::efi {

// For how long to wait for cores to stop.
void set_stop_clock(const Clock& clock);

// Returns on the first core that calls, at once when it calls again; all others have stopped by
// then, or cannot be reached. Any other core that calls stops here.
void take_the_end();

// What became of them, once this core has the end: " (1 other stopped)", or how many could not be
// stopped; empty when there was none.
Text<64> fate_of_others();

// For the NMI handler: stops this core if another has taken the end, returns if not.
void stop_if_told();

}  // namespace axiom::efi
