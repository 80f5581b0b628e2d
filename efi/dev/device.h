// SPDX-License-Identifier: MIT
// What a device asks of the rest of the image: registers that are mapped, memory that stays its own
// (for DMA), a turn between two layers. The machine's devices are one list in efi/main.cpp; a new
// one joins it there, and the page tables, the memory plan and the layer loop follow.
// Must not know: what any device does, or how it is found, started and spoken to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/layer_loop.h"
#include "core/slab.h"
#include "core/status.h"
#include "efi/memory/addresses.h"
#include "efi/memory/machine_map.h"
#include "efi/memory/paging.h"

namespace axiom::efi {

// Registers in memory, as they are to be mapped. An empty range asks for nothing.
struct RegisterRange {
    AddressRange range;
    Cache cache = Cache::uncached;
};

// Contiguous physical memory, mapped readable and writable onto itself.
struct DeviceMemory {
    uint64_t bytes = 0;                    // 0: none
    uint64_t alignment = kPageBytes;       // a power of two, at least a page
    uint64_t below = kMaxPhysicalAddress;  // where it ends at the latest: 4 GiB for 32-bit DMA
    uint64_t address = 0;                  // given before the exit, with any content
};

// A device's class derives from this and fills it in when it is constructed, which is before the
// exit. The object then stays where it is for as long as the machine runs.
struct Device {
    static constexpr size_t kMaxRanges = 4;

    const char* name = "";  // of its task in the record, and in messages
    RegisterRange registers[kMaxRanges] = {};
    DeviceMemory memory = {};
    // What there is to do, without waiting for anything. Runs on the boot processor between two
    // layers, with the ticks at that moment; nullptr: nothing.
    void (*poll)(Device& self, uint64_t now_ticks) = nullptr;
};
using DeviceList = std::span<Device* const>;

// Maps every range that the devices declare. no_memory when the tables do not suffice.
Status map_registers(DeviceList devices, PageTables* tables);
// What these ranges are, for tables_needed().
MoreRanges count_registers(DeviceList devices);
// Makes a task of every poll(), in the order of the list.
void add_tasks(DeviceList devices, LayerLoop* loop);

// A register in memory or in I/O space (ACPI 6.5 section 5.2.3.2, Generic Address Structure), or
// the first of several. address 0: there is none.
struct Register {
    uint64_t address = 0;
    bool io = false;
    uint8_t bits = 0;
    uint8_t access_bytes = 0;  // 0 = undefined
};
inline constexpr uint64_t kRegisterBytes = 32;  // what is mapped: no table says how many follow
// Empty for one in I/O space, which needs no mapping.
RegisterRange registers_at(const Register& where);

}  // namespace axiom::efi
