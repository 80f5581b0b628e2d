// SPDX-License-Identifier: MIT
// The boot while there is firmware to ask: errors go back to whoever started us.
#pragma once

#include <span>

#include "core/status.h"
#include "efi/boot/facts.h"
#include "efi/boot/firmware.h"
#include "efi/boot/tpm.h"
#include "efi/dev/device.h"
#include "efi/load/find_model.h"
#include "efi/memory/paging.h"
#include "efi/phases/setup.h"
#include "model/report/options.h"

namespace axiom::efi {

// --help and --version; whether that was all.
bool answer_at_once(const Options& options);

// How many cores there will be, at most, and memory for them. Whatever is missing costs cores only.
CoreSetup plan_start(const Options& options, const Facts& facts, OwnedPages* pages);
void say_start(const Facts& facts, const CorePlan& plan);

// A model that was named is not asked about, unless the menu was named, too.
const ModelPlace& choose(const Firmware& firmware, const ModelList& models, const Options& options);
Result<Loaded> load(const Firmware& firmware, const ModelPlace& place, const Options& options,
                    const Facts& facts, const CacheRules& rules, const MemoryMap& map, Tpm* tpm,
                    OwnedPages* pages);
Trust who_vouches(const Firmware& firmware, const Tpm& tpm);

// What would otherwise be found out when there is no firmware left to go back to.
Status check_options(const Firmware& firmware, const Options& options, const Weights& weights);
Result<Prompts> read_prompts(const Firmware& firmware, const Options& options, OwnedPages* pages);

// The rest of what is taken for after the exit, and whether what is then left suffices.
Result<std::span<PageTable>> plan_memory(const Firmware& firmware, const Options& options,
                                         const Weights& weights, const Prompts& prompts,
                                         const CoreSetup& cores, const NumaFacts& numa,
                                         DeviceList devices, const CacheRules& rules,
                                         MemoryMap* map, OwnedPages* pages);
PageTables::Features wanted_pages(const Options& options, bool places_rows);

}  // namespace axiom::efi
