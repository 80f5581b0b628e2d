// SPDX-License-Identifier: MIT
// The boot once the machine is ours. Nothing here returns an error: it is said, and the machine is left as
// --on-exit says.
#pragma once

#include <cstdint>
#include <span>

#include "core/status.h"
#include "efi/boot/firmware.h"
#include "efi/cpu/crash.h"
#include "efi/dev/acpi.h"
#include "efi/dev/keys.h"
#include "efi/dev/screen.h"
#include "efi/dev/serial.h"
#include "efi/load/place_rows.h"
#include "efi/memory/machine_map.h"
#include "efi/memory/paging.h"
#include "efi/nvme/disk.h"
#include "efi/phases/setup.h"
#include "efi/usb/keyboards.h"
#include "model/report/options.h"

namespace axiom::efi {

[[noreturn]] void fail(const Status& status);
void require(const Status& status);

// From the firmware's machine to ours: faults are reported, the serial port speaks, and the screen takes
// what is said, though nothing draws until its pixels are mapped as they should be. Returns the ticks at
// the exit.
uint64_t take_over(const Firmware& firmware, const CrashNeeds& needs, Serial* serial,
                   Screen* screen, MemoryMap* map);
// Where the firmware had no low pages to give, some of its own are free now.
void find_start_up_pages(const MemoryMap& map, const OwnedPages& pages, CoreSetup* cores);
// Before memory that the firmware's drivers had is used.
void stop_devices(bool quiet, const NvmeDisk& disk, const NvmePlace& place);
// For people, where there are any.
void say_left_out(const MemoryMap& map, const CacheRules& rules, const AddressRange& model);

void build_tables(const MachinePlan& plan, DeviceList devices, std::span<PageTable> pool,
                  const PageTables::Features& features, PageTables* tables);
// Which memory the weights and the slab are in, as long as nothing is.
// How many pages moved to other nodes.
uint64_t place_memory(const RowPlaces& places, const Options& options, const FreeMemory& free,
                      PageTables* tables);
void use_own_tables(bool quiet, const AddressRange& model, const PageTables& tables);
void say_rows(const NearPages& rows, uint64_t n_moved);

// They would reset a machine on which no driver feeds them.
void stop_watchdogs(const AcpiFacts& acpi, bool quiet, RegisterAccess& registers);
void start_screen(bool quiet, Screen* screen);
void start_disk(bool quiet, NvmeDisk* disk);
// `allowed`: whether controllers may read and write memory, or why not.
void start_usb(bool quiet, const Status& allowed, UsbKeyboards* usb);
// A laptop without a word to its keyboard would look hung.
void note_keyboard(Keys* keys, const AcpiFacts& acpi);

}  // namespace axiom::efi
