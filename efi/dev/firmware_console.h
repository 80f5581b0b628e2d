// SPDX-License-Identifier: MIT
// Text to the firmware's own console, while there is a firmware.
// Must not know: what is said.
#pragma once

#include <string_view>

#include "efi/dev/text.h"

namespace axiom::efi {

class FirmwareConsole {
  public:
    // `con_out`: an EFI_SIMPLE_TEXT_OUTPUT_PROTOCOL.
    void init(void* con_out) { con_out_ = con_out; }
    // UTF-8 with '\n', in pieces of any size; the protocol speaks UCS-2 and wants '\r', too (UEFI 2.10
    // section 12.4).
    void write(std::string_view text);

    static void sink(void* self, std::string_view text) {
        static_cast<FirmwareConsole*>(self)->write(text);
    }

  private:
    void* con_out_ = nullptr;
    Utf8Stream stream_;
};

}  // namespace axiom::efi
