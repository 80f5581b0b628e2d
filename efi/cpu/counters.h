// SPDX-License-Identifier: MIT
// What a core counts beside time, read by the core itself. Must not know: what it is read for.
#pragma once

#include "core/counters.h"

namespace axiom::efi {

class CoreCounters : public CounterSource {
  public:
    Counters of_this_core() override;
    uint32_t number_of_this_core() override;  // as messages call it
    Counters of_all_cores() override;
};

}  // namespace axiom::efi
