// SPDX-License-Identifier: MIT
// --disturb's ticks: the timer of each core's APIC, let in while a layer is computed. Everything else
// stays masked. Must not know: what a tick does.
#pragma once

#include "core/clock.h"
#include "core/disturbance.h"

namespace axiom::efi {

class ApicTicks : public TickSource {
  public:
    explicit ApicTicks(const Clock& clock) : clock_(clock) {}
    Status start(Team& team, LayerLoop& loop, std::span<Tick> ticks, uint32_t hz) override;
    void stop(Team& team, LayerLoop& loop) override;

  private:
    Clock clock_;
};

}  // namespace axiom::efi
