// SPDX-License-Identifier: MIT
// What each core has for itself: descriptor tables, stacks, a name for messages, and the words that
// it and the boot processor exchange. Must not know: how cores are started or stopped.
#pragma once

#include <atomic>
#include <cstdint>

#include "core/cpu_features.h"
#include "core/fmt.h"
#include "efi/cpu/descriptors.h"

namespace axiom::efi {

enum class Order : uint32_t { wait, serve, park };

// Page-aligned or static, so that its task state lies in one page.
struct alignas(1024) CoreState {
    uint64_t gdt[5] = {};  // its address, in the GDT register, tells which core runs
    TaskState task{};

    static constexpr uint32_t kStarting = ~uint32_t{0};  // has not yet found its number
    uint32_t number = kStarting;  // for people: 0 is the boot processor, then by place in the MADT
    uint32_t apic_id = 0;
    uint64_t exception_stacks = 0;            // kNExceptionStacks of kExceptionStackBytes
    uint64_t stack_begin = 0, stack_end = 0;  // the guard page lies just below stack_begin
    CpuWords cpu;

    // Set by the core itself: it has its tables and can be reached by NMI; it has filled in apic_id
    // and cpu; it has stopped for good.
    std::atomic<bool> reachable{false}, answered{false}, stopped{false};
    bool same_memory_types = true;
    // Set by the boot processor: what it waits for after it has answered. `rank` is for
    // Order::serve.
    std::atomic<Order> order{Order::wait};
    uint32_t rank = 0;
};

// Cores that this_core() can tell apart; the first one added is the boot processor. Before the
// others start.
void add_core(CoreState* core);
// The core that calls; the boot processor where its GDT is none of ours.
CoreState& this_core();
// "cpu 5 (apic 10)"
Text<32> core_name(const CoreState& core);

}  // namespace axiom::efi
