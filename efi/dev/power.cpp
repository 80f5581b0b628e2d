// SPDX-License-Identifier: MIT
#include "efi/dev/power.h"

#include "efi/cpu/cpu.h"
#include "efi/cpu/stop.h"
#include "efi/dev/console.h"
#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constinit EFI_RUNTIME_SERVICES* runtime = nullptr;
constinit Register reset_register{};
constinit uint8_t reset_value = 0;
constinit OnExit wanted = OnExit::shutdown;
constinit int n_tried = 0;  // ways tried so far; a fault inside one comes back to the next

void wait_a_little() {  // a reset takes effect some time after the write
    for (int i = 0; i < 1000000; i++) in8(0x80);
}

void reset_by_acpi() {  // ACPI 6.5 section 4.8.3.6
    if (reset_register.address == 0) return;
    if (reset_register.io) {
        out8(uint16_t(reset_register.address), reset_value);
    } else {
        mmio_write<uint8_t>(reset_register.address, reset_value);
    }
    wait_a_little();
}

void reset_by_chipset() {  // the reset control register of Intel's bridges, and those that follow
                           // them
    out8(0xcf9, 0x02);
    out8(0xcf9, 0x06);
    wait_a_little();
}

void reset_by_triple_fault() {  // no handler for the fault, none for the double fault
    const struct [[gnu::packed]] {
        uint16_t limit;
        uint64_t base;
    } none{0, 0};
    asm volatile("lidt %0\n\tint3" ::"m"(none));
}

}  // namespace

void prepare_power(const Firmware& firmware, const AcpiFacts& acpi, OnExit on_exit) {
    runtime = firmware.runtime;
    reset_register = acpi.reset;
    reset_value = acpi.reset_value;
    wanted = on_exit;
}

bool is_leaving() {
    return n_tried > 0;
}

void leave_machine() {
    take_the_end();
    if (n_tried == 0) console.flush();
    for (;;) {
        switch (n_tried++) {
            case 0:
                if (wanted == OnExit::halt) break;
                runtime->ResetSystem(wanted == OnExit::shutdown ? EfiResetShutdown : EfiResetCold,
                                     EFI_SUCCESS, 0, nullptr);
                break;
            case 1:
                if (wanted == OnExit::reboot) reset_by_acpi();
                break;
            case 2:
                if (wanted == OnExit::reboot) reset_by_chipset();
                break;
            case 3:
                if (wanted == OnExit::reboot) reset_by_triple_fault();
                break;
            case 4:
                say(wanted == OnExit::halt ? "axiom: halted"
                                           : "axiom: the firmware did not power the machine off; "
                                             "it is halted");
                console.flush();
                break;
            default:
                halt_forever();
        }
    }
}

}  // namespace axiom::efi
