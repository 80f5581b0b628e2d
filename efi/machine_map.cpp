// SPDX-License-Identifier: MIT
#include "efi/machine_map.h"

#include <algorithm>
#include <cstring>

#include "core/round.h"
#include "efi/trampoline.h"

// Set by axiom.lds; between text and the end of .data.rel.ro everything is read-only.
extern "C" {
extern const char image_text_begin[], image_text_end[], image_relro_end[], image_end[];
}

namespace axiom::efi {
namespace {

constexpr uint64_t kRawMapBytes = 128 << 10;
constexpr uint64_t kMaxRegions = 2048;
constexpr uint64_t kRingBytes = 64 << 10;
constexpr uint64_t kStackBytes = 256 << 10;
constexpr uint64_t kGib = 1 << 30;

uint64_t address_of(const void* p) {
    return uint64_t(p);
}

bool is_runtime(const MemoryRegion& region) {
    return region.type == MemoryType::runtime_code || region.type == MemoryType::runtime_data;
}

bool inside_runtime(const MemoryMap& map, const MemoryRegion& part) {
    return std::any_of(map.regions.begin(), map.regions.end(), [&](const MemoryRegion& region) {
        return is_runtime(region) && part.begin >= region.begin && part.end <= region.end;
    });
}

Access runtime_access(const MemoryRegion& part) {
    const bool no_execute = (part.attributes & kAttributeExecuteProtect) != 0;
    const bool read_only = (part.attributes & kAttributeReadOnly) != 0;
    if (no_execute) return read_only ? Access::read : Access::read_write;
    return read_only ? Access::read_execute : Access::everything;
}

// Collects the first error of many map() calls.
class Mapper {
  public:
    explicit Mapper(PageTables* tables) : tables_(tables) {}
    void map(uint64_t begin, uint64_t end, Access access, Cache cache = Cache::write_back) {
        if (status_.ok() && begin < end) status_ = tables_->map(begin, end, access, cache);
    }
    void registers(const Register& where) {
        if (where.address == 0 || where.io) return;
        map(where.address, where.address + kRegisterBytes, Access::read_write, Cache::uncached);
    }
    Status status() const { return status_; }

