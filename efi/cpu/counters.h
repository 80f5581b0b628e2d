// SPDX-License-Identifier: MIT
// What a core counts beside time, read by the core itself. Must not know: what it is read for.
#pragma once

#include "core/counters.h"
#include "core/team.h"

namespace axiom::efi {

class CoreCounters : public CounterSource {
  public:
    explicit CoreCounters(Team& team) : team_(team) {}
    Counters of_this_core() override;
    uint32_t number_of_this_core() override;  // as messages call it
    // Corrected errors are those of the cores that run jobs now.
    Counters of_all_cores() override;

  private:
    Team& team_;
    uint64_t n_corrected_ = 0;  // since the start
};

}  // namespace axiom::efi
