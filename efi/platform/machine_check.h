// SPDX-License-Identifier: MIT
// A core's machine-check banks: what hardware found wrong, corrected or not (Intel SDM vol. 3B, chapter 16;
// AMD APM vol. 2, chapter 9). Must not know: how registers are read, or who prints.
#pragma once

#include <cstdint>
#include <span>

#include "efi/platform/msr_access.h"

namespace axiom::efi {

struct MachineCheckBank {
    uint32_t number = 0;
    uint64_t status = 0, address = 0,
             misc = 0;  // address and misc 0 unless status says they are valid
    bool has_address = false, has_misc = false;

    bool is_uncorrected() const { return (status >> 61 & 1) != 0; }
    bool has_lost_some() const { return (status >> 62 & 1) != 0; }  // a later error found it full
};

class MachineChecks {
  public:
    static constexpr uint32_t kMaxBanks = 64;

    // `has_banks`: CPUID leaf 1 EDX bits 7 and 14. No banks where the capability cannot be read.
    MachineChecks(bool has_banks, MsrAccess& msrs);
    uint32_t n_banks() const { return n_banks_; }

    // On each core, once: every error is reported from here on, the fatal ones by exception 18.
    void enable();
    // The banks that hold an error, which stay as they are. Returns how many were written to `out`.
    size_t read(std::span<MachineCheckBank> out);
    // Errors that hardware corrected since it was last asked: counted, and their banks cleared.
    // Uncorrected ones stay for read().
    uint64_t take_corrected();

  private:
    bool read_bank(uint32_t i, MachineCheckBank* bank);

    MsrAccess& msrs_;
    uint32_t n_banks_ = 0;
    bool has_control_ = false, counts_ = false;  // MCG_CTL_P, MCG_CMCI_P
};

}  // namespace axiom::efi
