// SPDX-License-Identifier: MIT
#include "efi/apic.h"

#include <cpuid.h>

#include "efi/cpu.h"
#include "efi/ports.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kApicBaseMsr = 0x1b;
constexpr uint64_t kX2ApicOn = 1 << 10, kApicOn = 1 << 11;
constexpr uint64_t kBaseMask = 0x000ffffffffff000;
constexpr uint32_t kX2ApicCommandMsr = 0x830;
constexpr uint64_t kCommandLow = 0x300, kCommandHigh = 0x310;
// Interrupt command register: delivery mode, level, destination shorthand.
constexpr uint32_t kNmi = 4 << 8, kInit = 5 << 8, kStartup = 6 << 8;
constexpr uint32_t kPending = 1 << 12, kAssert = 1 << 14, kAllButSelf = 3 << 18;
constexpr uint32_t kHighestXapicId = 254;  // 255 is everybody

}  // namespace

uint32_t own_apic_id() {
    uint32_t a, b, c, d;
    __cpuid(0, a, b, c, d);
    if (a >= 0xb) {
        __cpuid_count(0xb, 0, a, b, c, d);
        if (b != 0) return d;
    }
    __cpuid(1, a, b, c, d);
    return b >> 24;
}

uint64_t Apic::registers() {
    return read_msr(kApicBaseMsr) & kBaseMask;
}

bool Apic::init(uint32_t highest_id) {
    const uint64_t base = read_msr(kApicBaseMsr);
    if ((base & kApicOn) == 0) return false;
    registers_ = base & kBaseMask;
    x2apic_ = (base & kX2ApicOn) != 0;
    if (x2apic_ || highest_id <= kHighestXapicId) return true;
    uint32_t a, b, c, d;
    __cpuid(1, a, b, c, d);
    if ((c >> 21 & 1) == 0) return false;
    write_msr(kApicBaseMsr, base | kX2ApicOn);
    x2apic_ = true;
    return true;
}

void Apic::send(uint32_t apic_id, uint32_t command) const {
    if (x2apic_) {
        asm volatile("mfence; lfence" ::: "memory");  // the MSR does not wait for earlier writes
        write_msr(kX2ApicCommandMsr, uint64_t{apic_id} << 32 | command);
        return;
    }
    mmio_write<uint32_t>(registers_ + kCommandHigh, apic_id << 24);
    mmio_write<uint32_t>(registers_ + kCommandLow, command);
    for (int i = 0; i < 100000; i++) {
        if ((mmio_read<uint32_t>(registers_ + kCommandLow) & kPending) == 0) return;
        asm volatile("pause");
    }
}

void Apic::send_init(uint32_t apic_id) const {
    send(apic_id, kInit | kAssert);
}

void Apic::send_startup(uint32_t apic_id, uint8_t page) const {
    send(apic_id, kStartup | kAssert | page);
}

void Apic::send_nmi_to_others() const {
    send(0, kNmi | kAssert | kAllButSelf);
}

}  // namespace axiom::efi
