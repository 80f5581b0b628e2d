// SPDX-License-Identifier: MIT
// All cores: which one this is, and who ends the machine. That is one core only, and the others
// stop first, wherever they are: by NMI, so that no lock or mask keeps one of them going.
// Must not know: how cores are started, or why the machine ends.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "core/clock.h"
#include "core/fmt.h"
#include "efi/cpu/core_state.h"
#include "efi/memory/core_memory.h"

namespace axiom::efi {

class Cores {
  public:
    // On the boot processor, before anything else here: its state, and one in each of the others'
    // places. `clock` says for how long to wait for cores to stop.
    // `leave`: what the boot processor calls when the end is handed to it.
    void init(const CoreStacks& own_stacks, const CoreMemory& others, const Clock& clock,
              void (*leave)());

    CoreState& boot_processor() { return boot_processor_; }
    // The core that calls; the boot processor where its GDT is none of ours. Inlined always, as is
    // stop_if_told(): interrupts that return call it, and must touch general registers only.
    [[gnu::always_inline]] CoreState& current() {
        TablePointer gdt;
        asm volatile("sgdt %0" : "=m"(gdt));
        for (uint64_t i = 0; i < others_.n_places; i++) {
            CoreState& core = *core_state(others_, i);
            if (uint64_t(core.gdt) == gdt.base) return core;
        }
        return boot_processor_;
    }

    // Returns on the first core that calls, at once when it calls again; all others have stopped by
    // then, or cannot be reached. Any other core that calls stops here.
    void take_the_end();
    // On the core that has the end: hands it to the boot processor, which then calls its `leave`, since some
    // firmware powers off on no other core. Returns where that is this core, or one that does not come.
    void hand_over_end();
    // What became of them, once this core has the end: " (1 other stopped)", or how many could not
    // be stopped; empty when there was none.
    Text<64> fate_of_others();
    // For the NMI handler: stops this core if another has taken the end, returns if not.
    [[gnu::always_inline]] void stop_if_told() {
        CoreState* const first = owner_.load(std::memory_order_acquire);
        if (first != nullptr && first != &current()) stop(current());
    }
    // NMIs that told nothing, of all cores.
    uint64_t n_foreign_nmis();

  private:
    [[noreturn]] void stop(CoreState& core);
    template <class Function>
    void for_running_others(const Function& function);
    size_t count_running_others();

    CoreState boot_processor_;
    CoreMemory others_;
    Clock clock_;
    std::atomic<CoreState*> owner_{nullptr};  // of the end
    std::atomic<bool> is_offered_{false};     // the end, to the boot processor
    void (*leave_)() = nullptr;
    size_t n_told_ = 0;  // by the owner
};

}  // namespace axiom::efi