  private:
    PageTables* tables_;
    Status status_;
};

// RAM, in runs as long as possible so that large pages fit.
void map_memory(Mapper& mapper, const MemoryMap& map) {
    AddressRange run{};
    for (const MemoryRegion& region : map.regions) {
        if (!is_memory(region.type)) continue;
        if (run.end != region.begin) {
            mapper.map(run.begin, run.end, Access::read_write);
            run.begin = region.begin;
        }
        run.end = region.end;
    }
    mapper.map(run.begin, run.end, Access::read_write);
}

// Which parts of a runtime driver are code and which data (UEFI 2.10, section 4.6.4).
void map_memory_attributes(Mapper& mapper, const MemoryMap& map, uint64_t table) {
    struct Header {
        uint32_t version, n_entries, entry_bytes, flags;
    } header;
    constexpr uint64_t kMaxEntries = 4096;
    const PhysicalView memory = readable_memory(map);
    const uint8_t* bytes = memory.at(memory.context, table, sizeof header);
    if (bytes == nullptr) return;
    memcpy(&header, bytes, sizeof header);
    const uint64_t n_bytes = uint64_t{header.n_entries} * header.entry_bytes;
    if (header.n_entries > kMaxEntries || header.entry_bytes > 4096) return;
    bytes = memory.at(memory.context, table, sizeof header + n_bytes);
    if (bytes == nullptr) return;
    for (uint32_t i = 0; i < header.n_entries; i++) {
        MemoryRegion part;
        const Result<size_t> n = decode_memory_map(
            "memory attributes table",
            {bytes + sizeof header + uint64_t{i} * header.entry_bytes, header.entry_bytes},
            header.entry_bytes, {&part, 1});
        if (!n.ok() || n.value() != 1 || !inside_runtime(map, part)) continue;
        mapper.map(part.begin, part.end, runtime_access(part));
    }
}

void map_firmware(Mapper& mapper, const MappingPlan& plan) {
    for (const MemoryRegion& region : plan.map.regions) {
        if (region.type == MemoryType::runtime_code) {
            mapper.map(region.begin, region.end, Access::everything);
        }
        if (region.type == MemoryType::mmio && (region.attributes & kAttributeRuntime) != 0) {
            mapper.map(region.begin, region.end, Access::read_write, Cache::uncached);
        }
    }
    if (plan.memory_attributes_table != 0) {
        map_memory_attributes(mapper, plan.map, plan.memory_attributes_table);
    }
}

void map_image(Mapper& mapper, const AddressRange& image) {
    mapper.map(image.begin, image.end, Access::read);
    mapper.map(address_of(image_text_begin), address_of(image_text_end), Access::read_execute);
    mapper.map(address_of(image_relro_end), address_of(image_end), Access::read_write);
}

void map_cores(Mapper& mapper, const MappingPlan& plan) {
    const CoreMemory& cores = plan.area.cores;
    for (uint64_t i = 0; i < cores.n_places; i++) {
        for (const uint64_t guard : {cores.exception_guard(i), cores.stack_guard(i)}) {
            mapper.map(guard, guard + kPageBytes, Access::none);
        }
    }
    if (!plan.apic.usable || plan.apic.x2apic) return;
    mapper.map(plan.apic.base, plan.apic.base + kApicPageBytes, Access::read_write,
               Cache::uncached);
}

}  // namespace

Status WorkArea::allocate(const Firmware& firmware) {
    constexpr uint64_t kStacks = kNExceptionStacks * kExceptionStackBytes;
    constexpr uint64_t kRegionsBytes = kMaxRegions * sizeof(MemoryRegion);
    bytes =
        kPageBytes + kStacks + kPageBytes + kStackBytes + kRingBytes + kRawMapBytes + kRegionsBytes;
    const Result<uint64_t> address = allocate_pages(firmware, "work area", bytes, kPageBytes);
    if (!address.ok()) return address.status();
    uint64_t at = base = address.value();
    const auto next = [&](uint64_t n_bytes) { return (at += n_bytes) - n_bytes; };
    exception_guard = next(kPageBytes);
    exception_stacks = next(kStacks);
    stack_guard = next(kPageBytes);
    stack_begin = next(kStackBytes);
    stack_end = at;
    ring = {reinterpret_cast<char*>(next(kRingBytes)), kRingBytes};
    raw_map = {reinterpret_cast<uint8_t*>(next(kRawMapBytes)), kRawMapBytes};
    regions = {reinterpret_cast<MemoryRegion*>(next(kRegionsBytes)), kMaxRegions};
    return {};
}

Status WorkArea::allocate_tables(const Firmware& firmware, const MemoryMap& map,
                                 const PageTables::Features& features) {
    // A range's two ends each cost a table per level below the root; the fixed part is the image,
    // guards and registers, and room for descriptors that appear until the exit.
    uint64_t n_tables = 64 + 4 * (map.regions.size() + 16);
    n_tables += cores.range().size() / kLargePageBytes + 4;  // one for each large page with guards
    if (!features.gib_pages) {
        for (const MemoryRegion& region : map.regions) {
            if (is_memory(region.type)) n_tables += (region.end - region.begin) / kGib;
        }
    }
    const Result<uint64_t> address =
        allocate_pages(firmware, "page tables", n_tables * sizeof(PageTable), kPageBytes);
    if (!address.ok()) return address.status();
    tables = {reinterpret_cast<PageTable*>(address.value()), n_tables};
    return {};
}

Status WorkArea::allocate_cores(const Firmware& firmware, size_t n_others) {
    if (n_others == 0) return {};
    EFI_PHYSICAL_ADDRESS low = kTrampolineEnd - 1;
    const EFI_STATUS status =
        firmware.boot->AllocatePages(AllocateMaxAddress, EfiLoaderData, kTrampolinePages, &low);
    if (EFI_ERROR(status)) {
        return error(Code::no_memory, "CPU start-up: needs ", kTrampolinePages, " pages below ",
                     Hex{kTrampolineEnd}, ", found none free: ", status_name(status).view());
    }
    const uint64_t n_bytes = n_others * CoreMemory::kPlaceBytes;
    const Result<uint64_t> address = allocate_pages(firmware, "CPU stacks", n_bytes, kPageBytes);
    if (!address.ok()) {
        free_pages(firmware, low, kTrampolinePages * kPageBytes);
        return address.status();
    }
    cores = {address.value(), n_others, low};
    return {};
}

void WorkArea::release(const Firmware& firmware) {
    const AddressRange low{cores.trampoline, cores.trampoline + kTrampolinePages * kPageBytes};
    for (const AddressRange& part : {range(), tables_range(), text_range(), cores.range(), low}) {
        if (part.begin != 0) free_pages(firmware, part.begin, part.size());
    }
    *this = {};
}

AddressRange WorkArea::tables_range() const {
    const uint64_t begin = address_of(tables.data());
    return {begin, begin + tables.size_bytes()};
}

AddressRange WorkArea::text_range() const {
    const uint64_t begin = address_of(option_text.data());
    return {begin, begin + option_text.size()};
}

AddressRange image_range(const Firmware& firmware) {
    const uint64_t begin = address_of(firmware.loaded->ImageBase);
    return {begin, begin + round_up(firmware.loaded->ImageSize, kPageBytes)};
}

AddressRange model_range(const LoadedModel& model) {
    return {model.address, model.address + model.reserved_bytes};
}

CrashContext crash_context(const AddressRange& image) {
    CrashContext context;
    context.image_begin = image.begin;
    context.image_end = image.end;
    context.text_begin = address_of(image_text_begin);
    context.text_end = address_of(image_text_end);
    return context;
}

PhysicalView readable_memory(const MemoryMap& map) {
    return {[](const void* context, uint64_t address, uint64_t n_bytes) -> const uint8_t* {
                uint64_t end = 0;
                if (address == 0 || !checked_add(address, n_bytes, &end)) return nullptr;
                const auto* m = static_cast<const MemoryMap*>(context);
                for (const MemoryRegion& region : m->regions) {
                    // Some firmware keeps its tables in memory it calls reserved.
                    const bool memory =
                        is_memory(region.type) || region.type == MemoryType::reserved;
                    if (memory && address >= region.begin && end <= region.end) {
                        return reinterpret_cast<const uint8_t*>(address);
                    }
                }
                return nullptr;
            },
            &map};
}

Status map_machine(const MappingPlan& plan, const PageTables::Features& features, PageTables* out) {
    out->init(plan.area.tables, features);
    Mapper mapper(out);
    map_memory(mapper, plan.map);
    map_firmware(mapper, plan);
    mapper.registers(plan.acpi.uart);
    mapper.registers(plan.acpi.reset);
    map_image(mapper, plan.image);
    mapper.map(plan.model.begin, plan.model.end, Access::read);
    mapper.map(0, kPageBytes, Access::none);
    mapper.map(plan.area.exception_guard, plan.area.exception_guard + kPageBytes, Access::none);
    mapper.map(plan.area.stack_guard, plan.area.stack_guard + kPageBytes, Access::none);
    map_cores(mapper, plan);
    return mapper.status();
}

}  // namespace axiom::efi
