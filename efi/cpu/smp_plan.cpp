// SPDX-License-Identifier: MIT
#include "efi/cpu/smp_plan.h"

#include <algorithm>

namespace axiom::efi {

namespace {

// Whether a thread of the same core is the boot processor's, or stands earlier in the list.
bool is_sibling(std::span<const uint32_t> listed, size_t i, uint32_t own_id, unsigned bits) {
    if (bits == 0) return false;
    const auto core_of = [&](uint32_t id) { return id >> bits; };
    if (core_of(listed[i]) == core_of(own_id)) return true;
    return std::any_of(listed.begin(), listed.begin() + i,
                       [&](uint32_t id) { return core_of(id) == core_of(listed[i]); });
}

}  // namespace

CorePlan plan_cores(const CpuList& cpus, uint32_t own_id, const CoreWish& wish) {
    CorePlan plan;
    const auto listed = cpus.listed();
    const bool self_listed = std::find(listed.begin(), listed.end(), own_id) != listed.end();
    // One that the firmware forgot to list still runs this.
    const bool self_counted = self_listed || cpus.n_found > listed.size();
    plan.n_found = cpus.n_found + (self_counted ? 0 : 1);
    const uint32_t n_wanted = wish.n_cores;
    const size_t n_allowed = n_wanted == 0 ? kMaxCores : std::min<size_t>(n_wanted, kMaxCores);
    uint32_t number = 0, n_unreachable = 0;
    for (size_t i = 0; i < listed.size(); i++) {
        const uint32_t id = listed[i];
        if (id == own_id) continue;
        number++;
        if (id > wish.max_apic_id) {
            n_unreachable++;
        } else if (is_sibling(listed, i, own_id, wish.thread_bits)) {
            plan.n_siblings++;
        } else if (plan.n_cores() < n_allowed) {
            plan.others[plan.n_others++] = {id, number};
        }
    }
    const uint32_t n_usable = plan.n_found - plan.n_siblings;
    if (n_wanted > n_usable) {
        plan.notes[0] = Text<192>("-t ", n_wanted, ": this machine has ", n_usable,
                                  plan.n_siblings != 0 ? " core" : " CPU", n_usable == 1 ? "" : "s",
                                  plan.n_siblings != 0 ? "; --smt takes their threads, too" : "");
    }
    if (n_unreachable != 0) {
        plan.notes[1] =
            Text<192>("CPUs: APIC id: found ", n_unreachable, " above ", wish.max_apic_id,
                      ", which this machine's APIC cannot reach; they are not used");
    }
    if (n_usable > kMaxCores && (n_wanted == 0 || n_wanted > kMaxCores)) {
        plan.notes[2] = Text<192>("CPUs: found ", n_usable, ", allowed ", kMaxCores,
                                  " in this image; the rest is not used");
    }
    plan.nodes[0].n_cores = uint32_t(plan.n_cores());
    return plan;
}

void group_by_node(const NumaFacts& numa, uint32_t own_id, CorePlan* plan) {
    const std::span<CorePlan::Entry> others(plan->others, plan->n_others);
    const NumaFacts::Cpu* const own = numa.find_cpu(own_id);
    const auto is_unknown = [&](const CorePlan::Entry& e) {
        return numa.find_cpu(e.apic_id) == nullptr;
    };
    if (own == nullptr || std::any_of(others.begin(), others.end(), is_unknown)) return;
    static_assert(NumaFacts::kMaxNodes <= Team::kMaxNodes);
    plan->knows_nodes = true;
    plan->nodes[0] = {own->domain, 1};
    for (CorePlan::Entry& entry : others) {
        const uint32_t domain = numa.find_cpu(entry.apic_id)->domain;
        uint32_t& i = entry.node;
        while (i < plan->n_nodes && plan->nodes[i].domain != domain) i++;
        if (i == plan->n_nodes) plan->nodes[plan->n_nodes++].domain = domain;
        plan->nodes[i].n_cores++;
    }
    // std::stable_sort() wants memory.
    auto to = others.begin();
    for (uint32_t i = 0; i < plan->n_nodes; i++) {
        for (auto from = to; from != others.end(); from++)
            if (from->node == i) std::rotate(to++, from, from + 1);
    }
}

}  // namespace axiom::efi
