// SPDX-License-Identifier: MIT
// ACPI tables as bytes, right ones and hostile ones.
#include "efi/dev/acpi.h"

#include <cstring>
#include <map>
#include <string>
#include <vector>

#include "efi/cpu/smp_plan.h"
#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

using Blob = std::vector<uint8_t>;

template <class T>
void store(Blob& b, size_t at, T value) {
    memcpy(&b.at(at + sizeof value - 1) - (sizeof value - 1), &value, sizeof value);
}

void fix_checksum(Blob& b, size_t at, size_t n) {
    b[at] = 0;
    uint8_t sum = 0;
    for (size_t i = 0; i < n; i++) sum = uint8_t(sum + b[i]);
    b[at] = uint8_t(-sum);
}

Blob table(const char* signature, size_t n_bytes) {
    Blob b(n_bytes);
    memcpy(b.data(), signature, 4);
    store<uint32_t>(b, 4, uint32_t(n_bytes));
    return b;
}

void gas(Blob& b, size_t at, uint8_t space, uint8_t bits, uint8_t access, uint64_t address) {
    b[at] = space, b[at + 1] = bits, b[at + 3] = access;
    store<uint64_t>(b, at + 4, address);
}

// A machine's tables at made-up addresses; only they can be read.
struct Tables {
    std::map<uint64_t, Blob> at;

    static const uint8_t* read(const void* context, uint64_t address, uint64_t n_bytes) {
        for (const auto& [begin, blob] : static_cast<const Tables*>(context)->at) {
            if (address >= begin && address - begin <= blob.size() &&
                n_bytes <= blob.size() - (address - begin)) {
                return blob.data() + (address - begin);
            }
        }
        return nullptr;
    }

    Tables() {
        Blob fadt = table("FACP", 276);
        store<uint32_t>(fadt, 76, 0x608);
        fadt[91] = 4;
        store<uint32_t>(fadt, 112, 1u << 8 | 1u << 10);
        gas(fadt, 116, 1, 8, 1, 0xcf9);
        fadt[128] = 0x0f;
        at[0x4000] = fadt;
        Blob madt = table("APIC", 44 + 8 + 8 + 16 + 12);
        madt[44] = 0, madt[45] = 8, madt[47] = 3, madt[48] = 1;
        madt[52] = 0, madt[53] = 8, madt[56] = 0;
        madt[60] = 9, madt[61] = 16, madt[68] = 2;
        madt[76] = 1, madt[77] = 12;
        at[0x5000] = madt;
        Blob spcr = table("SPCR", 80);
        spcr[36] = 0x12;
        gas(spcr, 40, 0, 32, 3, 0xfe036000);
        spcr[58] = 7;
        at[0x6000] = spcr;
        Blob xsdt = table("XSDT", 36 + 4 * 8);
        for (size_t i = 0; i < 3; i++) store<uint64_t>(xsdt, 36 + 8 * i, 0x4000 + 0x1000 * i);
        store<uint64_t>(xsdt, 60, 0xdead0000);
        at[0x3000] = xsdt;
        Blob rsdt = table("RSDT", 36 + 4);
        store<uint32_t>(rsdt, 36, 0x4000);
        at[0x2000] = rsdt;
        Blob rsdp(36);
        memcpy(rsdp.data(), "RSD PTR ", 8);
        rsdp[15] = 2;
        store<uint32_t>(rsdp, 16, 0x2000);
        store<uint32_t>(rsdp, 20, 36);
        store<uint64_t>(rsdp, 24, 0x3000);
        at[0x1000] = rsdp;
        fix();
    }

    void fix() {
        for (auto& [address, blob] : at) {
            if (address != 0x1000) fix_checksum(blob, 9, blob.size());
        }
        fix_checksum(at[0x1000], 8, 20);
        fix_checksum(at[0x1000], 32, 36);
    }

    AcpiFacts facts() const { return read_acpi({read, this}, 0x1000); }
};

std::vector<uint32_t> ids(const AcpiFacts& facts) {
    const auto listed = facts.cpus.listed();
    return {listed.begin(), listed.end()};
}

// A MADT of these processors, all with `flags`.
struct Cpu {
    uint32_t apic_id;
    bool is_x2apic;
    uint32_t flags = 1;
};
Blob madt_of(const std::vector<Cpu>& cpus) {
    Blob madt = table("APIC", 44);
    for (const Cpu& cpu : cpus) {
        const size_t at = madt.size();
        madt.resize(at + (cpu.is_x2apic ? 16 : 8));
        madt[at] = cpu.is_x2apic ? 9 : 0;
        madt[at + 1] = uint8_t(madt.size() - at);
        if (cpu.is_x2apic) {
            store<uint32_t>(madt, at + 4, cpu.apic_id);
        } else {
            madt[at + 3] = uint8_t(cpu.apic_id);
        }
        store<uint32_t>(madt, at + (cpu.is_x2apic ? 8 : 4), cpu.flags);
    }
    store<uint32_t>(madt, 4, uint32_t(madt.size()));
    return madt;
}

