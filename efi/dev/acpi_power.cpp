// SPDX-License-Identifier: MIT
#include "efi/dev/acpi_power.h"

#include <cstring>

#include "efi/dev/bytes.h"

namespace axiom::efi {
namespace {

constexpr size_t kHeaderBytes = 36;

bool has(ByteView bytes, size_t at, size_t n) {
    return at <= bytes.size() && bytes.size() - at >= n;
}

Register port_of(ByteView fadt, size_t extended_at, size_t old_at, uint8_t bits) {
    const Register extended = generic_address(fadt, extended_at);
    if (extended.address != 0 || !has(fadt, old_at, 4)) return extended;
    const uint32_t port = load<uint32_t>(fadt, old_at);
    if (port == 0 || port > 0xffff) return {};
    return {port, true, bits, uint8_t(bits / 8)};
}

// Takes a constant off the front of `aml`; false where there is none that fits SLP_TYP's three bits.
bool take_constant(ByteView* aml, uint8_t* value) {
    constexpr uint8_t kZero = 0x00, kOne = 0x01, kByte = 0x0a;
    if (aml->empty()) return false;
    const uint8_t op = aml->front();
    const size_t n = op == kByte ? 2 : 1;
    if (aml->size() < n || (op != kZero && op != kOne && op != kByte)) return false;
    *value = (*aml)[n - 1];
    *aml = aml->subspan(n);
    return *value <= 7;
}

// What follows the name; section 20.2.4 has the coding of lengths, which count themselves.
bool take_package(ByteView aml, SleepTypes* out) {
    constexpr uint8_t kPackage = 0x12;
    if (aml.size() < 2 || aml[0] != kPackage) return false;
    aml = aml.subspan(1);
    const size_t n_more = aml[0] >> 6;
    if (aml.size() < 1 + n_more) return false;
    size_t length = n_more == 0 ? aml[0] & 0x3f : aml[0] & 0x0f;
    for (size_t i = 0; i < n_more; i++) length |= size_t{aml[1 + i]} << (4 + 8 * i);
    if (length < 2 + n_more || length > aml.size()) return false;
    aml = aml.first(length).subspan(1 + n_more);
    const uint8_t n_elements = aml[0];
    aml = aml.subspan(1);
    if (n_elements == 0 || !take_constant(&aml, &out->a)) return false;
    out->b = out->a;
    return n_elements == 1 || take_constant(&aml, &out->b);
}

void set_type(const Register& control, uint8_t type, RegisterAccess& registers) {
    constexpr uint32_t kTypeMask = 7 << 10, kEnable = 1 << 13;
    if (control.address == 0) return;
    const uint32_t value = (registers.read(control, 2) & ~(kTypeMask | kEnable)) | uint32_t{type}
                                                                                       << 10;
    registers.write(control, 2, value);
    registers.write(control, 2, value | kEnable);
}

// Sleep types mean something in ACPI mode only, which firmware may not have entered for us.
void enter_acpi_mode(const PowerOff& how, RegisterAccess& registers) {
    constexpr uint32_t kSciEnabled = 1;
    constexpr int kPatienceReads = 1000000;
    if (how.smi_command.address == 0 || how.acpi_enable == 0) return;
    if ((registers.read(how.pm1a_control, 2) & kSciEnabled) != 0) return;
    registers.write(how.smi_command, 1, how.acpi_enable);
    for (int i = 0; i < kPatienceReads; i++)
        if ((registers.read(how.pm1a_control, 2) & kSciEnabled) != 0) return;
}

}  // namespace

Register generic_address(ByteView t, size_t at) {
    if (!has(t, at, 12)) return {};
    const uint8_t space = t[at];  // 0 memory, 1 I/O
    const uint64_t address = load<uint64_t>(t, at + 4);
    if (space > 1 || (space == 1 && address > 0xffff)) return {};
    const uint8_t size_code = t[at + 3];
    const uint8_t access_bytes =
        size_code >= 1 && size_code <= 4 ? uint8_t(1 << (size_code - 1)) : 0;
    return {address, space == 1, t[at + 1], access_bytes};
}

void read_power_off(ByteView t, PowerOff* out) {
    if (!has(t, 112, 4)) return;
    if ((load<uint32_t>(t, 112) >> 20 & 1) != 0) {  // HW_REDUCED_ACPI
        out->sleep_control = generic_address(t, 244);
        return;
    }
    out->pm1a_control = port_of(t, 172, 64, 16);
    out->pm1b_control = port_of(t, 184, 68, 16);
    if (const uint32_t port = load<uint32_t>(t, 48); port != 0 && port <= 0xffff)
        out->smi_command = {port, true, 8, 1};
    out->acpi_enable = t[52];
}

bool find_s5(ByteView aml, SleepTypes* out) {
    constexpr uint8_t kName = 0x08;
    constexpr size_t kNameBytes = 4;
    for (size_t at = kHeaderBytes + 1; has(aml, at, kNameBytes); at++) {
        if (memcmp(aml.data() + at, "_S5_", kNameBytes) != 0) continue;
        const bool is_rooted = aml[at - 1] == '\\';
        if (aml[at - 1 - is_rooted] != kName) continue;
        if (take_package(aml.subspan(at + kNameBytes), out)) return true;
    }
    return false;
}

bool enter_s5(const PowerOff& how, RegisterAccess& registers) {
    if (!how.has_types) return false;
    if (how.sleep_control.address != 0) {
        constexpr uint32_t kEnable = 1 << 5;
        registers.write(how.sleep_control, 1, uint32_t{how.types.a} << 2 | kEnable);
        return true;
    }
    if (how.pm1a_control.address == 0) return false;
    enter_acpi_mode(how, registers);
    set_type(how.pm1a_control, how.types.a, registers);
    set_type(how.pm1b_control, how.types.b, registers);
    return true;
}

}  // namespace axiom::efi
