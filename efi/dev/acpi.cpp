// SPDX-License-Identifier: MIT
#include "efi/dev/acpi.h"

#include <algorithm>
#include <cstring>

#include "efi/dev/bytes.h"

namespace axiom::efi {
namespace {

constexpr size_t kHeaderBytes = 36;
constexpr uint32_t kMaxTableBytes = 1 << 20;  // firmware tables of interest are a few KiB
constexpr uint32_t kMaxTables = 1024;

bool has(ByteView bytes, size_t at, size_t n) {
    return at <= bytes.size() && bytes.size() - at >= n;
}

uint8_t sum_of(ByteView bytes) {
    uint8_t sum = 0;
    for (const uint8_t b : bytes) sum = uint8_t(sum + b);
    return sum;
}

ByteView view(const PhysicalView& memory, uint64_t address, uint64_t n_bytes) {
    const uint8_t* p = memory.at(memory.context, address, n_bytes);
    return p == nullptr ? ByteView{} : ByteView{p, size_t(n_bytes)};
}

bool is_ram(MemoryType type) {
    return is_memory(type) || type == MemoryType::unusable || type == MemoryType::persistent ||
           type == MemoryType::unaccepted;
}

bool can_be_register(std::span<const MemoryRegion> regions, uint64_t address) {
    if (address < kPageBytes || address > kMappableEnd - kRegisterBytes) return false;
    return std::none_of(regions.begin(), regions.end(), [&](const MemoryRegion& region) {
        return is_ram(region.type) && address < region.end &&
               address + kRegisterBytes > region.begin;
    });
}

class Reader {
  public:
    Reader(const PhysicalView& memory, AcpiFacts& facts) : memory_(memory), facts_(facts) {}

    void read_rsdp(uint64_t address);

  private:
    template <class... Parts>
    void note(const Parts&... parts) {
        if (facts_.note.view().empty()) facts_.note = Text<192>("ACPI: ", parts...);
    }
    ByteView table(std::string_view name, uint64_t address);
    bool read_root(uint64_t address, size_t entry_bytes);
    void read_fadt(ByteView t);
    void read_spcr(ByteView t);
    void read_dbg2(ByteView t);
    void read_hpet(ByteView t);
    void read_madt(ByteView t);
    void add_cpu(uint32_t apic_id, uint32_t flags, uint32_t broadcast, size_t at);
    void read_aml(ByteView t);

