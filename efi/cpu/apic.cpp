// SPDX-License-Identifier: MIT
#include "efi/cpu/apic.h"

#include <cpuid.h>

#include "efi/cpu/msr.h"
#include "efi/cpu/wait.h"
#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr uint32_t kBaseMsr = 0x1b;
constexpr uint64_t kEnabled = 1 << 11, kX2apic = 1 << 10;
constexpr uint64_t kAddressMask = 0x000ffffffffff000;

// Register n lies at n * 16 from the base, or is MSR 0x800 + n.
constexpr uint32_t kX2apicMsr = 0x800;
constexpr uint32_t kId = 0x02, kCommandLow = 0x30, kCommandHigh = 0x31;

constexpr uint32_t kTaskPriority = 0x08, kEndOfInterrupt = 0x0b, kSpurious = 0x0f;
constexpr uint32_t kTimer = 0x32, kLine0 = 0x35;
constexpr uint32_t kInitialCount = 0x38, kCurrentCount = 0x39, kDivide = 0x3e;
constexpr uint32_t kMasked = 1 << 16, kPeriodic = 1 << 17, kSoftwareEnabled = 1 << 8;
constexpr uint32_t kDivideBy16 = 0x3;

constexpr uint32_t kNmi = 0x400, kInit = 0x500, kStartup = 0x600;
constexpr uint32_t kPending = 1 << 12, kAssert = 1 << 14, kAllOthers = 3 << 18;

uint32_t read_register(const LocalApic& apic, uint32_t n) {
    return apic.x2apic ? uint32_t(read_msr(kX2apicMsr + n))
                       : mmio_read<uint32_t>(apic.base + n * 16);
}

void write_register(const LocalApic& apic, uint32_t n, uint32_t value) {
    if (apic.x2apic) {
        write_msr(kX2apicMsr + n, value);
    } else {
        mmio_write<uint32_t>(apic.base + n * 16, value);
    }
}

void send(uint32_t apic_id, uint32_t command) {
    const LocalApic apic = local_apic();
    if (!apic.usable) return;
    if (apic.x2apic) {
        // This MSR write does not wait for earlier stores.
        asm volatile("mfence\n\tlfence" ::: "memory");
        write_msr(kX2apicMsr + kCommandLow, uint64_t{apic_id} << 32 | command);
        return;
    }
    mmio_write<uint32_t>(apic.base + kCommandHigh * 16, apic_id << 24);
    mmio_write<uint32_t>(apic.base + kCommandLow * 16, command);
    constexpr int kPatienceReads = 100000;
    for (int i = 0; i < kPatienceReads && (read_register(apic, kCommandLow) & kPending) != 0; i++) {
        pause_cpu();
    }
}

}  // namespace

LocalApic local_apic() {
    uint32_t a, b, c, d;
    __cpuid(1, a, b, c, d);
    LocalApic apic;
    if ((d >> 9 & 1) == 0) return apic;
    apic.has_x2apic = (c >> 21 & 1) != 0;
    const uint64_t msr = read_msr(kBaseMsr);
    apic.x2apic = apic.has_x2apic && (msr & kX2apic) != 0;
    apic.base = msr & kAddressMask;
    apic.usable =
        (msr & kEnabled) != 0 && (apic.x2apic || (apic.base != 0 && apic.base < kMappableEnd));
    return apic;
}

Device apic_device(const LocalApic& apic) {
    Device device;
    device.name = "local APIC";
    if (apic.usable && !apic.x2apic)
        device.registers[0].range = {apic.base, apic.base + kPageBytes};
    return device;
}

void match_apic(const LocalApic& like) {
    const LocalApic now = local_apic();
    if (now.x2apic || (now.x2apic == like.x2apic && now.base == like.base)) return;
    // There is no way from off to x2APIC mode but through xAPIC mode.
    const uint64_t xapic = (read_msr(kBaseMsr) & ~kAddressMask) | like.base | kEnabled;
    write_msr(kBaseMsr, xapic);
    if (like.x2apic && now.has_x2apic) write_msr(kBaseMsr, xapic | kX2apic);
}

uint32_t own_apic_id() {
    const LocalApic apic = local_apic();
    if (!apic.usable) {
        uint32_t a, b, c, d;
        __cpuid(1, a, b, c, d);
        return b >> 24;
    }
    const uint32_t id = read_register(apic, kId);
    return apic.x2apic ? id : id >> 24;
}

void send_init_to_all_others() {
    send(0, kInit | kAssert | kAllOthers);
}

void send_startup(uint32_t apic_id, uint8_t page_number) {
    send(apic_id, kStartup | kAssert | page_number);
}

void send_nmi(uint32_t apic_id) {
    send(apic_id, kNmi | kAssert);
}

uint64_t timer_hz(const Clock& clock) {
    constexpr uint64_t kWindowUs = 10000;
    const LocalApic apic = local_apic();
    if (!apic.usable) return 0;
    write_register(apic, kTimer, kMasked | kTickVector);
    write_register(apic, kDivide, kDivideBy16);
    write_register(apic, kInitialCount, ~0u);
    const uint64_t begin = ticks_now();
    wait_us(clock, kWindowUs);
    const uint32_t n = ~read_register(apic, kCurrentCount);
    const uint64_t took = ticks_now() - begin;
    write_register(apic, kInitialCount, 0);
    return uint64_t(double(n) / clock.seconds(took));
}

void start_timer(uint32_t period) {
    constexpr uint16_t kPicMasks[] = {0x21, 0xa1};  // Intel 8259
    const LocalApic apic = local_apic();
    for (const uint16_t port : kPicMasks) out8(port, 0xff);
    write_register(apic, kLine0, kMasked);
    write_register(apic, kTaskPriority, kTickVector - 0x10);
    write_register(apic, kSpurious, kSoftwareEnabled | kSpuriousVector);
    write_register(apic, kDivide, kDivideBy16);
    write_register(apic, kTimer, kPeriodic | kTickVector);
    write_register(apic, kInitialCount, period);
}

void stop_timer() {
    const LocalApic apic = local_apic();
    write_register(apic, kTimer, kMasked | kTickVector);
    write_register(apic, kInitialCount, 0);
}

uint64_t end_of_interrupt_address() {
    const LocalApic apic = local_apic();
    return apic.x2apic ? 0 : apic.base + kEndOfInterrupt * 16;
}

}  // namespace axiom::efi
