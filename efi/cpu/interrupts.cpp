// SPDX-License-Identifier: MIT
#include "efi/cpu/interrupts.h"

extern "C" const char axiom_exception_entries[];  // 16 bytes per vector

namespace axiom::efi {
namespace {

constexpr uint64_t kEntryBytes = 16;

unsigned stack_of(size_t vector) {
    constexpr size_t kDoubleFault = 8;
    switch (vector) {
        case kDoubleFault:
            return 1;
        case kNmiVector:
            return 2;
        case kMachineCheckVector:
            return 3;
        case kPageFaultVector:
            return 4;
        default:
            return 0;
    }
}

}  // namespace

void fill_interrupts(InterruptTable* table) {
    const auto entries = uint64_t(axiom_exception_entries);
    for (size_t i = 0; i < InterruptTable::kNVectors; i++) {
        table->gates[i] = interrupt_gate(entries + i * kEntryBytes, kCodeSelector, stack_of(i));
    }
}

void load_interrupts(CoreState& core, const InterruptTable& table) {
    for (unsigned i = 0; i < kNExceptionStacks; i++) {
        core.task.ist[i] = core.stacks.exception_stacks + (i + 1) * kExceptionStackBytes;
    }
    const TaskDescriptor task = task_descriptor(uint64_t(&core.task));
    core.gdt[1] = kCodeDescriptor;
    core.gdt[2] = kDataDescriptor;
    core.gdt[3] = task.low;
    core.gdt[4] = task.high;
    const TablePointer gdt_pointer{sizeof core.gdt - 1, uint64_t(core.gdt)};
    const TablePointer idt_pointer{sizeof table.gates - 1, uint64_t(table.gates)};
    asm volatile(
        "lgdt %0\n\t"
        "push %1\n\t"
        "lea 1f(%%rip), %%rax\n\t"
        "push %%rax\n\t"
        "lretq\n"
        "1:\n\t"
        "mov %2, %%ds\n\t"
        "mov %2, %%es\n\t"
        "mov %2, %%ss\n\t"
        "mov %2, %%fs\n\t"
        "mov %2, %%gs\n\t"
        "ltr %w3\n\t"
        "lidt %4"
        :
        : "m"(gdt_pointer), "r"(uint64_t{kCodeSelector}), "r"(uint32_t{kDataSelector}),
          "r"(uint32_t{kTaskSelector}), "m"(idt_pointer)
        : "rax", "memory");
}

}  // namespace axiom::efi
