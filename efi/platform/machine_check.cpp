// SPDX-License-Identifier: MIT
#include "efi/platform/machine_check.h"

#include <algorithm>

namespace axiom::efi {
namespace {

constexpr uint32_t kCapability = 0x179, kGlobalControl = 0x17b;
constexpr uint64_t kValid = uint64_t{1} << 63, kMiscValid = uint64_t{1} << 59,
                   kAddressValid = uint64_t{1} << 58;

// AMD's newer layout has these as aliases for its first 32 banks.
constexpr uint32_t control_of(uint32_t bank) {
    return 0x400 + 4 * bank;
}
constexpr uint32_t status_of(uint32_t bank) {
    return control_of(bank) + 1;
}

}  // namespace

MachineChecks::MachineChecks(bool has_banks, MsrAccess& msrs) : msrs_(msrs) {
    uint64_t capability = 0;
    if (!has_banks || !msrs.read(kCapability, &capability)) return;
    n_banks_ = std::min(uint32_t(capability & 0xff), kMaxBanks);
    has_control_ = (capability >> 8 & 1) != 0;
    counts_ = (capability >> 10 & 1) != 0;
}

void MachineChecks::enable() {
    constexpr uint64_t kAll = ~uint64_t{0};
    if (n_banks_ == 0) return;
    if (has_control_) msrs_.write(kGlobalControl, kAll);
    for (uint32_t i = 0; i < n_banks_; i++) msrs_.write(control_of(i), kAll);
    // What firmware or an earlier system left is not of this run.
    take_corrected();
}

bool MachineChecks::read_bank(uint32_t i, MachineCheckBank* bank) {
    *bank = {};
    bank->number = i;
    if (!msrs_.read(status_of(i), &bank->status) || (bank->status & kValid) == 0) return false;
    bank->has_address =
        (bank->status & kAddressValid) != 0 && msrs_.read(status_of(i) + 1, &bank->address);
    bank->has_misc = (bank->status & kMiscValid) != 0 && msrs_.read(status_of(i) + 2, &bank->misc);
    return true;
}

size_t MachineChecks::read(std::span<MachineCheckBank> out) {
    size_t n = 0;
    for (uint32_t i = 0; i < n_banks_ && n < out.size(); i++)
        if (read_bank(i, &out[n])) n++;
    return n;
}

uint64_t MachineChecks::take_corrected() {
    uint64_t n = 0;
    for (uint32_t i = 0; i < n_banks_; i++) {
        MachineCheckBank bank;
        if (!read_bank(i, &bank) || bank.is_uncorrected()) continue;
        const uint64_t count = counts_ ? bank.status >> 38 & 0x7fff : 0;
        n += std::max<uint64_t>(count, 1);
        msrs_.write(status_of(i), 0);
    }
    return n;
}

}  // namespace axiom::efi
