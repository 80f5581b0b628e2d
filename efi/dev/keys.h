// SPDX-License-Identifier: MIT
// Key presses as a layer-boundary task: Ctrl-C, from the UART or from a PS/2 keyboard, sets the
// flag that generation looks at.
#pragma once

#include <atomic>
#include <cstdint>

#include "efi/dev/serial.h"

namespace axiom::efi {

struct Keys {
    Serial* serial = nullptr;
    std::atomic<bool> interrupted{false};
    bool has_ps2 = false;
    bool control_held = false;

    void init(Serial* uart);
    void poll();
    static void task(void* self, uint64_t) { static_cast<Keys*>(self)->poll(); }
};

}  // namespace axiom::efi