bool notes(const AcpiFacts& facts, const char* text) {
    return std::string(facts.note.view()).find(text) != std::string::npos;
}

}  // namespace

TEST_CASE("timer, reset register, serial console and CPUs are found through the XSDT") {
    const AcpiFacts facts = Tables().facts();
    CHECK(facts.found);
    CHECK(facts.pm_timer.address == 0x608);
    CHECK(facts.pm_timer.io);
    CHECK(facts.pm_timer_32bit);
    CHECK(facts.reset.address == 0xcf9);
    CHECK(facts.reset_value == 0x0f);
    CHECK(facts.uart.address == 0xfe036000);
    CHECK(!facts.uart.io);
    CHECK(facts.uart.access_bytes == 4);
    CHECK(facts.uart_baud == 0);  // in memory: what clock it divides is not known
    CHECK(ids(facts) == std::vector<uint32_t>{3});
    CHECK(facts.cpus.n_offline == 1);  // and one neither enabled nor to be brought online
    CHECK(facts.note.view().empty());
}

TEST_CASE("input devices on I2C are known by their compatible ID, in the DSDT and in SSDTs") {
    const auto has_input = [](std::string_view id, bool in_ssdt, bool extended) {
        Tables t;
        Blob definitions = table(in_ssdt ? "SSDT" : "DSDT", 60);
        memcpy(&definitions[41], id.data(), id.size());
        t.at[0x7000] = definitions;
        if (in_ssdt) store<uint64_t>(t.at[0x3000], 60, 0x7000);
        if (!in_ssdt && extended) store<uint64_t>(t.at[0x4000], 140, 0x7000);
        if (!in_ssdt && !extended) store<uint32_t>(t.at[0x4000], 40, 0x7000);
        t.fix();
        const AcpiFacts facts = t.facts();
        CHECK(facts.note.view().empty());
        return facts.has_i2c_input;
    };
    for (const std::string_view id : {"PNP0C50", "ACPI0C50", "\x41\xd0\x0c\x50"}) {
        CHECK(has_input(id, true, false));
        CHECK(has_input(id, false, false));
        CHECK(has_input(id, false, true));
    }
    CHECK(!has_input("PNP0C51", true, false));
    CHECK(!has_input("PNP0C51", false, true));
    CHECK(!Tables().facts().has_i2c_input);
}

TEST_CASE("the extended timer block wins over the port in the old field") {
    Tables t;
    gas(t.at[0x4000], 208, 1, 32, 3, 0xb008);
    t.fix();
    CHECK(t.facts().pm_timer.address == 0xb008);
}

TEST_CASE("a revision 0 RSDP leads through the RSDT") {
    Tables t;
    t.at[0x1000][15] = 0;
    t.fix();
    const AcpiFacts facts = t.facts();
    CHECK(facts.found);
    CHECK(facts.pm_timer.address == 0x608);
    CHECK(facts.cpus.n_found == 0);
    t.at[0x1000].resize(20);
    CHECK(t.facts().found);
    t.at[0x1000].resize(19);
    CHECK(!t.facts().found);
}

TEST_CASE("a broken XSDT is noted and the RSDT is used") {
    Tables t;
    t.at[0x3000][40] ^= 1;
    const AcpiFacts facts = t.facts();
    CHECK(facts.pm_timer.address == 0x608);
    CHECK(notes(facts, "XSDT at 0x3000: checksum"));
}

TEST_CASE("wrong signatures, checksums and addresses give no facts and no crash") {
    Tables t;
    t.at[0x1000][0] = 'X';
    CHECK(!t.facts().found);
    t.fix();
    CHECK(!t.facts().found);  // the signature alone
    t.at[0x1000][0] = 'R';
    CHECK(!t.facts().found);  // the checksum alone
    CHECK(!read_acpi({Tables::read, &t}, 0x77777777).found);
    CHECK(!read_acpi({Tables::read, &t}, 0).found);
}

TEST_CASE("tables with hostile lengths are left out and named") {
    for (const uint32_t length : {0u, 35u, 1u << 21, 0xffffffffu, 5000u}) {
        Tables t;
        store<uint32_t>(t.at[0x4000], 4, length);
        const AcpiFacts facts = t.facts();
        INFO(length);
        CHECK(facts.pm_timer.address == 0);
        CHECK(facts.cpus.n_found == 1);
        CHECK(notes(facts, "FADT at 0x4000"));
    }
}

