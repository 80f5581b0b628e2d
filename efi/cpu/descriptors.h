// SPDX-License-Identifier: MIT
// The bit layouts of segment descriptors, interrupt gates and the task state segment
// (Intel SDM vol. 3A, sections 3.4.5, 6.14.1, 7.7).
// Must not know: which handlers there are.
#pragma once

#include <cstdint>

namespace axiom::efi {

inline constexpr uint16_t kCodeSelector = 0x08;
inline constexpr uint16_t kDataSelector = 0x10;
inline constexpr uint16_t kTaskSelector = 0x18;

inline constexpr uint64_t kCodeDescriptor = 0x00af9b000000ffff;  // 64-bit code, ring 0, accessed
inline constexpr uint64_t kDataDescriptor = 0x00cf93000000ffff;  // writable data, ring 0, accessed

struct [[gnu::packed]] TaskState {
    uint32_t reserved0 = 0;
    uint64_t rsp[3] = {};
    uint64_t reserved1 = 0;
    uint64_t ist[7] = {};  // ist[i] is what a gate calls stack i + 1
    uint64_t reserved2 = 0;
    uint16_t reserved3 = 0;
    uint16_t io_map_base = 104;  // = size: no I/O bitmap
};
static_assert(sizeof(TaskState) == 104);

// What lgdt, lidt and sgdt take: the address of a table and its last byte's offset.
struct [[gnu::packed]] TablePointer {
    uint16_t limit = 0;
    uint64_t base = 0;
};

struct Gate {
    uint64_t low = 0, high = 0;
};
struct TaskDescriptor {
    uint64_t low = 0, high = 0;
};

// A present ring-0 interrupt gate; `ist` 0 keeps the current stack, 1..7 switches.
Gate interrupt_gate(uint64_t handler, uint16_t selector, unsigned ist);
// An available 64-bit TSS of sizeof(TaskState) bytes at `base`.
TaskDescriptor task_descriptor(uint64_t base);

const char* exception_name(uint64_t vector);  // "#PF page fault"; "reserved" where there is none

}  // namespace axiom::efi
