// SPDX-License-Identifier: MIT
#include "efi/memory/machine_map.h"

#include <algorithm>
#include <cstring>

namespace axiom::efi {
namespace {

bool is_runtime(const MemoryRegion& region) {
    return region.type == MemoryType::runtime_code || region.type == MemoryType::runtime_data;
}

bool inside_runtime(std::span<const MemoryRegion> regions, const MemoryRegion& part) {
    return std::any_of(regions.begin(), regions.end(), [&](const MemoryRegion& region) {
        return is_runtime(region) && part.begin >= region.begin && part.end <= region.end;
    });
}

Access runtime_access(const MemoryRegion& part) {
    const bool no_execute = (part.attributes & kAttributeExecuteProtect) != 0;
    const bool read_only = (part.attributes & kAttributeReadOnly) != 0;
    if (no_execute) return read_only ? Access::read : Access::read_write;
    return read_only ? Access::read_execute : Access::everything;
}

// What runtime services touch beside memory, whatever the firmware calls it (UEFI 2.10, section 7.2.3).
bool is_runtime_device(const MemoryRegion& region) {
    return !is_memory(region.type) && (region.attributes & kAttributeRuntime) != 0 &&
           region.end <= kMappableEnd;
}

// Collects the first error of many map() calls.
class Mapper {
  public:
    explicit Mapper(PageTables* tables) : tables_(tables) {}
    void map(uint64_t begin, uint64_t end, Access access, Cache cache = Cache::write_back) {
        if (status_.ok() && begin < end) status_ = tables_->map(begin, end, access, cache);
    }
    void map(const AddressRange& range, Access access) { map(range.begin, range.end, access); }
    void unmap_page(uint64_t address) { map(address, address + kPageBytes, Access::none); }
    Status status() const { return status_; }

  private:
    PageTables* tables_;
    Status status_;
};

// RAM, in runs as long as possible so that large pages fit.
void map_memory(Mapper& mapper, std::span<const MemoryRegion> regions) {
    AddressRange run{};
    for (const MemoryRegion& region : regions) {
        if (!is_memory(region.type)) continue;
        if (run.end != region.begin) {
            mapper.map(run, Access::read_write);
            run.begin = region.begin;
        }
        run.end = region.end;
    }
    mapper.map(run, Access::read_write);
}

// Which parts of a runtime driver are code and which data (UEFI 2.10, section 4.6.4).
void map_memory_attributes(Mapper& mapper, const MachinePlan& plan) {
    struct Header {
        uint32_t version, n_entries, entry_bytes, flags;
    } header;
    constexpr uint64_t kMaxEntries = 4096, kMaxEntryBytes = 4096;
    const PhysicalView& memory = plan.memory;
    const uint8_t* bytes = memory.at(memory.context, plan.attributes_table, sizeof header);
    if (bytes == nullptr) return;
    memcpy(&header, bytes, sizeof header);
    const uint64_t n_bytes = uint64_t{header.n_entries} * header.entry_bytes;
    if (header.n_entries > kMaxEntries || header.entry_bytes > kMaxEntryBytes) return;
    bytes = memory.at(memory.context, plan.attributes_table, sizeof header + n_bytes);
    if (bytes == nullptr) return;
    for (uint32_t i = 0; i < header.n_entries; i++) {
        MemoryRegion part;
        SkippedRegions skipped;
        const Result<size_t> n = decode_memory_map(
            "memory attributes table",
            {bytes + sizeof header + uint64_t{i} * header.entry_bytes, header.entry_bytes},
            header.entry_bytes, {&part, 1}, &skipped);
        if (!n.ok() || n.value() != 1 || !inside_runtime(plan.regions, part)) continue;
        mapper.map(part.begin, part.end, runtime_access(part));
    }
}

void map_firmware(Mapper& mapper, const MachinePlan& plan) {
    for (const MemoryRegion& region : plan.regions) {
        if (region.type == MemoryType::runtime_code) {
            mapper.map(region.begin, region.end, Access::everything);
        }
        if (!is_runtime_device(region)) continue;
        const bool is_device = region.type == MemoryType::mmio ||
                               region.type == MemoryType::mmio_ports ||
                               (region.attributes & kAttributeWriteBack) == 0;
        mapper.map(region.begin, region.end, Access::read_write,
                   is_device ? Cache::uncached : Cache::write_back);
    }
    if (plan.attributes_table != 0) map_memory_attributes(mapper, plan);
}

void map_image(Mapper& mapper, const ImageParts& image) {
    mapper.map(image.whole, Access::read);
    mapper.map(image.code, Access::read_execute);
    mapper.map(image.data, Access::read_write);
}

void unmap_guards(Mapper& mapper, const CoreStacks& stacks) {
    mapper.unmap_page(stacks.exception_guard);
    mapper.unmap_page(stacks.stack_guard);
}

}  // namespace

uint64_t tables_needed(std::span<const MemoryRegion> regions, const CoreMemory& others,
                       const MoreRanges& more, const PageTables::Features& features) {
    // The two ends of a range each cost at most one table for each of the three levels below the
    // root, or four where there are five levels. Regions mostly share theirs with their neighbours.
    constexpr uint64_t kFixed =
        64;  // root, image, model, null page and the boot processor's guards
    constexpr uint64_t kGrowth = 16;  // descriptors that appear until the exit
    uint64_t n = kFixed + 4 * (regions.size() + kGrowth) + 8 * more.n;
    n += others.range().size() / kLargePageBytes + 4;  // one for each large page with guards
    const auto tables_of = [&](uint64_t bytes) {
        return (features.gib_pages && !features.only_small ? 0 : bytes / kHugePageBytes) +
               (features.only_small ? bytes / kLargePageBytes : 0);
    };
    n += tables_of(more.bytes);
    for (const MemoryRegion& region : regions) {
        if (is_memory(region.type) || is_runtime_device(region))
            n += tables_of(region.end - region.begin);
    }
    return n;
}

Status map_machine(const MachinePlan& plan, PageTables* out) {
    Mapper mapper(out);
    map_memory(mapper, plan.regions);
    map_firmware(mapper, plan);
    map_image(mapper, plan.image);
    mapper.map(plan.model, Access::read);
    mapper.unmap_page(0);
    unmap_guards(mapper, plan.stacks);
    for (uint64_t i = 0; i < plan.others.n_places; i++) unmap_guards(mapper, plan.others.stacks(i));
    return mapper.status();
}

}  // namespace axiom::efi
