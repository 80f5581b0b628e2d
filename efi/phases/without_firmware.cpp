// SPDX-License-Identifier: MIT
#include "efi/phases/without_firmware.h"

#include <algorithm>

#include "efi/boot/exit.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/memory_types.h"
#include "efi/cpu/trampoline.h"
#include "efi/memory/scatter.h"
#include "efi/platform/bus_masters.h"
#include "efi/platform/tco.h"

namespace axiom::efi {
namespace {

// --disturb scatter: of the weights, which stay what they are, and of what the slab will have.
void scatter(const AddressRange& model, const FreeMemory& free, PageTables* tables) {
    const auto swap = [](void*, uint64_t a, uint64_t b) {
        std::swap_ranges(reinterpret_cast<uint64_t*>(a),
                         reinterpret_cast<uint64_t*>(a + kPageBytes),
                         reinterpret_cast<uint64_t*>(b));
    };
    scatter_pages(model, swap, nullptr, tables);
    for (const AddressRange& range : free.all()) scatter_pages(range, nullptr, nullptr, tables);
}

}  // namespace

void fail(const Status& status) {
    say("axiom: error: ", status.text());
    crash.leave();
}

void require(const Status& status) {
    if (!status.ok()) fail(status);
}

uint64_t take_over(const Firmware& firmware, const CrashNeeds& needs, Serial* serial,
                   Screen* screen, MemoryMap* map) {
    const Status status = exit_boot_services(firmware, map);
    const uint64_t exit_ticks = ticks_now();
    mask_interrupts();
    enable_vector_state();
    // Before the serial port, so that a fault at a wrong register address ends in a machine left as
    // configured.
    crash.take_machine(needs);
    serial->start();
    crash.console.use_serial(serial);
    screen->start();
    crash.console.use_screen(screen);
    needs.keys->start();
    if (!status.ok()) fail(status);
    return exit_ticks;
}

void find_start_up_pages(const MemoryMap& map, const OwnedPages& pages, CoreSetup* cores) {
    CoreMemory& memory = cores->memory;
    if (memory.n_places == 0 || memory.trampoline != 0) return;
    memory.trampoline =
        find_low_pages(map.regions, pages.ranges(), kTrampolinePages, kTrampolineEnd);
    if (memory.trampoline != 0) return;
    say("note      CPU start-up: found no ", kTrampolinePages, " pages below ", Hex{kTrampolineEnd},
        "; one CPU is used");
    memory.n_places = 0;
    cores->plan.keep_boot_processor_only();
}

void stop_devices(bool quiet, const NvmeDisk& disk, const NvmePlace& place) {
    PciPorts pci;
    const StoppedMasters masters = stop_bus_masters(pci, disk.exists() ? &place.where : nullptr);
    if (quiet || masters.n_functions == 0) return;
    say("pci       ", masters.n_stopped, " of ", masters.n_functions,
        " functions may no longer write to memory");
}

void say_left_out(const MemoryMap& map, const CacheRules& rules, const AddressRange& model) {
    if (map.skipped.n != 0) {
        say("note      ", map.skipped.first.view(), "; ", map.skipped.n,
            map.skipped.n == 1 ? " is left out" : " are left out");
    }
    AddressRange ranges[kMaxUncached];
    const std::span<const AddressRange> uncached(ranges,
                                                 uncached_ranges(map.regions, rules, ranges));
    if (uncached.empty()) return;
    say("note      the MTRRs let ", Bytes{total_bytes(uncached)},
        " of RAM be cached by no core, from ", Hex{uncached[0].begin}, " on; it is not used");
    for (const AddressRange& range : uncached) {
        if (range.begin < model.end && model.begin < range.end)
            return say("note      the model lies there: reading it will be slow");
    }
}

void build_tables(const MachinePlan& plan, DeviceList devices, std::span<PageTable> pool,
                  const PageTables::Features& features, PageTables* tables) {
    tables->init(pool, features);
    Status status = map_machine(plan, tables);
    if (status.ok()) status = map_registers(devices, tables);
    require(status);
}

uint64_t place_memory(const RowPlaces& places, const Options& options, const FreeMemory& free,
                      PageTables* tables) {
    // Of memory that was boot services' the firmware's tables, cores and devices may still have some in use.
    if (!options.disturb.scatter) return place_rows(places, free.first(), tables);
    scatter(places.model, free, tables);
    return 0;
}

void use_own_tables(bool quiet, const AddressRange& model, const PageTables& tables) {
    set_page_types();
    switch_page_tables(tables.root());
    if (quiet) return;
    const PageTables::Counts n = tables.count(model.begin, model.end);
    say("pages     weights in ", n.n_1gib, " of 1 GiB, ", n.n_2mib, " of 2 MiB, ", n.n_4kib,
        " of 4 KiB");
}

void say_rows(const NearPages& rows, uint64_t n_moved) {
    if (rows.n_wanted == 0) return;
    say("rows      ", rows.n_near, " of ", rows.n_wanted,
        " pages are in the memory of the cores that read them; ", n_moved, " were moved");
}

void stop_watchdogs(const AcpiFacts& acpi, bool quiet, RegisterAccess& registers) {
    PciPorts pci;
    const Tco tco = stop_tco(pci, acpi.pm1_events, registers);
    if (tco == Tco::stopped && !quiet)
        say("note      watchdog: the chipset's (TCO) was not halted; it is now");
    if (tco == Tco::runs_on) say("note      watchdog: the chipset's (TCO) cannot be halted");
    if (acpi.watchdog.where.address == 0) return;
    if (!stop_watchdog(acpi.watchdog, registers)) {
        say("note      watchdog: ACPI's (WDAT) cannot be stopped");
    } else if (!quiet) {
        say("note      watchdog: ACPI's (WDAT) is stopped");
    }
}

void start_screen(bool quiet, Screen* screen) {
    if (!screen->exists()) return;
    const Framebuffer& f = screen->framebuffer();
    const Painter& painter = screen->painter();
    if (!quiet) {
        say("screen    ", f.width, "x", f.height, ", ", painter.n_columns(), " columns and ",
            painter.n_rows(), " rows of ", painter.cell_width(), "x", painter.cell_height());
    }
    screen->draw_all();
}

void start_disk(bool quiet, NvmeDisk* disk) {
    require(disk->start());
    if (quiet) return;
    const DiskReader::Limits limits = disk->reader()->limits();
    say("disk      ", disk->full_name(), ", blocks of ", limits.alignment, " bytes, ", limits.depth,
        " reads of up to ", Bytes{limits.max_read_bytes}, " at a time");
}

void start_usb(bool quiet, const Status& allowed, UsbKeyboards* usb) {
    if (!allowed.ok()) return say("note      USB keyboards are left alone: ", allowed.text());
    usb->start();
    if (quiet) return;
    for (const UsbController& controller : usb->controllers()) {
        if (!controller.works()) continue;
        say("usb       ", controller.full_name(), ", ", controller.n_ports(),
            " ports for keyboards");
    }
}

void note_keyboard(Keys* keys, const AcpiFacts& acpi) {
    if (!acpi.has_i2c_input || keys->has_keyboard()) return;
    say("note      no keyboard has answered; ACPI shows one or a touchpad on I2C, which is not "
        "driven: one on USB, or the serial port, is the way out");
}

}  // namespace axiom::efi
