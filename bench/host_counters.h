// SPDX-License-Identifier: MIT
// What Linux counts of a thread and of a core, and the CPU's own counters where Linux lets us read them.
#pragma once

#include "core/counters.h"

namespace axiom::host {

class HostCounters : public CounterSource {
  public:
    HostCounters() = default;
    HostCounters(const HostCounters&) = delete;
    ~HostCounters();
    // Before the program has threads: of all of them what perf counts is counted, where it can.
    void open();

    // Of the thread that calls, and of the core it is on: worth something where it stays there.
    Counters of_this_core() override;
    uint32_t number_of_this_core() override;
    Counters of_all_cores() override;

  private:
    int cache_misses_ = -1;  // perf's file
};

}  // namespace axiom::host
