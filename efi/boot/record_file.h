// SPDX-License-Identifier: MIT
// \axiom\records.jsonl of the volume our image came from: where records are taken home to, one a line.
// Whatever goes wrong costs a note.
#pragma once

#include "core/status.h"
#include "efi/boot/firmware.h"

namespace axiom::efi {

// What the run before this start left in the firmware's variable store goes into the file, and then out
// of the store. Once more than once does no harm.
void take_record_home(const Firmware& firmware, bool quiet);
// A start that ends before there is a run: its error.
void record_error(const Firmware& firmware, const Status& status);

}  // namespace axiom::efi
