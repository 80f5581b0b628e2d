// SPDX-License-Identifier: MIT
#include "efi/cpu/smp.h"

#include <cpuid.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "core/kernels.h"
#include "efi/cpu/cpu.h"
#include "efi/cpu/crash.h"
#include "efi/cpu/memory_types.h"
#include "efi/cpu/trampoline.h"
#include "efi/cpu/wait.h"
#include "efi/platform/topology.h"

// `shared`: the Shared below.
extern "C" [[noreturn]] [[gnu::visibility("hidden")]] void axiom_ap_main(uint64_t ticket,
                                                                         const void* shared);

namespace axiom::efi {
namespace {

constexpr uint64_t kAnswerMs = 1000;  // a core needs microseconds; one under emulation its turn

// What the others read, written before the first of them starts. It stays.
struct Shared {
    const CorePlan* plan;
    CoreMemory memory;
    MemoryTypes types;
    LocalApic apic;
    Team* team;
};
// The page after the trampoline's code.
struct TrampolinePage {
    TrampolineData data;
    alignas(Shared) unsigned char shared[sizeof(Shared)];
};
static_assert(sizeof(TrampolinePage) <= kPageBytes);

class Starter {
  public:
    Starter(const CoreStart& start, const Shared& shared)
        : start_(start), memory_(start.memory), shared_(shared) {}

    bool run() {
        write_trampoline();
        if (!map_trampoline(Access::read_execute)) return false;
        const uint64_t begin = ticks_now();
        call();
        wait_for(start_.clock, kAnswerMs * 1000,
                 [&] { return n_answered() >= start_.plan.n_others; });
        took_ticks_ = ticks_now() - begin;
        close();
        return true;
    }

    // The place of the core called `apic_id`, if it has answered.
    CoreState* find(uint32_t apic_id) const {
        for (uint64_t i = 0; i < memory_.n_places; i++) {
            CoreState* core = core_state(memory_, i);
            if (core->answered.load(std::memory_order_acquire) && core->apic_id == apic_id) {
                return core;
            }
        }
        return nullptr;
    }
    uint64_t took_ticks() const { return took_ticks_; }

  private:
    TrampolinePage& page() const {
        return *reinterpret_cast<TrampolinePage*>(memory_.trampoline + kPageBytes);
    }
    uint64_t n_answered() const {
        uint64_t n = 0;
        for (uint64_t i = 0; i < memory_.n_places; i++) {
            n += core_state(memory_, i)->answered.load(std::memory_order_acquire) ? 1 : 0;
        }
        return n;
    }

    void write_trampoline() {
        const uint64_t code = memory_.trampoline;
        const auto n_code = size_t(axiom_trampoline_end - axiom_trampoline_begin);
        AXIOM_CHECK(n_code <= kPageBytes);
        memcpy(reinterpret_cast<void*>(code), axiom_trampoline_begin, n_code);
        const uint64_t root = start_.tables->root(), root_copy = code + 2 * kPageBytes;
        memcpy(reinterpret_cast<void*>(root_copy), reinterpret_cast<const void*>(root), kPageBytes);

        const PagingState paging = paging_state();
        constexpr uint16_t kCode32 = 0x08, kCode64 = 0x18;  // 0x10: data
        TrampolineData& d = page().data;
        d = {};
        d.n_places = uint32_t(memory_.n_places);
        d.gdt[1] = 0x00cf9b000000ffff;  // 32-bit code
        d.gdt[2] = kDataDescriptor;
        d.gdt[3] = kCodeDescriptor;
        d.gdt_limit = sizeof d.gdt - 1;
        d.gdt_base = uint32_t(uint64_t(&d) + offsetof(TrampolineData, gdt));
        d.jump32 = uint32_t(code + uint64_t(axiom_trampoline_32 - axiom_trampoline_begin));
        d.jump32_selector = kCode32;
        d.jump64 = uint32_t(code + uint64_t(axiom_trampoline_64 - axiom_trampoline_begin));
        d.jump64_selector = kCode64;
        d.cr0 = paging.cr0, d.cr3 = uint32_t(root_copy), d.cr4 = paging.cr4, d.efer = paging.efer;
        d.needed_edx = paging.needed_edx, d.needed_ecx = paging.needed_ecx;
        d.root = root;
        d.first_stack = memory_.stacks(0).stack_end;
        d.stack_stride = CoreMemory::kPlaceBytes;
        d.entry = uint64_t(&axiom_ap_main);
        d.shared = uint64_t(new (page().shared) Shared(shared_));
    }

    bool map_trampoline(Access access) {
        const Status status =
            start_.tables->map(memory_.trampoline, memory_.trampoline + kPageBytes, access);
        forget_translation(memory_.trampoline);
        if (!status.ok()) say("note      ", status.text(), "; one CPU is used");
        return status.ok();
    }

    // INIT goes to cores that are to be left out as well: the code in which firmware left them
    // lies in memory that is ours now. The second start-up interrupt is for those that missed the
    // first.
    void call() {
        send_init_to_all_others();
        wait_us(start_.clock, 10000);
        for (int i = 0; i < 2; i++) {
            for (const CorePlan::Entry& entry : start_.plan.entries()) {
                send_startup(entry.apic_id, uint8_t(memory_.trampoline / kPageBytes));
            }
            wait_us(start_.clock, 200);
        }
    }

