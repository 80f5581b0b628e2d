// SPDX-License-Identifier: MIT
#include "efi/boot/memory_plan.h"

#include "efi/cpu/trampoline.h"
#include "efi/memory/machine_map.h"

namespace axiom::efi {

Result<CoreStacks> take_stacks(OwnedPages* pages) {
    constexpr uint64_t kStackBytes = 1 << 20;  // boot() keeps 200 KiB in it, and a run as much
    const Result<uint64_t> address =
        pages->take({.what = "stack", .bytes = CoreStacks::bytes(kStackBytes)});
    if (!address.ok()) return address.status();
    return CoreStacks::at(address.value(), kStackBytes);
}

Result<CoreMemory> take_cores(OwnedPages* pages, size_t n_others) {
    if (n_others == 0) return CoreMemory{};
    const Result<uint64_t> low = pages->take(
        {.what = "CPU start-up", .bytes = kTrampolinePages * kPageBytes, .below = kTrampolineEnd});
    const Result<uint64_t> address =
        pages->take({.what = "CPU stacks", .bytes = n_others * CoreMemory::kPlaceBytes});
    if (!address.ok()) return address.status();
    return CoreMemory{address.value(), n_others, low.ok() ? low.value() : 0};
}

Status take_device_memory(OwnedPages* pages, DeviceList devices) {
    for (Device* device : devices) {
        DeviceMemory& m = device->memory;
        if (m.bytes == 0) continue;
        const Result<uint64_t> address = pages->take(
            {.what = device->name, .bytes = m.bytes, .alignment = m.alignment, .below = m.below});
        if (!address.ok()) return address.status();
        m.address = address.value();
    }
    return {};
}

Result<std::span<PageTable>> take_tables(OwnedPages* pages, const MemoryMap& map,
                                         const CoreMemory& others, DeviceList devices,
                                         const PageTables::Features& features) {
    const uint64_t n = tables_needed(map.regions, others, count_registers(devices), features);
    const Result<uint64_t> address =
        pages->take({.what = "page tables", .bytes = n * sizeof(PageTable)});
    if (!address.ok()) return address.status();
    return std::span(reinterpret_cast<PageTable*>(address.value()), n);
}

}  // namespace axiom::efi
