// SPDX-License-Identifier: MIT
// What each core has for itself: descriptor tables, stacks, a name for messages, and the words that
// it and the boot processor exchange. Must not know: how cores are started or stopped.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu_features.h"
#include "core/disturbance.h"
#include "core/fmt.h"
#include "efi/cpu/descriptors.h"
#include "efi/memory/core_memory.h"

namespace axiom::efi {

enum class Order : uint32_t { wait, serve, park };

// Aligned so that its task state lies in one page.
struct alignas(1024) CoreState {
    uint64_t gdt[5] = {};  // its address, in the GDT register, tells which core runs
    TaskState task{};

    static constexpr uint32_t kStarting = ~uint32_t{0};  // has not yet found its number
    uint32_t number = kStarting;  // for people: 0 is the boot processor, then by place in the MADT
    uint32_t apic_id = 0;
    CoreStacks stacks;
    CpuWords cpu;

    // Set by the core itself: it has its tables and can be reached by NMI; it has filled in apic_id
    // and cpu; it has stopped for good.
    std::atomic<bool> reachable{false}, answered{false}, stopped{false};
    bool same_memory_types = true;
    Tick* tick = nullptr;  // of --disturb, and where to end its interrupt; null: none
    uint64_t end_of_interrupt = 0;
    std::atomic<uint64_t> n_nmis{0};  // that came from somewhere else, and returned
    // Set by the boot processor: what it waits for after it has answered. `rank` is for
    // Order::serve.
    std::atomic<Order> order{Order::wait};
    uint32_t rank = 0;
};
static_assert(sizeof(CoreState) <= CoreMemory::kStateBytes);

// Of the core in place i, once Cores::init() has been called.
inline CoreState* core_state(const CoreMemory& memory, uint64_t i) {
    return reinterpret_cast<CoreState*>(memory.state_address(i));
}

// "cpu 5 (apic 10)"
inline Text<32> core_name(const CoreState& core) {
    if (core.number == CoreState::kStarting) return Text<32>("a cpu that was starting");
    return Text<32>("cpu ", core.number, " (apic ", core.apic_id, ")");
}

}  // namespace axiom::efi
