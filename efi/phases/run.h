// SPDX-License-Identifier: MIT
// What the machine was started for, and what is told of it.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/fmt.h"
#include "efi/boot/facts.h"
#include "efi/cpu/smp.h"
#include "efi/dev/record_variable.h"
#include "efi/load/find_model.h"
#include "efi/phases/setup.h"
#include "model/chat/chat.h"
#include "model/report/record.h"

namespace axiom::efi {

// What only this platform knows. The run fills in the rest.
Record describe_machine(uint64_t entry_ticks, const Options& options, const Facts& facts,
                        const CorePlan& plan, const StartedCores& started, const LoadedModel& model,
                        const FreeMemory& free, uint64_t exit_ticks);

// What /models says: the next start can take another one.
Text<2048> list_models(const ModelList& models, const ModelPlace& current);

// The tests of --bench, all of --prompts, a conversation, or one prompt, whichever the options ask for.
// Each ends with a table and a record.
void run(const Machine& machine, const Weights& weights, const Options& options,
         const Prompts& prompts, ChatTerminal& terminal, Record* record);

// For who has no serial port. The record has been said by now: nothing here is worth a run.
void keep_record(const Record& record, bool quiet, RecordVariable* variable);

}  // namespace axiom::efi
