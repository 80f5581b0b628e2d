// SPDX-License-Identifier: MIT
// Registers of this core that may not exist: an access that faults comes back false. Once this core has
// our interrupt table.
#pragma once

#include "efi/cpu/msr.h"
#include "efi/platform/msr_access.h"

namespace axiom::efi {

class GuardedMsrs final : public MsrAccess {
  public:
    bool read(uint32_t msr, uint64_t* value) override { return axiom_probe_msr(msr, value); }
    bool write(uint32_t msr, uint64_t value) override { return axiom_try_msr(msr, value); }
};

}  // namespace axiom::efi
