// SPDX-License-Identifier: MIT
// In assembly, so that the instruction and the registers of each report are known.
#include "efi/fault.h"

#include <cstdint>

#include "core/status.h"

namespace axiom::efi {
namespace {

alignas(16) constinit unsigned char data[16] = {0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                                                0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90};

}  // namespace

void provoke_fault(std::string_view kind) {
    constexpr uint64_t kMark = 0x1122334455667788;
    uint64_t result = 0;
    if (kind == "null") {
        asm volatile("mov (%1), %0" : "=d"(result) : "a"(uint64_t{0x10}), "c"(kMark));
    } else if (kind == "stack") {
        asm volatile("1: push %%rax\n\tjmp 1b" ::"a"(kMark));
    } else if (kind == "text") {
        asm volatile("mov %%ecx, (%%rax)" ::"a"(&provoke_fault), "c"(kMark) : "memory");
    } else if (kind == "nx") {
        asm volatile("jmp *%%rax" ::"a"(data), "c"(kMark));
    } else if (kind == "panic") {
        AXIOM_PANIC("provoked");
    }
}

}  // namespace axiom::efi
