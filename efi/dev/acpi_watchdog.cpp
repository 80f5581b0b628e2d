// SPDX-License-Identifier: MIT
#include "efi/dev/acpi_watchdog.h"

#include "efi/dev/bytes.h"

namespace axiom::efi {
namespace {

unsigned bytes_of(const Register& where) {
    if (where.access_bytes == 1 || where.access_bytes == 2 || where.access_bytes == 4)
        return where.access_bytes;
    return where.bits > 16 ? 4 : where.bits > 8 ? 2 : 1;
}

}  // namespace

WatchdogStop read_wdat(ByteView t) {
    constexpr size_t kFlags = 60, kCount = 64, kFirst = 68, kEntryBytes = 24;
    constexpr uint8_t kSetStopped = 11, kWriteValue = 2, kPreserve = 0x80;
    if (t.size() < kFirst || (t[kFlags] & 1) == 0) return {};
    uint32_t n = load<uint32_t>(t, kCount);
    for (size_t at = kFirst; n > 0 && at + kEntryBytes <= t.size(); n--, at += kEntryBytes) {
        if (t[at] != kSetStopped || (t[at + 1] & 0x7f) != kWriteValue) continue;
        return {generic_address(t, at + 4), (t[at + 1] & kPreserve) != 0,
                load<uint32_t>(t, at + 16), load<uint32_t>(t, at + 20)};
    }
    return {};
}

bool stop_watchdog(const WatchdogStop& stop, RegisterAccess& registers) {
    if (stop.where.address == 0) return false;
    const unsigned n_bytes = bytes_of(stop.where);
    const uint32_t wanted = stop.value & stop.mask;
    const uint32_t rest = stop.keeps_rest ? registers.read(stop.where, n_bytes) & ~stop.mask : 0;
    registers.write(stop.where, n_bytes, rest | wanted);
    return (registers.read(stop.where, n_bytes) & stop.mask) == wanted;
}

}  // namespace axiom::efi
