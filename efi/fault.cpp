// SPDX-License-Identifier: MIT
// In assembly, so that the instruction and the registers of each report are known.
#include "efi/fault.h"

#include <cstdint>
#include <cstring>
#include <initializer_list>

#include "core/status.h"
#include "efi/cpu/apic.h"
#include "efi/cpu/crash.h"
#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

alignas(16) constinit unsigned char data[16] = {0xc3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
                                                0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90};

void break_this_core(std::string_view kind) {
    constexpr uint64_t kMark = 0x1122334455667788;
    uint64_t result = 0;
    if (kind == "null") {
        asm volatile("mov (%1), %0" : "=d"(result) : "a"(uint64_t{0x10}), "c"(kMark));
    } else if (kind == "stack") {
        asm volatile("1: push %%rax\n\tjmp 1b" ::"a"(kMark));
    } else if (kind == "text") {
        asm volatile("mov %%ecx, (%%rax)" ::"a"(&break_this_core), "c"(kMark) : "memory");
    } else if (kind == "nx") {
        asm volatile("jmp *%%rax" ::"a"(data), "c"(kMark));
    } else if (kind == "panic" || kind == "reset") {
        AXIOM_PANIC("provoked");
    }
}

constexpr uint32_t kNobody = 0xee;
constinit uint32_t real_id = kNobody;

// It has come when it has taken a ticket at the closed door.
void start_late(const CoreMemory& cores) {
    const volatile uint32_t& tickets =
        *reinterpret_cast<uint32_t*>(cores.trampoline + kPageBytes);  // TrampolineData::n_tickets
    const uint32_t before = tickets;
    send_startup(real_id, uint8_t(cores.trampoline / kPageBytes));
    while (tickets == before) pause_cpu();
    say("fault     the late core has come, tickets ", Hex{before}, " then ", Hex{tickets});
}

// In the middle of a poll, by the key that it brings.
[[noreturn]] void break_in_poll(KeySource& keyboards) {
    say("fault     waits for a key");
    crash.console.flush();
    const auto take = [](void*, std::string_view) { break_this_core("null"); };
    for (;;) keyboards.poll_keys(ticks_now(), {.take = take});
}

// Takes memory below 4 GiB until a model has to go above; what a buffer needs is left.
void fill_low_memory(EFI_BOOT_SERVICES* boot) {
    constexpr EFI_PHYSICAL_ADDRESS kBelow = 0xffffffff;
    constexpr UINTN kMib = 256, kLeft = 2 * kMib;  // pages
    EFI_PHYSICAL_ADDRESS left = kBelow;
    if (EFI_ERROR(boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, kLeft, &left))) return;
    for (const UINTN n_mib : {256, 64, 16, 3}) {
        EFI_PHYSICAL_ADDRESS at = kBelow;
        while (
            !EFI_ERROR(boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, n_mib * kMib, &at))) {
            at = kBelow;
        }
    }
    boot->FreePages(left, kLeft);
}

}  // namespace

void distort_cpus(std::string_view kind, CpuList* cpus) {
    if (kind == "x2apic") {
        match_apic({.usable = true, .x2apic = true, .base = local_apic().base});
        cpus->n_found = 2;
        cpus->apic_ids[0] = 0;
        cpus->apic_ids[1] = 1;
    } else if ((kind == "silent" || kind == "late") && cpus->n_found > 1) {
        uint32_t& last = cpus->apic_ids[cpus->n_found - 1];
        real_id = last;
        last = kNobody;
    }
}

void distort_tables(std::string_view kind, uint64_t rsdp_address) {
    constexpr size_t kXsdtAddress = 24, kLength = 4, kChecksum = 9, kHeader = 36, kTimerLength = 91;
    if (!kind.starts_with("no-pm") || rsdp_address == 0) return;
    const auto load = [](uint64_t address, auto* value) {
        memcpy(value, reinterpret_cast<const void*>(address), sizeof *value);
    };
    uint64_t xsdt = 0;
    uint32_t xsdt_bytes = 0;
    load(rsdp_address + kXsdtAddress, &xsdt);
    load(xsdt + kLength, &xsdt_bytes);
    for (uint64_t at = xsdt + kHeader; at + 8 <= xsdt + xsdt_bytes; at += 8) {
        uint64_t address = 0;
        load(at, &address);
        auto* const table = reinterpret_cast<uint8_t*>(address);
        if (memcmp(table, "FACP", 4) != 0) continue;
        table[kChecksum] = uint8_t(table[kChecksum] + table[kTimerLength]);
        table[kTimerLength] = 0;
    }
}

