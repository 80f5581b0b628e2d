// SPDX-License-Identifier: MIT
#include "efi/cpu/descriptors.h"

namespace axiom::efi {

Gate interrupt_gate(uint64_t handler, uint16_t selector, unsigned ist) {
    constexpr uint64_t kPresentInterrupt64 = 0x8e;
    return {(handler & 0xffff) | uint64_t{selector} << 16 | uint64_t{ist & 7} << 32 |
                kPresentInterrupt64 << 40 | (handler >> 16 & 0xffff) << 48,
            handler >> 32};
}

TaskDescriptor task_descriptor(uint64_t base) {
    constexpr uint64_t kPresentAvailableTss = 0x89;
    constexpr uint64_t kLimit = sizeof(TaskState) - 1;
    return {
        kLimit | (base & 0xffffff) << 16 | kPresentAvailableTss << 40 | (base >> 24 & 0xff) << 56,
        base >> 32};
}

const char* exception_name(uint64_t vector) {
    switch (vector) {
        case 0:
            return "#DE divide error";
        case 1:
            return "#DB debug";
        case 2:
            return "NMI";
        case 3:
            return "#BP breakpoint";
        case 4:
            return "#OF overflow";
        case 5:
            return "#BR bound range";
        case 6:
            return "#UD invalid opcode";
        case 7:
            return "#NM device not available";
        case 8:
            return "#DF double fault";
        case 10:
            return "#TS invalid TSS";
        case 11:
            return "#NP segment not present";
        case 12:
            return "#SS stack segment";
        case 13:
            return "#GP general protection";
        case 14:
            return "#PF page fault";
        case 16:
            return "#MF x87 floating point";
        case 17:
            return "#AC alignment check";
        case 18:
            return "#MC machine check";
        case 19:
            return "#XM SIMD floating point";
        case 20:
            return "#VE virtualization";
        case 21:
            return "#CP control protection";
        case 28:
            return "#HV hypervisor injection";
        case 29:
            return "#VC VMM communication";
        case 30:
            return "#SX security";
        default:
            return "reserved";
    }
}

}  // namespace axiom::efi
