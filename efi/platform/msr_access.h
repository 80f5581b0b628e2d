// SPDX-License-Identifier: MIT
// Model-specific registers of the core that calls, behind an interface that tests can play. A hypervisor
// may lack what CPUID announces, so every access can fail.
// Must not know: which registers there are.
#pragma once

#include <cstdint>

namespace axiom::efi {

class MsrAccess {
  public:
    // False where this core has no such register; `value` is then as it was.
    virtual bool read(uint32_t msr, uint64_t* value) = 0;
    // False where there is none, or it refuses this value.
    virtual bool write(uint32_t msr, uint64_t value) = 0;

  protected:
    ~MsrAccess() = default;
};

}  // namespace axiom::efi
