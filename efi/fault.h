// SPDX-License-Identifier: MIT
// Broken on purpose: what the boot tests break, to see how it is reported. Only in axiom-fault.efi,
// where the sources compiled with AXIOM_TEST_FAULT call it once the machine is ours.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/team.h"

namespace axiom::efi {

// `kind`: null, stack, text, nx or panic on this core; core-null, core-stack or core-panic on the
// last of the team. Does not return from these; any other does nothing.
void provoke_fault(std::string_view kind, Team& team);

// Whether a core is left without its start-up interrupt.
#ifdef AXIOM_TEST_SILENT_CORE
inline bool is_silenced(uint32_t apic_id) {
    return apic_id == AXIOM_TEST_SILENT_CORE;
}
#else
inline bool is_silenced(uint32_t) {
    return false;
}
#endif

}  // namespace axiom::efi