    // From here on a core that begins halts at once. Those that were just coming are waited for;
    // one that got stuck on the way keeps the trampoline.
    void close() {
        // A packed structure's member, but the first word of its page.
        std::atomic_ref<uint32_t> tickets(*reinterpret_cast<uint32_t*>(&page()));
        const uint64_t n_entered =
            std::min<uint64_t>(tickets.fetch_or(kTrampolineClosed), memory_.n_places);
        constexpr uint64_t kOnTheWayUs = 100000;
        const bool all_through =
            wait_for(start_.clock, kOnTheWayUs, [&] { return n_answered() >= n_entered; });
        if (all_through) map_trampoline(Access::none);
    }

    const CoreStart& start_;
    const CoreMemory& memory_;
    const Shared& shared_;
    uint64_t took_ticks_ = 0;
};

bool can_run(const CpuWords& words, std::string_view isa) {
    bool usable = true;
    if (isa.empty()) return true;
    return find_kernels(isa.data(), isa.size(), decode_features(words), &usable) != nullptr &&
           usable;
}

// Ranks in the order of the list. Says what is wrong with those that get none.
size_t choose_workers(const CoreStart& start, const Starter& starter, StartedCores* out) {
    size_t n_workers = 1;
    for (const CorePlan::Entry& entry : start.plan.entries()) {
        CoreState* const core = starter.find(entry.apic_id);
        const Text<48> name("cpu ", entry.number, " (apic ", entry.apic_id, ")");
        if (core == nullptr) {
            say("note      ", name.view(), " did not answer in ", kAnswerMs, " ms");
            continue;
        }
        out->n_started++;
        if (!core->same_memory_types) {
            say("note      ", name.view(),
                " has other MTRRs or PAT than the boot processor; it is not used");
        } else if (!can_run(core->cpu, start.isa)) {
            say("note      ", name.view(), " cannot run --isa ", start.isa, "; it is not used");
        } else {
            out->common = common_words(out->common, core->cpu);
            core->rank = uint32_t(n_workers++);
            out->workers_of[entry.node]++;
        }
    }
    return n_workers;
}

}  // namespace

unsigned own_thread_bits() {
    TopologyWords words;
    uint32_t d;
    uint32_t max_leaf, b, c;
    __cpuid(0, max_leaf, b, c, d);
    for (uint32_t i = 0; i < TopologyWords::kMaxLevels; i++) {
        TopologyWords::Level &v2 = words.leaf1f[i], &v1 = words.leafb[i];
        if (max_leaf >= 0x1f) __cpuid_count(0x1f, i, v2.eax, v2.ebx, v2.ecx, d);
        if (max_leaf >= 0xb) __cpuid_count(0xb, i, v1.eax, v1.ebx, v1.ecx, d);
    }
    uint32_t a;
    constexpr uint32_t kExtendedTopology = 1 << 22;  // 0x80000001 ECX: that leaf 0x8000001E exists
    if (__get_cpuid(0x80000001, &a, &b, &c, &d) != 0 && (c & kExtendedTopology) != 0 &&
        __get_cpuid(0x8000001e, &a, &b, &c, &d) != 0) {
        words.leaf8000001e_ebx = b;
    }
    return thread_bits(words);
}

StartedCores start_team(const CoreStart& start, Team* team) {
    StartedCores cores;
    cores.common = read_cpu_words();
    if (start.memory.n_places == 0) {
        if (start.plan.n_found > 1) send_init_to_all_others();
        team->init(1);
        return cores;
    }
    const auto entries = start.plan.entries();
    LocalApic apic = local_apic();
    if (std::any_of(entries.begin(), entries.end(),
                    [](const CorePlan::Entry& entry) { return entry.apic_id > kMaxXapicId; })) {
        apic.x2apic = apic.has_x2apic;
        match_apic(apic);
    }
    const Shared shared{&start.plan, start.memory, read_memory_types(), apic, team};
    Starter starter(start, shared);
    const size_t n_workers = starter.run() ? choose_workers(start, starter, &cores) : 1;
    team->init(n_workers);
    team->set_nodes({cores.workers_of, start.plan.n_nodes});
    for (uint64_t i = 0; i < start.memory.n_places; i++) {
        CoreState* const core = core_state(start.memory, i);
        core->order.store(core->rank != 0 ? Order::serve : Order::park, std::memory_order_release);
    }
    if (!start.quiet) {
        say("cores     ", cores.n_started, " of ", start.plan.n_found, " started, ",
            apic.x2apic ? "x2APIC" : "xAPIC", ", ",
            Fixed{start.clock.seconds(starter.took_ticks()) * 1e3, 1}, " ms",
            start.plan.n_siblings != 0
                ? Text<48>(", ", start.plan.n_siblings, " threads left out (--smt)")
                : Text<48>());
    }
    return cores;
}

}  // namespace axiom::efi

// A started core, in 64-bit mode under our page tables, on its own stack.
void axiom_ap_main(uint64_t ticket, const void* given) {
    using namespace axiom::efi;
    const Shared& shared = *static_cast<const Shared*>(given);
    CoreState& core = *core_state(shared.memory, ticket);
    load_interrupts(core, crash.interrupts);
    enable_vector_state();
    core.same_memory_types = adopt_memory_types(shared.types);
    match_apic(shared.apic);
    core.apic_id = own_apic_id();
    core.reachable.store(true, std::memory_order_release);
    for (const CorePlan::Entry& entry : shared.plan->entries()) {
        if (entry.apic_id == core.apic_id) core.number = entry.number;
    }
    core.cpu = axiom::read_cpu_words();
    core.answered.store(true, std::memory_order_release);
    Order order;
    while ((order = core.order.load(std::memory_order_acquire)) == Order::wait) pause_cpu();
    forget_translation(shared.memory.trampoline);
    if (order == Order::serve) shared.team->serve(core.rank);
    core.stopped.store(true, std::memory_order_release);
    halt_forever();
}
