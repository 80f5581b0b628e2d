// SPDX-License-Identifier: MIT
#include "efi/dev/firmware_console.h"

#include <efi.h>

namespace axiom::efi {

void FirmwareConsole::write(std::string_view text) {
    auto* out = static_cast<SIMPLE_TEXT_OUTPUT_INTERFACE*>(con_out_);
    CHAR16 units[128];
    size_t n = 0;
    for (const char c : text) {
        uint32_t points[2];
        const size_t n_points = stream_.feed(uint8_t(c), points);
        for (size_t i = 0; i < n_points; i++) {
            if (points[i] == '\n') units[n++] = '\r';
            // The firmware's console is UCS-2: no surrogates.
            units[n++] = CHAR16(points[i] < 0x10000 ? points[i] : 0xfffd);
        }
        if (n + 5 > sizeof units / sizeof units[0]) {
            units[n] = 0;
            out->OutputString(out, units);
            n = 0;
        }
    }
    units[n] = 0;
    if (n > 0) out->OutputString(out, units);
}

}  // namespace axiom::efi
