// SPDX-License-Identifier: MIT
#include "efi/cores.h"

#include <atomic>
#include <cstring>

#include "efi/acpi.h"
#include "efi/apic.h"
#include "efi/cpu.h"
#include "efi/fault.h"

// In cores_start.S; copied to the trampoline page.
extern "C" {
extern const char axiom_core_start[], axiom_core_start_end[], axiom_core_parameters[];
}

namespace axiom::efi {
namespace {

// What the copied code reads; laid out in cores_start.S.
struct [[gnu::packed]] Parameters {
    uint16_t gdt_limit;
    uint32_t gdt_base;
    uint32_t protected_offset;  // far pointers: the 32-bit and the 64-bit part of the code
    uint16_t protected_selector;
    uint32_t long_offset;
    uint16_t long_selector;
    uint32_t cr3, cr4, efer;
    uint32_t n_slots;
    uint64_t next_slot;  // address of a 32-bit counter
    uint64_t first_stack_end, stack_stride;
    uint64_t entry;
};

enum class Phase : uint32_t { starting, ready, given_up, serving };

// One core beside the first. Slots are taken in the order of arrival.
struct alignas(64) Slot {
    std::atomic<Phase> phase{Phase::starting};
    uint32_t apic_id = 0;
    CpuFeatures features{};
    size_t rank = 0;
    CoreTables tables{};
};
constinit Slot slots[kMaxCores];
constinit std::atomic<uint32_t> next_slot{0};

constinit CoreArea stacks_of{};
constinit uint64_t root = 0;
constinit Team* served = nullptr;
constinit Apic apic;

// Where a started core comes to from assembly, on its own stack, interrupts masked.
[[noreturn]] void core_main(uint64_t index) {
    Slot& slot = slots[index];
    slot.apic_id = own_apic_id();
    slot.tables.number = slot.apic_id;
    slot.tables.stack_begin = stacks_of.stack_begin(index);
    slot.tables.stack_end = stacks_of.exception_guard(index);
    load_tables(&slot.tables, stacks_of.exception_stacks(index));
    enable_vector_state();
    switch_page_tables(root);
    slot.features = decode_features(read_cpu_words());

    Phase expected = Phase::starting;
    if (!slot.phase.compare_exchange_strong(expected, Phase::ready)) halt_forever();
    while (slot.phase.load(std::memory_order_acquire) == Phase::ready) asm volatile("pause");
    if (slot.phase.load(std::memory_order_acquire) == Phase::serving) served->serve(slot.rank);
    halt_forever();
}

}  // namespace

void write_trampoline(const CoreArea& area, uint64_t page_tables) {
    if (area.n_cores == 0) return;
    stacks_of = area;
    root = page_tables;
    uint8_t* const page = reinterpret_cast<uint8_t*>(area.trampoline);
    memcpy(page, axiom_core_start, size_t(axiom_core_start_end - axiom_core_start));
    const size_t at = size_t(axiom_core_parameters - axiom_core_start);
    Parameters p;
    memcpy(&p, page + at, sizeof p);  // offsets within the code are there already
    p.gdt_base += uint32_t(area.trampoline);
    p.protected_offset += uint32_t(area.trampoline);
    p.long_offset += uint32_t(area.trampoline);
    p.cr3 = uint32_t(area.trampoline + kPageBytes);
    p.cr4 = cr4_for_start();
    p.efer = efer_for_start();
    p.n_slots = uint32_t(area.n_cores);
    p.next_slot = uint64_t(&next_slot);
    p.first_stack_end = area.exception_guard(0);
    p.stack_stride = CoreArea::kCoreBytes;
    p.entry = uint64_t(core_main);
    memcpy(page + at, &p, sizeof p);
    memcpy(page + kPageBytes, reinterpret_cast<const void*>(root), kPageBytes);
}

namespace {

void wait(const Clock& clock, uint64_t us) {
    const uint64_t begin = ticks_now(), n_ticks = clock.ticks_per_second / 1000000 * us;
    while (ticks_now() - begin < n_ticks) asm volatile("pause");
}

size_t n_ready() {
    size_t n = 0;
    for (const Slot& slot : slots) n += slot.phase.load(std::memory_order_acquire) == Phase::ready;
    return n;
}

bool answered(uint32_t apic_id) {
    for (const Slot& slot : slots) {
        if (slot.phase.load(std::memory_order_acquire) == Phase::ready && slot.apic_id == apic_id)
            return true;
    }
    return false;
}

// SDM vol. 3A, section 9.4.4.1: INIT, 10 ms, SIPI, 200 us, SIPI; here to all cores in each step.
void send_start(const CoreArea& area, std::span<const uint32_t> apic_ids, const Clock& clock) {
    const uint8_t page = uint8_t(area.trampoline / kPageBytes);
    for (const uint32_t id : apic_ids) apic.send_init(id);
    wait(clock, 10000);
    for (const uint32_t id : apic_ids) {
        if (!is_silenced(id)) apic.send_startup(id, page);
    }
    wait(clock, 200);
    for (const uint32_t id : apic_ids) {
        if (!is_silenced(id) && !answered(id)) apic.send_startup(id, page);
    }
}

CpuFeatures both(const CpuFeatures& a, const CpuFeatures& b) {
    return {a.ssse3 && b.ssse3,       a.sse41 && b.sse41,   a.avx2 && b.avx2,
            a.avx_vnni && b.avx_vnni, a.avx512 && b.avx512, a.avx512_vnni && b.avx512_vnni};
}

}  // namespace

size_t cores_to_start(std::span<const uint32_t> apic_ids, uint32_t own_id, size_t n_wanted,
                      std::span<uint32_t> out) {
    size_t n = 0;
    for (const uint32_t id : apic_ids) {
        if (id == own_id || n == out.size() || (n_wanted != 0 && n + 1 >= n_wanted)) continue;
        out[n++] = id;
    }
    return n;
}

StartedCores start_cores(const CoreArea& area, std::span<const uint32_t> apic_ids,
                         const Clock& clock, Team* team) {
    StartedCores result;
    result.features = decode_features(read_cpu_words());
    uint32_t highest = 0;
    for (const uint32_t id : apic_ids) highest = id > highest ? id : highest;
    if (apic_ids.empty()) {
        team->init(1);
        return result;
    }
    if (area.n_cores < apic_ids.size()) {
        result.trouble = "no free memory below 1 MiB for them to start in";
    } else if (!apic.init(highest)) {
        result.trouble = "the local APIC is off or cannot reach them";
    }
    if (result.trouble != nullptr) {
        team->init(1);
        return result;
    }
    result.x2apic = apic.is_x2apic();
    served = team;
    stop_others_by([] { apic.send_nmi_to_others(); });
    send_start(area, apic_ids, clock);
    const uint64_t begin = ticks_now();
    while (n_ready() < apic_ids.size() &&
           ticks_now() - begin < clock.ticks_per_second / 1000 * kCorePatienceMs) {
        asm volatile("pause");
    }

    // Who has not answered by now is out, however close it is.
    for (Slot& slot : slots) {
        Phase expected = Phase::starting;
        slot.phase.compare_exchange_strong(expected, Phase::given_up);
    }
    team->init(1 + n_ready());
    for (const uint32_t id : apic_ids) {
        Slot* core = nullptr;
        for (Slot& slot : slots) {
            if (slot.phase.load() == Phase::ready && slot.apic_id == id) core = &slot;
        }
        if (core == nullptr) {
            if (result.n_silent++ == 0) result.first_silent_id = id;
            continue;
        }
        core->rank = result.n_workers++;
        result.features = both(result.features, core->features);
        core->phase.store(Phase::serving, std::memory_order_release);
    }
    AXIOM_CHECK(result.n_workers == team->size());
    return result;
}

}  // namespace axiom::efi
