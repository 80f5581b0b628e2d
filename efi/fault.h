// SPDX-License-Identifier: MIT
// Broken on purpose: what the boot tests break, to see how it is reported. Only in axiom-fault.efi; in every other
// image these calls of main.cpp are nothing.
#pragma once

#include <efi.h>

#include <string_view>

#include "core/team.h"
#include "efi/dev/acpi.h"
#include "efi/dev/key_source.h"
#include "efi/memory/core_memory.h"

namespace axiom::efi {

#ifdef AXIOM_TEST_FAULT

// Before cores are planned. `kind` silent: the last processor gets an APIC id that no processor
// has. late: the same, and provoke_fault() starts the real one when it should no longer come.
// x2apic: this core goes into that mode, and the processors are 0 and 1 whatever firmware listed.
void distort_cpus(std::string_view kind, CpuList* cpus);

// Before facts are gathered. "no-pm": the FADT has no PM timer.
void distort_tables(std::string_view kind, uint64_t rsdp_address);

// Once all cores run. `kind`: null, stack, text, nx or panic, on this core; or ap-null, ap-stack,
// ap-panic on the last of the team; or key, when one of `keyboards` brings one. Does not return from
// these; any other does nothing here.
void provoke_fault(std::string_view kind, Team& team, const CoreMemory& cores,
                   KeySource& keyboards);

// After the exit. "iommu": Intel's translate from here on.
void turn_on_iommus(std::string_view kind, const PciFacts& pci);

// Before cores are planned. "no-low": all memory below 640 KiB becomes boot services'.
void take_low_pages(std::string_view kind, EFI_BOOT_SERVICES* boot);

// Before the exit. "high-dma": disks whose blocks arrive wrong above 4 GiB, and little memory below.
void distort_disks(std::string_view kind, EFI_BOOT_SERVICES* boot);

// "variable": services whose SetVariable refuses, "variable-full": and that have no room; "reset" and
// "ap-reset": whose ResetSystem says on which core it was called, and returns; otherwise `runtime`.
EFI_RUNTIME_SERVICES* distort_runtime(std::string_view kind, EFI_RUNTIME_SERVICES* runtime);

#else

inline void distort_cpus(std::string_view, CpuList*) {}
inline void distort_tables(std::string_view, uint64_t) {}
inline void provoke_fault(std::string_view, Team&, const CoreMemory&, KeySource&) {}
inline void turn_on_iommus(std::string_view, const PciFacts&) {}
inline void take_low_pages(std::string_view, EFI_BOOT_SERVICES*) {}
inline void distort_disks(std::string_view, EFI_BOOT_SERVICES*) {}
inline EFI_RUNTIME_SERVICES* distort_runtime(std::string_view, EFI_RUNTIME_SERVICES* runtime) {
    return runtime;
}

#endif

}  // namespace axiom::efi
