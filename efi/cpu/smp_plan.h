// SPDX-License-Identifier: MIT
// Which cores to start, of those that firmware lists.
// Must not know: how they are started.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/fmt.h"
#include "core/team.h"
#include "efi/dev/acpi.h"

// Test images are built with fewer.
#ifndef AXIOM_MAX_CORES
#define AXIOM_MAX_CORES 1024
#endif

namespace axiom::efi {

inline constexpr size_t kMaxCores = AXIOM_MAX_CORES;
static_assert(kMaxCores >= 1 && kMaxCores <= Team::kMaxWorkers && kMaxCores <= CpuList::kMaxListed);

struct CorePlan {
    // A core to be started, and its number for people: its place in the list, where the boot
    // processor is 0 and does not count again.
    struct Entry {
        uint32_t apic_id = 0;
        uint32_t number = 0;
        uint32_t node = 0;  // of the nodes below
    };
    Entry others[kMaxCores] = {};
    size_t n_others = 0;
    // Memory nodes of these cores, the boot processor's first; one where firmware tells of none, and then
    // knows_nodes is not set.
    struct Node {
        uint32_t domain = 0;  // as firmware numbers it
        uint32_t n_cores = 0;
    };
    Node nodes[Team::kMaxNodes] = {};
    size_t n_nodes = 1;
    bool knows_nodes = false;
    uint32_t n_found = 1;     // all that could have been started, the boot processor among them
    uint32_t n_siblings = 0;  // of these, left out: another thread of their core computes
    // For people: -t above what there is, ids that cannot be reached, more cores than kMaxCores.
    Text<192> notes[3] = {Text<192>(), Text<192>(), Text<192>()};

    std::span<const Entry> entries() const { return {others, n_others}; }
    size_t n_cores() const { return n_others + 1; }
    void keep_boot_processor_only() {
        n_others = 0;
        n_nodes = 1;
        nodes[0].n_cores = 1;
    }
};

struct CoreWish {
    uint32_t n_cores = 0;               // in all; 0 = every one
    uint32_t max_apic_id = 0xfffffffe;  // the highest that this machine's APIC mode reaches
    // Low bits of an APIC id that tell threads of a core apart: one of each core is started, since two of them
    // share its vector units and caches. 0: all are.
    unsigned thread_bits = 0;
};
// `own_id`: the boot processor's.
CorePlan plan_cores(const CpuList& cpus, uint32_t own_id, const CoreWish& wish);
// The same cores, those of a memory node next to each other. Without effect where firmware does not say of
// each of them which node it is near.
void group_by_node(const NumaFacts& numa, uint32_t own_id, CorePlan* plan);

}  // namespace axiom::efi