TEST_CASE("a table cut right after its header gives nothing") {
    Tables t;
    t.at[0x4000] = table("FACP", 36);
    t.at[0x5000] = table("APIC", 36);
    t.at[0x6000] = table("SPCR", 36);
    t.fix();
    const AcpiFacts facts = t.facts();
    CHECK(facts.found);
    CHECK(facts.pm_timer.address == 0);
    CHECK(facts.uart.address == 0);
    CHECK(facts.cpus.n_found == 0);
}

TEST_CASE("a MADT entry of length zero or past the end ends the count") {
    for (const uint8_t length : {uint8_t(0), uint8_t(1), uint8_t(200)}) {
        Tables t;
        t.at[0x5000][53] = length;
        t.fix();
        const AcpiFacts facts = t.facts();
        CHECK(facts.cpus.n_found == 1);
        CHECK(notes(facts, "MADT: entry at offset 0x34"));
        CHECK(notes(facts, ", allowed 2..36"));
    }
}

TEST_CASE("a machine without the fixed hardware has no PM timer") {
    Tables t;
    store<uint32_t>(t.at[0x4000], 112, 1u << 20);
    t.fix();
    CHECK(t.facts().pm_timer.address == 0);
    CHECK(t.facts().reset.address == 0);
}

TEST_CASE("a serial console that is no 16550 and registers outside I/O space are refused") {
    Tables t;
    t.at[0x6000][36] = 3;
    t.fix();
    CHECK(t.facts().uart.address == 0);
    CHECK(notes(t.facts(), "SPCR: interface type: found 3"));
    Tables u;
    gas(u.at[0x4000], 116, 1, 8, 1, 0x10cf9);
    u.fix();
    CHECK(u.facts().reset.address == 0);
}

TEST_CASE("a serial console in I/O space gets the rate its table names") {
    Tables t;
    gas(t.at[0x6000], 40, 1, 8, 1, 0x2f8);
    t.fix();
    CHECK(t.facts().uart.address == 0x2f8);
    CHECK(t.facts().uart_baud == 115200);
}

TEST_CASE("registers in memory must lie outside RAM, the first page and the unmappable") {
    const MemoryRegion regions[] = {
        {0x100000, 0x80000000, MemoryType::conventional, kAttributeWriteBack},
        {0xfe000000, 0xff000000, MemoryType::reserved, 0},
        {0x100000000, 0x140000000, MemoryType::unaccepted, kAttributeWriteBack}};
    const auto kept = [&](uint64_t address) {
        AcpiFacts facts;
        facts.uart = facts.pm_timer = facts.reset = {address, false, 32, 3};
        drop_impossible_registers(regions, &facts);
        CHECK(facts.uart.address == facts.pm_timer.address);
        CHECK(facts.uart.address == facts.reset.address);
        CHECK(facts.note.view().empty() == (facts.uart.address != 0));
        return facts.uart.address != 0;
    };
    constexpr uint64_t kEnd = uint64_t{1} << 47;
    for (const uint64_t good : {uint64_t{0x1000}, uint64_t{0x80000000}, uint64_t{0xfe036000},
                                uint64_t{0x100000 - 32}, kEnd - 32}) {
        INFO(std::hex << good);
        CHECK(kept(good));
    }
    for (const uint64_t bad :
         {uint64_t{0x10}, uint64_t{0x100000 - 31}, uint64_t{0x200000}, uint64_t{0x7fffffff},
          uint64_t{0x120000000}, kEnd - 31, kEnd, uint64_t{1} << 63, ~uint64_t{0}, ~uint64_t{31}}) {
        INFO(std::hex << bad);
        CHECK(!kept(bad));
    }
}

TEST_CASE("a dropped register is named with its address and what is used instead") {
    const MemoryRegion ram{0x100000, 0x80000000, MemoryType::conventional, kAttributeWriteBack};
    Tables t;
    gas(t.at[0x6000], 40, 0, 32, 3, 0x200000);
    t.fix();
    AcpiFacts facts = t.facts();
    drop_impossible_registers({&ram, 1}, &facts);
    CHECK(facts.uart.address == 0);
    CHECK(facts.pm_timer.address == 0x608);  // I/O space is not concerned
    CHECK(notes(facts, "serial console: address: found 0x200000"));
    CHECK(notes(facts, "COM1 is used"));
}

TEST_CASE("enabled processors of both kinds are listed in the table's order, each once") {
    Tables t;
    t.at[0x5000] = madt_of({{4, false}, {300, true}, {0, false}, {4, true}, {6, false, 2}});
    t.fix();
    const AcpiFacts facts = t.facts();
    CHECK(ids(facts) == std::vector<uint32_t>{4, 300, 0});
    CHECK(facts.cpus.n_offline == 1);
    CHECK(facts.note.view().empty());
}

