// SPDX-License-Identifier: MIT
#include "efi/cpu/ticks.h"

#include <algorithm>

#include "efi/cpu/apic.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"

namespace axiom::efi {

Status ApicTicks::start(Team& team, LayerLoop& loop, std::span<Tick> ticks, uint32_t hz) {
    struct Start {
        std::span<Tick> ticks;
        uint32_t period = 0;
    } start{ticks};
    const uint64_t rate = timer_hz(clock_);
    if (rate == 0) {
        return error(Code::unsupported,
                     "option --disturb: tick: the local APIC's timer does not run");
    }
    start.period = uint32_t(std::clamp<uint64_t>(rate / hz, 1, ~uint32_t{0}));
    team.run(
        [](const Worker& worker, void* context) {
            const Start& s = *static_cast<Start*>(context);
            CoreState& core = crash.cores.current();
            core.end_of_interrupt = end_of_interrupt_address();
            core.tick = &s.ticks[worker.rank];
            start_timer(s.period);
        },
        &start);
    // A tick that comes between layers waits for the next one.
    loop.surround_layers([] { allow_interrupts(); }, [] { mask_interrupts(); });
    return {};
}

void ApicTicks::stop(Team& team, LayerLoop& loop) {
    loop.surround_layers(nullptr, nullptr);
    team.run([](const Worker&, void*) { stop_timer(); }, nullptr);
}

}  // namespace axiom::efi
