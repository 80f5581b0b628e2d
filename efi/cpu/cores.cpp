// SPDX-License-Identifier: MIT
#include "efi/cpu/cores.h"

#include <new>

#include "efi/cpu/apic.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/wait.h"

namespace axiom::efi {
namespace {

bool is_running(const CoreState& core) {
    return core.reachable.load(std::memory_order_acquire) &&
           !core.stopped.load(std::memory_order_acquire);
}

}  // namespace

void Cores::init(const CoreStacks& own_stacks, const CoreMemory& others, const Clock& clock,
                 void (*leave)()) {
    clock_ = clock;
    leave_ = leave;
    boot_processor_.number = 0;
    boot_processor_.apic_id = own_apic_id();
    boot_processor_.stacks = own_stacks;
    boot_processor_.reachable = true;
    for (uint64_t i = 0; i < others.n_places; i++) {
        new (core_state(others, i)) CoreState;
        core_state(others, i)->stacks = others.stacks(i);
    }
    others_ = others;
}

template <class Function>
void Cores::for_running_others(const Function& function) {
    const CoreState& self = current();
    const auto visit = [&](CoreState& core) {
        if (&core != &self && is_running(core)) function(core);
    };
    visit(boot_processor_);
    for (uint64_t i = 0; i < others_.n_places; i++) visit(*core_state(others_, i));
}

size_t Cores::count_running_others() {
    size_t n = 0;
    for_running_others([&](const CoreState&) { n++; });
    return n;
}

void Cores::take_the_end() {
    CoreState& self = current();
    CoreState* first = nullptr;
    if (!owner_.compare_exchange_strong(first, &self)) {
        if (first == &self) return;
        stop(self);
    }
    for_running_others([&](const CoreState& core) {
        n_told_++;
        send_nmi(core.apic_id);
    });
    constexpr uint64_t kPatienceUs = 500000;
    wait_for(clock_, kPatienceUs, [&] { return count_running_others() == 0; });
}

Text<64> Cores::fate_of_others() {
    if (n_told_ == 0) return Text<64>();
    const size_t n = count_running_others();
    if (n != 0) return Text<64>(" (", n, " of ", n_told_, " others still running)");
    return Text<64>(" (", n_told_, n_told_ == 1 ? " other" : " others", " stopped)");
}

uint64_t Cores::n_foreign_nmis() {
    uint64_t n = boot_processor_.n_nmis;
    for (uint64_t i = 0; i < others_.n_places; i++) n += core_state(others_, i)->n_nmis;
    return n;
}

void Cores::hand_over_end() {
    constexpr uint64_t kPatienceUs = 500000;
    CoreState& self = current();
    if (&self == &boot_processor_ || is_running(boot_processor_)) return;
    owner_.store(&boot_processor_, std::memory_order_release);
    is_offered_.store(true, std::memory_order_release);
    const auto is_taken = [&] { return !is_offered_.load(std::memory_order_acquire); };
    if (wait_for(clock_, kPatienceUs, is_taken) || !is_offered_.exchange(false)) stop(self);
    owner_.store(&self, std::memory_order_release);
}

void Cores::stop(CoreState& core) {
    core.stopped.store(true, std::memory_order_release);
    while (&core == &boot_processor_) {
        pause_cpu();
        if (is_offered_.exchange(false)) leave_();
    }
    halt_forever();
}

}  // namespace axiom::efi