void provoke_fault(std::string_view kind, Team& team, const CoreMemory& cores,
                   KeySource& keyboards) {
    if (kind == "reset") return;
    if (kind == "late" && real_id != kNobody) {
        start_late(cores);
    } else if (kind == "key") {
        break_in_poll(keyboards);
    } else if (kind.starts_with("ap-")) {
        kind.remove_prefix(3);
        team.run(
            [](const Worker& worker, void* what) {
                if (worker.rank + 1 == worker.count) {
                    break_this_core(*static_cast<std::string_view*>(what));
                }
            },
            &kind);
    } else {
        break_this_core(kind);
    }
}

void turn_on_iommus(std::string_view kind, const PciFacts& pci) {
    // VT-d's global command, TE; AMD's control, IommuEn.
    constexpr uint32_t kCommand = 0x18, kTranslationEnable = 1u << 31, kIommuEnable = 1;
    if (kind != "iommu") return;
    for (const PciFacts::Iommu& unit : pci.all_iommus()) {
        mmio_write<uint32_t>(unit.registers + kCommand,
                             unit.is_amd ? kIommuEnable : kTranslationEnable);
    }
}

void take_low_pages(std::string_view kind, EFI_BOOT_SERVICES* boot) {
    if (kind != "no-low") return;
    for (EFI_PHYSICAL_ADDRESS below = 0x9ffff;; below = 0x9ffff) {
        if (EFI_ERROR(boot->AllocatePages(AllocateMaxAddress, EfiBootServicesData, 1, &below)))
            return;
    }
}

void distort_disks(std::string_view kind, EFI_BOOT_SERVICES* boot) {
    struct Disk {
        EFI_BLOCK_IO_PROTOCOL* io;
        EFI_BLOCK_READ read;
    };
    static constinit Disk disks[16]{};
    if (kind != "high-dma") return;
    fill_low_memory(boot);
    EFI_GUID guid = EFI_BLOCK_IO_PROTOCOL_GUID;
    UINTN n = 0;
    EFI_HANDLE* handles = nullptr;
    if (EFI_ERROR(boot->LocateHandleBuffer(ByProtocol, &guid, nullptr, &n, &handles))) return;
    for (UINTN i = 0; i < n && i < sizeof disks / sizeof disks[0]; i++) {
        void* io = nullptr;
        if (EFI_ERROR(boot->HandleProtocol(handles[i], &guid, &io))) continue;
        disks[i] = {static_cast<EFI_BLOCK_IO_PROTOCOL*>(io), nullptr};
        disks[i].read = disks[i].io->ReadBlocks;
        disks[i].io->ReadBlocks = [](EFI_BLOCK_IO_PROTOCOL* self, UINT32 media, EFI_LBA lba,
                                     UINTN bytes, VOID* buffer) EFIAPI -> EFI_STATUS {
            EFI_STATUS status = EFI_NOT_FOUND;
            for (const Disk& disk : disks)
                if (disk.io == self) status = disk.read(self, media, lba, bytes, buffer);
            // Not what the file system keeps for itself. Partition and disk both come by here.
            constexpr UINTN kLeastBytes = 1 << 16;
            if (uint64_t(buffer) >= uint64_t{4} << 30 && bytes >= kLeastBytes)
                *static_cast<uint64_t*>(buffer) = 0xeeeeeeeeeeeeeeee;
            return status;
        };
    }
}

EFI_RUNTIME_SERVICES* distort_runtime(std::string_view kind, EFI_RUNTIME_SERVICES* runtime) {
    static constinit EFI_RUNTIME_SERVICES distorted{};
    const bool is_reset = kind == "reset" || kind == "ap-reset";
    if (!is_reset && !kind.starts_with("variable")) return runtime;
    distorted = *runtime;
    if (is_reset) {
        distorted.ResetSystem = [](EFI_RESET_TYPE, EFI_STATUS, UINTN, CHAR16*)
                                    EFIAPI -> EFI_STATUS {
            say("fault     ResetSystem on ", core_name(crash.cores.current()).view());
            crash.console.flush();
            return EFI_SUCCESS;
        };
        return &distorted;
    }
    if (kind == "variable-full") {
        distorted.QueryVariableInfo = [](UINT32, UINT64* store_bytes, UINT64* free_bytes,
                                         UINT64* max_bytes) EFIAPI -> EFI_STATUS {
            *store_bytes = 1 << 16;
            *free_bytes = *max_bytes = 2000;
            return EFI_SUCCESS;
        };
    }
    distorted.SetVariable = [](CHAR16*, EFI_GUID*, UINT32, UINTN, void*)
                                EFIAPI -> EFI_STATUS { return EFI_WRITE_PROTECTED; };
    return &distorted;
}

}  // namespace axiom::efi
