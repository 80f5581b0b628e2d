// SPDX-License-Identifier: MIT
// Which memory lies near which processors: the SRAT (ACPI 6.5, section 5.2.16). A whole table with the right
// checksum comes in; what it says is hostile all the same.
// Must not know: how the table is found, or what its facts are used for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/slab.h"

namespace axiom::efi {

struct NumaFacts {
    static constexpr size_t kMaxNodes = 64, kMaxMemory = 128, kMaxCpus = 1024;
    struct Node {
        uint32_t domain = 0;  // as firmware numbers it
        uint32_t n_cpus = 0;
    };
    struct Memory {
        AddressRange range;
        uint32_t domain = 0;
    };
    struct Cpu {
        uint32_t apic_id = 0, domain = 0;
    };
    Node nodes[kMaxNodes] = {};  // those that have processors or memory, in the table's order
    size_t n_nodes = 0;
    Memory memory[kMaxMemory] = {};
    size_t n_memory = 0;
    Cpu cpus[kMaxCpus] = {};
    size_t n_cpus = 0;

    std::span<const Node> all() const { return {nodes, n_nodes}; }
    // nullptr where firmware does not say.
    const Cpu* find_cpu(uint32_t apic_id) const;
    const Memory* find_memory(uint64_t address) const;
    // Bytes of `range` that a node has, at most all of them.
    uint64_t bytes_near(uint32_t domain, const AddressRange& range) const;
};

// Processors (types 0 and 2) and memory (type 1) that are enabled.
void read_srat(std::span<const uint8_t> table, NumaFacts* facts);

}  // namespace axiom::efi