TEST_CASE("an APIC id that means everybody is no processor") {
    for (const Cpu& everybody : {Cpu{0xff, false}, Cpu{0xffffffff, true}}) {
        Tables t;
        t.at[0x5000] = madt_of({{1, false}, everybody, {2, false}});
        t.fix();
        CHECK(ids(t.facts()) == std::vector<uint32_t>{1, 2});
        CHECK(notes(t.facts(), "MADT: entry at offset 0x34: APIC id: found 0x"));
    }
}

TEST_CASE("more processors than the list holds are counted, not stored") {
    Tables t;
    std::vector<Cpu> cpus;
    for (uint32_t id = 0; id < 60000; id++) cpus.push_back({1000 + id, true});
    t.at[0x50000] = madt_of(cpus);
    store<uint64_t>(t.at[0x3000], 44, 0x50000);
    t.fix();
    const AcpiFacts facts = t.facts();
    CHECK(facts.cpus.n_found == 60000);
    REQUIRE(facts.cpus.listed().size() == CpuList::kMaxListed);
    CHECK(facts.cpus.listed().back() == 1000 + CpuList::kMaxListed - 1);
}

TEST_CASE("a second MADT is noted and left out") {
    Tables t;
    t.at[0x50000] = madt_of({{8, false}, {9, false}});
    store<uint64_t>(t.at[0x3000], 60, 0x50000);
    t.fix();
    CHECK(ids(t.facts()) == std::vector<uint32_t>{3});
    CHECK(notes(t.facts(), "MADT: found a second one"));
}

TEST_CASE("a serial console's rate is one of those that the table can name, or left alone") {
    const std::pair<uint8_t, uint32_t> rates[] = {{0, 0},     {1, 0},  {2, 0},     {3, 9600},
                                                  {4, 19200}, {5, 0},  {6, 57600}, {7, 115200},
                                                  {8, 0},     {255, 0}};
    for (const auto& [code, baud] : rates) {
        Tables t;
        gas(t.at[0x6000], 40, 1, 8, 1, 0x2f8);
        t.at[0x6000][58] = code;
        t.fix();
        INFO(int(code));
        CHECK(t.facts().uart_baud == baud);
    }
}

TEST_CASE("tables that end right behind what is read are read, one byte less is not") {
    const auto cut = [](uint64_t address, size_t n_bytes) {
        Tables t;
        t.at[address].resize(n_bytes);
        store<uint32_t>(t.at[address], 4, uint32_t(n_bytes));
        t.fix();
        return t.facts();
    };
    CHECK(cut(0x6000, 59).uart.address != 0);
    CHECK(cut(0x6000, 58).uart.address == 0);
    CHECK(cut(0x4000, 116).pm_timer.address == 0x608);
    CHECK(cut(0x4000, 115).pm_timer.address == 0);
    CHECK(cut(0x4000, 129).reset.address == 0xcf9);
    CHECK(cut(0x4000, 129).reset_value == 0x0f);
    CHECK(cut(0x4000, 128).reset.address == 0);
    CHECK(cut(0x4000, 128).pm_timer.address == 0x608);
    CHECK(cut(0x3000, 44).pm_timer.address == 0x608);  // a root with one entry, with none
    CHECK(cut(0x3000, 43).pm_timer.address == 0);
    CHECK(cut(0x3000, 36).found);
}

TEST_CASE("the largest table is read, a larger one is not") {
    for (const uint32_t n_bytes : {1u << 20, (1u << 20) + 1}) {
        Tables t;
        t.at[0x5000].resize(n_bytes);
        store<uint32_t>(t.at[0x5000], 4, n_bytes);
        t.at[0x200000] = t.at[0x5000];  // where nothing else is
        t.at.erase(0x5000);
        store<uint64_t>(t.at[0x3000], 44, 0x200000);
        t.fix();
        CHECK((t.facts().cpus.n_found != 0) == (n_bytes == 1u << 20));
    }
}

TEST_CASE("a register's width, access size and space are those of the table") {
    const std::pair<uint8_t, uint8_t> sizes[] = {{0, 0}, {1, 1}, {2, 2}, {3, 4}, {4, 8}, {5, 0}};
    for (const auto& [code, bytes] : sizes) {
        Tables t;
        gas(t.at[0x4000], 116, 0, 16, code, 0xfe000000);
        t.fix();
        INFO(int(code));
        CHECK(t.facts().reset.access_bytes == bytes);
        CHECK(t.facts().reset.bits == 16);
        CHECK(!t.facts().reset.io);
    }
    const auto reset_at = [](uint8_t space, uint64_t address) {
        Tables t;
        gas(t.at[0x4000], 116, space, 8, 1, address);
        t.fix();
        return t.facts().reset.address;
    };
    CHECK(reset_at(1, 0xffff) == 0xffff);
    CHECK(reset_at(1, 0x10000) == 0);
    CHECK(reset_at(0, 0x10000) == 0x10000);
    CHECK(reset_at(2, 0x1000) == 0);  // PCI configuration space
}

