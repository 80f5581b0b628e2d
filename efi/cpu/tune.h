// SPDX-License-Identifier: MIT
// What every core is told once all of them run: its clock goes up, and machine checks are reported.
// And what came of it, measured with all cores busy.
// Must not know: by which means a clock goes up, or what the record calls these.
#pragma once

#include <cstdint>

#include "core/clock.h"
#include "core/team.h"
#include "efi/platform/frequency.h"

namespace axiom::efi {

struct CoreTuning {
    FrequencyMethod method = FrequencyMethod::none;  // the boot processor's
    size_t n_raised = 0;                             // cores by that method
    // Speed over the nominal one, 0 where cores do not count it: the mean before and after, and the
    // slowest core's after.
    double before = 0, after = 0, slowest = 0;
    uint32_t microcode = 0;  // the boot processor's; 0: not known
};

// On the boot processor, between jobs. Takes 25 ms where cores count their cycles and their clock was
// raised, else next to nothing.
CoreTuning tune_cores(Team& team, const Clock& clock);
// For people, where there is something to say.
void say_tuning(const CoreTuning& tuning, size_t n_workers);

// Whether this core has machine-check banks.
bool has_machine_checks();

}  // namespace axiom::efi