    const PhysicalView& memory_;
    AcpiFacts& facts_;
    bool has_madt_ = false;
    Register debug_uart_;
};

// A whole table whose length and checksum are right, or nothing.
ByteView Reader::table(std::string_view name, uint64_t address) {
    const ByteView header = view(memory_, address, kHeaderBytes);
    if (header.empty()) {
        note(name, " at ", Hex{address}, " lies outside the memory map");
        return {};
    }
    const uint32_t length = load<uint32_t>(header, 4);
    if (length < kHeaderBytes || length > kMaxTableBytes) {
        note(name, " at ", Hex{address}, ": length: found ", length, ", allowed ", kHeaderBytes,
             "..", kMaxTableBytes);
        return {};
    }
    const ByteView all = view(memory_, address, length);
    if (all.empty()) {
        note(name, " at ", Hex{address}, " runs out of the memory map");
    } else if (sum_of(all) != 0) {
        note(name, " at ", Hex{address}, ": checksum: found ", Hex{sum_of(all)}, ", allowed 0");
        return {};
    }
    return all;
}

void Reader::read_rsdp(uint64_t address) {
    const ByteView v1 = view(memory_, address, 20);
    if (v1.empty() || memcmp(v1.data(), "RSD PTR ", 8) != 0 || sum_of(v1) != 0) {
        note("RSDP at ", Hex{address}, ": wrong signature, checksum or address");
        return;
    }
    if (v1[15] >= 2) {
        const ByteView v2 = view(memory_, address, 36);
        if (!v2.empty() && sum_of(v2) == 0) {
            const uint64_t xsdt = load<uint64_t>(v2, 24);
            if (xsdt != 0 && read_root(xsdt, 8)) return;
        } else {
            note("RSDP at ", Hex{address}, ": wrong extended checksum");
        }
    }
    if (const uint32_t rsdt = load<uint32_t>(v1, 16); rsdt != 0) read_root(rsdt, 4);
}

bool Reader::read_root(uint64_t address, size_t entry_bytes) {
    const ByteView root = table(entry_bytes == 8 ? "XSDT" : "RSDT", address);
    if (root.empty() || memcmp(root.data(), entry_bytes == 8 ? "XSDT" : "RSDT", 4) != 0)
        return false;
    facts_.found = true;
    uint32_t n_tables = 0;
    for (size_t at = kHeaderBytes; has(root, at, entry_bytes) && n_tables < kMaxTables;
         at += entry_bytes, n_tables++) {
        const uint64_t entry =
            entry_bytes == 8 ? load<uint64_t>(root, at) : load<uint32_t>(root, at);
        const ByteView signature = entry == 0 ? ByteView{} : view(memory_, entry, 4);
        if (signature.empty()) continue;
        if (memcmp(signature.data(), "FACP", 4) == 0) read_fadt(table("FADT", entry));
        if (memcmp(signature.data(), "SSDT", 4) == 0) read_aml(table("SSDT", entry));
        if (memcmp(signature.data(), "SPCR", 4) == 0) read_spcr(table("SPCR", entry));
        if (memcmp(signature.data(), "APIC", 4) == 0) read_madt(table("MADT", entry));
        if (memcmp(signature.data(), "DBG2", 4) == 0) read_dbg2(table("DBG2", entry));
        if (memcmp(signature.data(), "WDAT", 4) == 0)
            facts_.watchdog = read_wdat(table("WDAT", entry));
        if (memcmp(signature.data(), "SRAT", 4) == 0) read_srat(table("SRAT", entry), &facts_.numa);
        if (memcmp(signature.data(), "HPET", 4) == 0) read_hpet(table("HPET", entry));
        if (memcmp(signature.data(), "MCFG", 4) == 0) read_mcfg(table("MCFG", entry), &facts_.pci);
        if (memcmp(signature.data(), "DMAR", 4) == 0) read_dmar(table("DMAR", entry), &facts_.pci);
        if (memcmp(signature.data(), "IVRS", 4) == 0) read_ivrs(table("IVRS", entry), &facts_.pci);
    }
    if (facts_.uart.address == 0 && debug_uart_.address != 0) {
        facts_.uart = debug_uart_;
        facts_.uart_is_dbg2 = true;
    }
    return true;
}

void Reader::read_fadt(ByteView t) {
    if (!has(t, 112, 4)) return;
    const uint32_t flags = load<uint32_t>(t, 112);
    // IAPC_BOOT_ARCH says so from revision 3 (ACPI 2.0) on; before, the field was reserved.
    facts_.no_8042 = t[8] >= 3 && (load<uint16_t>(t, 109) >> 1 & 1) == 0;
    const bool reduced = flags >> 20 & 1;  // HW_REDUCED_ACPI: no PM timer
    if (const uint32_t port = load<uint32_t>(t, 56); !reduced && port <= 0xffff)
        facts_.pm1_events = uint16_t(port);
    if (!reduced && t[91] == 4) {                   // PM_TMR_LEN
        facts_.pm_timer = generic_address(t, 208);  // X_PM_TMR_BLK
        if (facts_.pm_timer.address == 0) {
            const uint32_t port = load<uint32_t>(t, 76);
            if (port <= 0xffff) facts_.pm_timer = {port, true, 32, 4};
        }
        facts_.pm_timer_32bit = flags >> 8 & 1;
    }
    read_power_off(t, &facts_.power_off);
    const uint64_t extended = has(t, 140, 8) ? load<uint64_t>(t, 140) : 0;
    const uint64_t dsdt = extended != 0 ? extended : load<uint32_t>(t, 40);
    if (dsdt != 0) read_aml(table("DSDT", dsdt));
    if ((flags >> 10 & 1) != 0 && has(t, 116, 13)) {
        facts_.reset = generic_address(t, 116);
        facts_.reset_value = t[128];
    }
}

// The DSDT, or one of the SSDTs that go on with it. The program in it is not run: its text has the compatible
// ID of a device, as a string or packed into 32 bits (section 19.3.4, EISAID).
void Reader::read_aml(ByteView t) {
    constexpr std::string_view kIds[] = {"PNP0C50", "ACPI0C50", "\x41\xd0\x0c\x50"};
    PowerOff& off = facts_.power_off;
    if (!off.has_types) off.has_types = find_s5(t, &off.types);
    const std::string_view text(reinterpret_cast<const char*>(t.data()), t.size());
    for (const std::string_view id : kIds)
        facts_.has_i2c_input = facts_.has_i2c_input || text.find(id) != text.npos;
}

void Reader::read_spcr(ByteView t) {
    if (!has(t, 36, 23)) return;
    const uint8_t interface = t[36];  // 0, 1: 16550 and 16450; 0x12: 16550 laid out as the GAS says
    if (interface != 0 && interface != 1 && interface != 0x12) {
        note("SPCR: interface type: found ", interface, ", allowed 0, 1, 18 (16550); COM1 is used");
        return;
    }
    facts_.uart = generic_address(t, 40);
    switch (t[58]) {
        case 3:
            facts_.uart_baud = 9600;
            break;
        case 4:
            facts_.uart_baud = 19200;
            break;
        case 6:
            facts_.uart_baud = 57600;
            break;
        case 7:
            facts_.uart_baud = 115200;
            break;
        default:
            facts_.uart_baud = 0;
    }
    // Only COM ports surely have the PC's clock to divide.
    if (!facts_.uart.io) facts_.uart_baud = 0;
}

// The first serial port of the kinds that we speak (Microsoft Debug Port Table 2, 2012).
void Reader::read_dbg2(ByteView t) {
    constexpr uint16_t kSerial = 0x8000;
    if (!has(t, 36, 8)) return;
    size_t at = load<uint32_t>(t, 36);
    for (uint32_t n = load<uint32_t>(t, 40); n > 0 && has(t, at, 22); n--) {
        const uint16_t length = load<uint16_t>(t, at + 1);
        if (length < 22 || !has(t, at, length)) return;
        const uint16_t subtype = load<uint16_t>(t, at + 14);
        const bool is_16550 = subtype == 0 || subtype == 1 || subtype == 0x12;
        if (load<uint16_t>(t, at + 12) == kSerial && is_16550 && t[at + 3] != 0) {
            const ByteView device = t.subspan(at, length);
            debug_uart_ = generic_address(device, load<uint16_t>(device, 18));
            if (debug_uart_.address != 0) return;
        }
        at += length;
    }
}

void Reader::read_hpet(ByteView t) {
    // Several blocks have several tables; one suffices.
    if (facts_.hpet.address == 0) facts_.hpet = generic_address(t, 40);
    if (facts_.hpet.io) facts_.hpet = {};
}

void Reader::add_cpu(uint32_t apic_id, uint32_t flags, uint32_t broadcast, size_t at) {
    constexpr uint32_t kEnabled = 1, kOnlineCapable = 2;
    if ((flags & kEnabled) == 0) {
        if ((flags & kOnlineCapable) != 0) facts_.cpus.n_offline++;
        return;
    }
    if (apic_id == broadcast) {
        note("MADT: entry at offset ", Hex{at}, ": APIC id: found ", Hex{apic_id},
             ", allowed below it");
        return;
    }
    // Some firmware lists a processor twice, once as each kind of entry.
    CpuList& cpus = facts_.cpus;
    const auto listed = cpus.listed();
    if (std::find(listed.begin(), listed.end(), apic_id) != listed.end()) return;
    if (cpus.n_found < CpuList::kMaxListed) cpus.apic_ids[cpus.n_found] = apic_id;
    cpus.n_found++;
}

void Reader::read_madt(ByteView t) {
    if (t.empty()) return;
    if (has_madt_) return note("MADT: found a second one, allowed one; the first is used");
    has_madt_ = true;
    for (size_t at = 44; has(t, at, 2);) {
        const uint8_t type = t[at], length = t[at + 1];
        if (length < 2 || !has(t, at, length)) {
            note("MADT: entry at offset ", Hex{at}, ": length: found ", length, ", allowed 2..",
                 t.size() - at);
            break;
        }
        // Processor local APIC and local x2APIC structures (sections 5.2.12.2 and 5.2.12.12).
        if (type == 0 && length >= 8) add_cpu(t[at + 3], load<uint32_t>(t, at + 4), 0xff, at);
        if (type == 9 && length >= 16) {
            add_cpu(load<uint32_t>(t, at + 4), load<uint32_t>(t, at + 8), 0xffffffff, at);
        }
        at += length;
    }
}

}  // namespace

void drop_impossible_registers(std::span<const MemoryRegion> regions, AcpiFacts* facts) {
    const struct {
        Register& where;
        const char* name;
        const char* instead;
    } candidates[] = {{facts->uart, "SPCR: serial console", "COM1 is used"},
                      {facts->pm_timer, "FADT: PM timer", "it is not used"},
                      {facts->watchdog.where, "WDAT: register", "it is not used"},
                      {facts->hpet, "HPET", "it is not used"},
                      {facts->reset, "FADT: reset register", "it is not used"},
                      {facts->power_off.pm1a_control, "FADT: PM1a control", "it is not used"},
                      {facts->power_off.pm1b_control, "FADT: PM1b control", "it is not used"},
                      {facts->power_off.sleep_control, "FADT: sleep control", "it is not used"}};
    for (const auto& c : candidates) {
        const uint64_t address = c.where.address;
        if (address == 0 || c.where.io || can_be_register(regions, address)) continue;
        if (facts->note.view().empty()) {
            facts->note = Text<192>(
                "ACPI: ", c.name, ": address: found ", Hex{address}, ", allowed ", Hex{kPageBytes},
                "..", Hex{kMappableEnd - kRegisterBytes}, " outside RAM; ", c.instead);
        }
        c.where = {};
    }
}

AcpiFacts read_acpi(const PhysicalView& memory, uint64_t rsdp_address) {
    AcpiFacts facts;
    if (rsdp_address != 0) Reader(memory, facts).read_rsdp(rsdp_address);
    return facts;
}

}  // namespace axiom::efi