TEST_CASE("a reset register and a timer count only where their flags say so") {
    Tables t;
    store<uint32_t>(t.at[0x4000], 112, 0);
    t.fix();
    CHECK(t.facts().reset.address == 0);
    CHECK(t.facts().pm_timer.address == 0x608);
    CHECK(!t.facts().pm_timer_32bit);
    t.at[0x4000][91] = 3;
    t.fix();
    CHECK(t.facts().pm_timer.address == 0);
    t.at[0x4000][91] = 4;
    store<uint32_t>(t.at[0x4000], 76, 0x10000);
    t.fix();
    CHECK(t.facts().pm_timer.address == 0);
    store<uint32_t>(t.at[0x4000], 76, 0xffff);
    t.fix();
    CHECK(t.facts().pm_timer.address == 0xffff);
}

TEST_CASE("16450 and 16550 consoles are taken, the next interface type is not") {
    for (const unsigned type : {0u, 1u, 2u, 0x11u, 0x12u, 0x13u}) {
        Tables t;
        t.at[0x6000][36] = uint8_t(type);
        t.fix();
        INFO(type);
        CHECK((t.facts().uart.address != 0) == (type <= 1 || type == 0x12));
    }
}

TEST_CASE("MADT entries of other kinds, or too short for their kind, are no processors") {
    Tables t;
    Blob madt = table("APIC", 44 + 20 + 14 + 6 + 2);
    madt[44] = 4, madt[45] = 20, madt[44 + 4] = 5, madt[44 + 8] = 1;  // an NMI, long enough for one
    madt[64] = 9, madt[65] = 14, madt[64 + 4] = 6, madt[64 + 8] = 1;
    madt[78] = 0, madt[79] = 6, madt[78 + 3] = 7, madt[78 + 4] = 1;
    madt[84] = 0, madt[85] = 2;  // ends with the table
    t.at[0x5000] = madt;
    t.fix();
    CHECK(t.facts().cpus.n_found == 0);
    CHECK(t.facts().note.view().empty());
}

TEST_CASE("registers that are not there are nothing to note") {
    const MemoryRegion ram{0x100000, 0x80000000, MemoryType::conventional, kAttributeWriteBack};
    AcpiFacts facts;
    drop_impossible_registers({&ram, 1}, &facts);
    CHECK(facts.note.view().empty());
    facts.reset = {1, false, 8, 1};
    drop_impossible_registers({&ram, 1}, &facts);
    CHECK(facts.reset.address == 0);
    CHECK(notes(facts, "reset register: address: found 0x1"));
}

// ---- PCI -------------------------------------------------------------------------------------

namespace {

template <class T>
void append(std::vector<uint8_t>* bytes, T value) {
    const auto* p = reinterpret_cast<const uint8_t*>(&value);
    bytes->insert(bytes->end(), p, p + sizeof value);
}

void append_ecam(std::vector<uint8_t>* table, uint64_t address, uint16_t segment, uint8_t first,
                 uint8_t last) {
    append(table, address);
    append(table, segment);
    append(table, first);
    append(table, last);
    append(table, uint32_t{0});
}

// A remapping unit of VT-d (`type` 0), or another structure.
void append_dmar(std::vector<uint8_t>* table, uint16_t type, uint64_t registers, uint16_t length) {
    append(table, type);
    append(table, length);
    append(table, uint32_t{0});
    append(table, registers);
}

void append_ivhd(std::vector<uint8_t>* table, uint8_t type, uint64_t registers) {
    append(table, type);
    append(table, uint8_t{0});
    append(table, uint16_t{24});
    append(table, uint32_t{0});
    append(table, registers);
    append(table, uint64_t{0});
}

}  // namespace

TEST_CASE("a function's configuration space is where MCFG has its segment and bus") {
    std::vector<uint8_t> table(44);
    append_ecam(&table, 0xe0000000, 0, 0, 127);
    append_ecam(&table, 0x4000000000, 2, 16, 31);
    PciFacts facts;
    read_mcfg(table, &facts);
    CHECK(facts.config_page({0, 0, 4, 0}) == 0xe0020000);
    CHECK(facts.config_page({0, 127, 31, 7}) == 0xe7fff000);
    CHECK(facts.config_page({0, 128, 0, 0}) == 0);
    CHECK(facts.config_page({1, 0, 0, 0}) == 0);
    CHECK(facts.config_page({2, 15, 0, 0}) == 0);
    CHECK(facts.config_page({2, 16, 0, 1}) == 0x4000000000 + (16 << 20) + 4096);
    CHECK(PciAddress{2, 0x1f, 0x1e, 3}.text().view() == "0002:1f:1e.3");
}

