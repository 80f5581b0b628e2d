// SPDX-License-Identifier: MIT
// --disturb's ticks on Linux: a POSIX timer for each worker, whose signal that thread handles.
#pragma once

#include <time.h>

#include <vector>

#include "core/disturbance.h"

namespace axiom::host {

class HostTicks : public TickSource {
  public:
    HostTicks() = default;
    HostTicks(const HostTicks&) = delete;
    Status start(Team& team, LayerLoop& loop, std::span<Tick> ticks, uint32_t hz) override;
    void stop(Team& team, LayerLoop& loop) override;

  private:
    std::vector<timer_t> timers_;
};

}  // namespace axiom::host
