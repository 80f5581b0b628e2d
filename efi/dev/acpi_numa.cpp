// SPDX-License-Identifier: MIT
#include "efi/dev/acpi_numa.h"

#include <algorithm>

#include "core/status.h"
#include "efi/dev/bytes.h"
#include "efi/memory/addresses.h"

namespace axiom::efi {
namespace {

// nullptr past the last of them.
NumaFacts::Node* node_of(NumaFacts* facts, uint32_t domain) {
    for (NumaFacts::Node& node : std::span(facts->nodes, facts->n_nodes))
        if (node.domain == domain) return &node;
    if (facts->n_nodes == NumaFacts::kMaxNodes) return nullptr;
    NumaFacts::Node& node = facts->nodes[facts->n_nodes++];
    node.domain = domain;
    return &node;
}

void add_cpu(NumaFacts* facts, uint32_t domain, uint32_t apic_id, uint32_t flags) {
    if ((flags & 1) == 0) return;
    NumaFacts::Node* const node = node_of(facts, domain);
    if (node == nullptr) return;
    node->n_cpus++;
    if (facts->n_cpus < NumaFacts::kMaxCpus) facts->cpus[facts->n_cpus++] = {apic_id, domain};
}

void add_memory(NumaFacts* facts, uint32_t domain, uint64_t base, uint64_t length, uint32_t flags) {
    uint64_t end = 0;
    if ((flags & 1) == 0 || length == 0) return;
    if (!checked_add(base, length, &end) || end > kMaxPhysicalAddress) return;
    if (facts->n_memory == NumaFacts::kMaxMemory || node_of(facts, domain) == nullptr) return;
    facts->memory[facts->n_memory++] = {{base, end}, domain};
}

}  // namespace

const NumaFacts::Cpu* NumaFacts::find_cpu(uint32_t apic_id) const {
    const Cpu* const end = cpus + n_cpus;
    const Cpu* const found =
        std::find_if(cpus, end, [&](const Cpu& cpu) { return cpu.apic_id == apic_id; });
    return found == end ? nullptr : found;
}

const NumaFacts::Memory* NumaFacts::find_memory(uint64_t address) const {
    const Memory* const end = memory + n_memory;
    const Memory* const found = std::find_if(memory, end, [&](const Memory& m) {
        return m.range.begin <= address && address < m.range.end;
    });
    return found == end ? nullptr : found;
}

uint64_t NumaFacts::bytes_near(uint32_t domain, const AddressRange& range) const {
    uint64_t bytes = 0;
    for (const Memory& m : std::span(memory, n_memory)) {
        const uint64_t begin = std::max<uint64_t>(m.range.begin, range.begin);
        const uint64_t end = std::min<uint64_t>(m.range.end, range.end);
        if (m.domain == domain && begin < end) bytes += end - begin;
    }
    return std::min<uint64_t>(bytes, range.size());
}

void read_srat(ByteView t, NumaFacts* facts) {
    for (size_t at = 48; at + 2 <= t.size();) {
        const uint8_t type = t[at], length = t[at + 1];
        if (length < 2 || length > t.size() - at) return;
        if (type == 0 && length >= 16) {
            const uint32_t high = load<uint32_t>(t, at + 8) & 0xffffff00;  // bytes 9 to 11
            add_cpu(facts, t[at + 2] | high, t[at + 3], load<uint32_t>(t, at + 4));
        }
        if (type == 1 && length >= 40) {
            add_memory(facts, load<uint32_t>(t, at + 2), load<uint64_t>(t, at + 8),
                       load<uint64_t>(t, at + 16), load<uint32_t>(t, at + 28));
        }
        if (type == 2 && length >= 24) {
            add_cpu(facts, load<uint32_t>(t, at + 4), load<uint32_t>(t, at + 8),
                    load<uint32_t>(t, at + 12));
        }
        at += length;
    }
}

}  // namespace axiom::efi