TEST_CASE("configuration spaces that cannot be are left out, and so is half an entry") {
    std::vector<uint8_t> table(44);
    append_ecam(&table, 0, 0, 0, 255);           // the first page
    append_ecam(&table, 0xe0000800, 0, 0, 255);  // between pages
    append_ecam(&table, kMappableEnd - (256 << 20) + 4096, 0, 0, 255);
    append_ecam(&table, 0xe0000000, 0, 5, 4);
    append_ecam(&table, 0xe0000000, 0, 0, 255);
    table.pop_back();
    PciFacts facts;
    read_mcfg(table, &facts);
    CHECK(facts.n_ecam == 0);
    table.push_back(0);
    for (int i = 0; i < 20; i++) append_ecam(&table, 0xe0000000, uint16_t(i), 0, 255);
    read_mcfg(table, &facts);
    CHECK(facts.n_ecam == PciFacts::kMaxEcam);
}

TEST_CASE("IOMMUs are listed once each, Intel's and AMD's") {
    std::vector<uint8_t> dmar(48);
    append_dmar(&dmar, 0, 0xfed90000, 16);
    append_dmar(&dmar, 1, 0xfed91000, 16);  // reserved memory
    append_dmar(&dmar, 0, 0xfed92000, 16);
    append_dmar(&dmar, 0, 0xfed90000, 16);
    append_dmar(&dmar, 0, 0x123, 16);  // no page
    PciFacts facts;
    read_dmar(dmar, &facts);
    REQUIRE(facts.n_iommus == 2);
    CHECK(facts.iommus[0].registers == 0xfed90000);
    CHECK(facts.iommus[1].registers == 0xfed92000);
    CHECK(!facts.iommus[1].is_amd);

    std::vector<uint8_t> ivrs(48);
    append_ivhd(&ivrs, 0x10, 0xfeb80000);
    append_ivhd(&ivrs, 0x20, 0xfeb90000);  // memory
    append_ivhd(&ivrs, 0x11, 0xfeb80000);
    append_ivhd(&ivrs, 0x40, 0xfeba0000);
    PciFacts amd;
    read_ivrs(ivrs, &amd);
    REQUIRE(amd.n_iommus == 2);
    CHECK(amd.iommus[0].registers == 0xfeb80000);
    CHECK(amd.iommus[1].registers == 0xfeba0000);
    CHECK(amd.iommus[0].is_amd);
}

TEST_CASE("a structure of length zero or past the table's end ends the list of IOMMUs") {
    for (const uint16_t length : {uint16_t{0}, uint16_t{3}, uint16_t{17}, uint16_t{0xffff}}) {
        std::vector<uint8_t> dmar(48);
        append_dmar(&dmar, 0, 0xfed90000, 16);
        append_dmar(&dmar, 0, 0xfed91000, length);
        PciFacts facts;
        read_dmar(dmar, &facts);
        CHECK(facts.n_iommus == 1);
    }
    std::vector<uint8_t> short_unit(48);
    append_dmar(&short_unit, 0, 0xfed90000, 8);
    PciFacts facts;
    read_dmar(std::span(short_unit).first(56), &facts);
    CHECK(facts.n_iommus == 0);
    for (size_t n = 0; n < 56; n++) {
        read_dmar(std::span(short_unit).first(n), &facts);
        read_ivrs(std::span(short_unit).first(n), &facts);
        read_mcfg(std::span(short_unit).first(n), &facts);
    }
    CHECK(facts.n_iommus == 0);
}

TEST_CASE("the HPET's registers are found, in memory only") {
    Tables t;
    t.at[0x7000] = table("HPET", 56);
    gas(t.at[0x7000], 40, 0, 64, 0, 0xfed00000);
    store<uint64_t>(t.at[0x3000], 60, 0x7000);
    t.fix();
    CHECK(t.facts().hpet.address == 0xfed00000);
    gas(t.at[0x7000], 40, 1, 64, 0, 0x500);
    t.fix();
    CHECK(t.facts().hpet.address == 0);
    t.at[0x7000].resize(44);
    store<uint32_t>(t.at[0x7000], 4, 44);
    t.fix();
    CHECK(t.facts().hpet.address == 0);
}

