// SPDX-License-Identifier: MIT
// Broken on purpose: what the boot tests break, to see how it is reported. Only in axiom-fault.efi,
// where main.cpp calls it once the machine is ours.
#pragma once

#include <string_view>

namespace axiom::efi {

// `kind`: null, stack, text, nx or panic. Does not return from these; any other does nothing.
void provoke_fault(std::string_view kind);

}  // namespace axiom::efi
