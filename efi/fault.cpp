// SPDX-License-Identifier: MIT
// In assembly, so that the instruction and the registers of each report are known.
#include "efi/fault.h"

#include <cstdint>

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
    } else if (kind == "panic") {
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

void provoke_fault(std::string_view kind, Team& team, const CoreMemory& cores,
                   KeySource& keyboards) {
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

EFI_RUNTIME_SERVICES* distort_runtime(std::string_view kind, EFI_RUNTIME_SERVICES* runtime) {
    static constinit EFI_RUNTIME_SERVICES distorted{};
    if (!kind.starts_with("variable")) return runtime;
    distorted = *runtime;
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
