// SPDX-License-Identifier: MIT
#include "efi/boot/facts.h"

#include "efi/boot/graphics.h"
#include "efi/cpu/calibrate.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"

namespace axiom::efi {

Result<Facts> gather_facts(const Firmware& firmware, MemoryMap* map) {
    Status status = map->read(firmware);
    if (!status.ok()) return status;
    Facts facts;
    facts.acpi = read_acpi(readable_memory(&map->regions), acpi_rsdp(firmware));
    drop_impossible_registers(map->regions, &facts.acpi);
    const Result<Framebuffer> framebuffer = find_framebuffer(firmware, map->regions);
    if (framebuffer.ok()) {
        facts.framebuffer = framebuffer.value();
    } else {
        facts.screen_note = Text<160>(framebuffer.status().text());
    }
    facts.apic = local_apic();
    facts.firmware_name = firmware_name(firmware);
    facts.test_time = utc_now(firmware);

    // Nothing may come between readings.
    const EFI_TPL level = firmware.boot->RaiseTPL(TPL_HIGH_LEVEL);
    const auto wait = [](void* boot, uint32_t us) {
        static_cast<EFI_BOOT_SERVICES*>(boot)->Stall(us);
    };
    facts.rate = calibrate_tsc(facts.acpi, {wait, firmware.boot});
    firmware.boot->RestoreTPL(level);
    facts.clock.ticks_per_second = facts.rate.hz;
    return facts;
}

void say_facts(const Facts& facts) {
    const TscRate& rate = facts.rate;
    const AcpiFacts& acpi = facts.acpi;
    say("firmware  ", facts.firmware_name.view());
    say("tsc       ", Fixed{double(rate.hz) / 1e6, 3}, " MHz against the ", rate.reference,
        ", spread ", Fixed{rate.spread * 100, 3}, " %",
        has_invariant_tsc() ? ", invariant" : ", not invariant",
        rate.spread > kMaxSpread ? " (unsteady: times are less exact than usual)" : "");
    if (!rate.is_measured) {
        say("note      tsc: no clock of this machine counts, its rate is by ", rate.reference,
            " alone; times may be wrong");
    }
    say("acpi      ", acpi.found ? "found, " : "none, ", acpi.cpus.n_found, " CPUs, console ",
        acpi.uart.address == 0 ? "COM1"
        : acpi.uart_is_dbg2    ? "by DBG2"
                               : "by SPCR");
    if (!facts.screen_note.view().empty())
        say("note      ", facts.screen_note.view(),
            "; from the firmware's exit on only the serial port speaks");
    if (!acpi.note.view().empty()) say("note      ", acpi.note.view());
}

}  // namespace axiom::efi
