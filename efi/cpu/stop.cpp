// SPDX-License-Identifier: MIT
#include "efi/cpu/stop.h"

#include <algorithm>

#include "core/status.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/core_state.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/smp_plan.h"
#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constinit CoreState* cores[kMaxCores] = {};
constinit size_t n_cores = 0;
constinit std::atomic<CoreState*> owner{nullptr};
constinit Clock stop_clock{};
constinit size_t n_told = 0;  // by the owner

[[noreturn]] void stop(CoreState& core) {
    core.stopped.store(true, std::memory_order_release);
    halt_forever();
}

bool is_running(const CoreState* core) {
    return core->reachable.load(std::memory_order_acquire) &&
           !core->stopped.load(std::memory_order_acquire);
}

}  // namespace

void add_core(CoreState* core) {
    AXIOM_CHECK(n_cores < kMaxCores);
    cores[n_cores++] = core;
}

CoreState& this_core() {
    struct [[gnu::packed]] {
        uint16_t limit;
        uint64_t base;
    } gdt;
    asm volatile("sgdt %0" : "=m"(gdt));
    CoreState** const end = cores + n_cores;
    CoreState** const found =
        std::find_if(cores, end, [&](CoreState* core) { return uint64_t(core->gdt) == gdt.base; });
    return found == end ? *cores[0] : **found;
}

Text<32> core_name(const CoreState& core) {
    if (core.number == CoreState::kStarting) return Text<32>("a cpu that was starting");
    return Text<32>("cpu ", core.number, " (apic ", core.apic_id, ")");
}

void set_stop_clock(const Clock& clock) {
    stop_clock = clock;
}

void take_the_end() {
    if (n_cores == 0) return;
    CoreState& self = this_core();
    CoreState* first = nullptr;
    if (!owner.compare_exchange_strong(first, &self)) {
        if (first == &self) return;
        stop(self);
    }
    for (size_t i = 0; i < n_cores; i++) {
        if (cores[i] == &self || !is_running(cores[i])) continue;
        n_told++;
        send_nmi(cores[i]->apic_id);
    }
    constexpr uint64_t kPatienceMs = 500;
    const uint64_t patience = stop_clock.ticks_per_second / 1000 * kPatienceMs;
    for (const uint64_t begin = ticks_now(); ticks_now() - begin < patience; pause_cpu()) {
        const auto running = [&](CoreState* core) { return core != &self && is_running(core); };
        if (std::none_of(cores, cores + n_cores, running)) break;
    }
}

Text<64> fate_of_others() {
    if (n_told == 0) return Text<64>();
    const CoreState& self = this_core();
    const auto n_running = size_t(std::count_if(cores, cores + n_cores, [&](CoreState* core) {
        return core != &self && is_running(core);
    }));
    if (n_running != 0) return Text<64>(" (", n_running, " of ", n_told, " others still running)");
    return Text<64>(" (", n_told, n_told == 1 ? " other" : " others", " stopped)");
}

void stop_if_told() {
    CoreState* const first = owner.load(std::memory_order_acquire);
    if (first != nullptr && first != &this_core()) stop(this_core());
}

}  // namespace axiom::efi
