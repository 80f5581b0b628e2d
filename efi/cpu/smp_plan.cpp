// SPDX-License-Identifier: MIT
#include "efi/cpu/smp_plan.h"

#include <algorithm>

namespace axiom::efi {

CorePlan plan_cores(const CpuList& cpus, uint32_t own_id, uint32_t n_wanted, uint32_t max_apic_id) {
    CorePlan plan;
    const auto listed = cpus.listed();
    const bool self_listed = std::find(listed.begin(), listed.end(), own_id) != listed.end();
    // One that the firmware forgot to list still runs this.
    const bool self_counted = self_listed || cpus.n_found > listed.size();
    plan.n_found = cpus.n_found + (self_counted ? 0 : 1);
    const size_t n_allowed = n_wanted == 0 ? kMaxCores : std::min<size_t>(n_wanted, kMaxCores);
    uint32_t number = 0, n_unreachable = 0;
    for (const uint32_t id : listed) {
        if (id == own_id) continue;
        number++;
        if (id > max_apic_id) {
            n_unreachable++;
        } else if (plan.n_cores() < n_allowed) {
            plan.others[plan.n_others++] = {id, number};
        }
    }
    if (n_wanted > plan.n_found) {
        plan.notes[0] = Text<192>("-t ", n_wanted, ": this machine has ", plan.n_found,
                                  plan.n_found == 1 ? " CPU" : " CPUs");
    }
    if (n_unreachable != 0) {
        plan.notes[1] = Text<192>("CPUs: APIC id: found ", n_unreachable, " above ", max_apic_id,
                                  ", which this machine's APIC cannot reach; they are not used");
    }
    if (plan.n_found > kMaxCores && (n_wanted == 0 || n_wanted > kMaxCores)) {
        plan.notes[2] = Text<192>("CPUs: found ", plan.n_found, ", allowed ", kMaxCores,
                                  " in this image; the rest is not used");
    }
    return plan;
}

}  // namespace axiom::efi