TEST_CASE("what powers the machine off is found in the FADT and its DSDT, or an SSDT") {
    Tables t;
    store<uint32_t>(t.at[0x4000], 48, 0xb2);
    t.at[0x4000][52] = 0xa0;
    store<uint32_t>(t.at[0x4000], 64, 0x604);
    store<uint32_t>(t.at[0x4000], 40, 0x8000);
    const uint8_t name[] = {0x08, '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a, 0x05, 0x0a, 0x06, 0};
    Blob dsdt = table("DSDT", 36 + sizeof name);
    memcpy(&dsdt[36], name, sizeof name);
    t.at[0x8000] = dsdt;
    t.fix();
    const PowerOff off = t.facts().power_off;
    CHECK((off.pm1a_control.address == 0x604 && off.pm1a_control.io));
    CHECK(off.pm1b_control.address == 0);
    CHECK((off.smi_command.address == 0xb2 && off.acpi_enable == 0xa0));
    REQUIRE(off.has_types);
    CHECK((off.types.a == 5 && off.types.b == 6));

    gas(t.at[0x4000], 172, 0, 16, 2, 0xfed08004);  // the extended field wins
    t.at[0x8000][40] = 'X';
    Blob ssdt = dsdt;
    memcpy(ssdt.data(), "SSDT", 4);
    t.at[0x9000] = ssdt;
    store<uint64_t>(t.at[0x3000], 60, 0x9000);
    t.fix();
    CHECK(t.facts().power_off.pm1a_control.address == 0xfed08004);
    CHECK(t.facts().power_off.has_types);
    t.at[0x9000][30] ^= 1;  // a wrong checksum
    CHECK(!t.facts().power_off.has_types);

    store<uint32_t>(t.at[0x4000], 112, 1u << 20);  // reduced hardware
    gas(t.at[0x4000], 244, 0, 8, 1, 0xfed00404);
    t.fix();
    CHECK(t.facts().power_off.pm1a_control.address == 0);
    CHECK(t.facts().power_off.sleep_control.address == 0xfed00404);
}

TEST_CASE("300 processors, as xAPIC entries, x2APIC entries and both, are listed and planned") {
    for (const int kind : {0, 1, 2}) {
        std::vector<Cpu> cpus;
        for (uint32_t id = 0; id < 300; id++) {
            const bool fits = id < 255;
            if (kind == 2 && fits) cpus.push_back({id, false});  // twice, as some firmware does
            cpus.push_back({id, kind != 0 || !fits});
        }
        Tables t;
        t.at[0x5000] = madt_of(cpus);
        t.fix();
        const AcpiFacts facts = t.facts();
        CHECK(facts.cpus.n_found == 300);
        REQUIRE(facts.cpus.listed().size() == 300);
        const CorePlan all = plan_cores(facts.cpus, 0, {0, 0xfffffffe, 0});
        CHECK(all.n_cores() == 300);
        CHECK(all.others[298].apic_id == 299);
        CHECK(all.others[298].number == 299);
        const CorePlan cores = plan_cores(facts.cpus, 0, {0, 0xfffffffe, 1});
        CHECK(cores.n_cores() == 150);
        CHECK(cores.n_siblings == 150);
        CHECK(cores.others[148].apic_id == 298);
        const CorePlan narrow = plan_cores(facts.cpus, 0, {0, 0xfe, 0});
        CHECK(narrow.n_cores() == 255);
        CHECK(narrow.n_found == 300);
        CHECK(narrow.notes[1].view().find("found 45 above 254") != std::string_view::npos);
        CHECK(facts.note.view().empty());
    }
}

TEST_CASE("nodes and their memory are found in the SRAT, what is off or cut is not") {
    Tables t;
    Blob srat = table("SRAT", 48);
    const auto add = [&](uint8_t type, uint8_t n_bytes) {
        const size_t at = srat.size();
        srat.resize(at + n_bytes);
        srat[at] = type, srat[at + 1] = n_bytes;
        return at;
    };
    const auto cpu = [&](uint32_t domain, uint32_t flags) {
        const size_t at = add(0, 16);
        srat[at + 2] = uint8_t(domain), srat[at + 3] = uint8_t(40 + at);
        store<uint32_t>(srat, at + 4, flags);
        srat[at + 9] = uint8_t(domain >> 8), srat[at + 10] = uint8_t(domain >> 16);
        srat[at + 11] = uint8_t(domain >> 24);
    };
    const auto x2apic_cpu = [&](uint32_t domain, uint32_t flags) {
        const size_t at = add(2, 24);
        store<uint32_t>(srat, at + 4, domain);
        store<uint32_t>(srat, at + 12, flags);
    };
    const auto memory = [&](uint32_t domain, uint64_t base, uint64_t bytes, uint32_t flags) {
        const size_t at = add(1, 40);
        store<uint32_t>(srat, at + 2, domain);
        store<uint64_t>(srat, at + 8, base);
        store<uint64_t>(srat, at + 16, bytes);
        store<uint32_t>(srat, at + 28, flags);
    };
    constexpr uint64_t kGib = 1 << 30;
    cpu(0, 1), cpu(0, 1), cpu(0x01020304, 1), cpu(9, 0);
    x2apic_cpu(0x01020304, 1);
    memory(0, 0, 2 * kGib, 1), memory(0, 4 * kGib, kGib, 1), memory(0x01020304, 5 * kGib, kGib, 1);
    memory(0, 8 * kGib, kGib, 0), memory(0, ~uint64_t{0} - 5, 100, 1);
    add(0, 15), add(2, 20), add(77, 2);
    store<uint32_t>(srat, 4, uint32_t(srat.size()));
    t.at[0x7000] = srat;
    store<uint64_t>(t.at[0x3000], 60, 0x7000);
    t.fix();
    const NumaFacts numa = t.facts().numa;
    REQUIRE(numa.n_nodes == 2);
    CHECK((numa.nodes[0].domain == 0 && numa.nodes[0].n_cpus == 2));
    CHECK((numa.nodes[1].domain == 0x01020304 && numa.nodes[1].n_cpus == 2));
    CHECK(numa.bytes_near(0, {0, 16 * kGib}) == 3 * kGib);
    CHECK(numa.bytes_near(0x01020304, {0, 16 * kGib}) == kGib);
    CHECK(numa.bytes_near(0, {4 * kGib + kGib / 2, 6 * kGib}) == kGib / 2);
    CHECK(numa.bytes_near(3, {0, 16 * kGib}) == 0);
    CHECK((numa.find_memory(4 * kGib)->domain == 0 && numa.find_memory(3 * kGib) == nullptr));
    CHECK((numa.find_cpu(88)->domain == 0 && numa.find_cpu(0)->domain == 0x01020304));
    CHECK(numa.find_cpu(7) == nullptr);
    CHECK(numa.n_cpus == 4);
    t.at[0x7000][49] = 1;  // no length goes on from there
    t.fix();
    CHECK(t.facts().numa.n_nodes == 0);
}

TEST_CASE(
    "without an SPCR the DBG2's first 16550 is the console, and cut or other ports are none") {
    Tables t;
    t.at[0x6000][0] = 'X';  // no SPCR
    Blob dbg2 = table("DBG2", 44);
    store<uint32_t>(dbg2, 36, 44);
    store<uint32_t>(dbg2, 40, 2);
    const auto add = [&](uint16_t type, uint16_t subtype, uint64_t address) {
        const size_t at = dbg2.size();
        dbg2.resize(at + 22 + 12);
        store<uint16_t>(dbg2, at + 1, 34);
        dbg2[at + 3] = 1;
        store<uint16_t>(dbg2, at + 12, type);
        store<uint16_t>(dbg2, at + 14, subtype);
        store<uint16_t>(dbg2, at + 18, 22);
        gas(dbg2, at + 22, 0, 32, 3, address);
    };
    add(0x8002, 0, 0x111000);  // USB
    add(0x8000, 0x12, 0xfe036000);
    store<uint32_t>(dbg2, 4, uint32_t(dbg2.size()));
    t.at[0x7000] = dbg2;
    store<uint64_t>(t.at[0x3000], 60, 0x7000);
    t.fix();
    CHECK(t.facts().uart.address == 0xfe036000);
    CHECK(t.facts().uart_is_dbg2);
    CHECK(t.facts().uart_baud == 0);
    store<uint16_t>(t.at[0x7000], 78 + 14, 3);  // ARM's
    t.fix();
    CHECK(t.facts().uart.address == 0);
    store<uint16_t>(t.at[0x7000], 78 + 14, 0);
    store<uint16_t>(t.at[0x7000], 78 + 18, 30);  // runs out of its device
    t.fix();
    CHECK(t.facts().uart.address == 0);
    store<uint16_t>(t.at[0x7000], 44 + 1, 0);  // a length of none
    t.fix();
    CHECK(!t.facts().uart_is_dbg2);
    t.at[0x6000][0] = 'S';  // the SPCR wins
    t.fix();
    CHECK(!t.facts().uart_is_dbg2);
    CHECK(t.facts().uart.address == 0xfe036000);
}

TEST_CASE("a WDAT and the port of PM1 events are found") {
    Tables t;
    store<uint32_t>(t.at[0x4000], 56, 0x600);
    Blob wdat = table("WDAT", 68 + 24);
    wdat[60] = 1;
    store<uint32_t>(wdat, 64, 1);
    wdat[68] = 11, wdat[69] = 2;
    gas(wdat, 72, 1, 16, 2, 0x668);
    t.at[0x7000] = wdat;
    store<uint64_t>(t.at[0x3000], 60, 0x7000);
    t.fix();
    CHECK(t.facts().watchdog.where.address == 0x668);
    CHECK(t.facts().pm1_events == 0x600);
    store<uint32_t>(t.at[0x4000], 112, 1u << 20);
    t.fix();
    CHECK(t.facts().pm1_events == 0);
}
