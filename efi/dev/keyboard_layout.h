// SPDX-License-Identifier: MIT
// What a keyboard sends, by the layout that its keys are labelled with, as bytes that a terminal sends:
// UTF-8, control characters, escape sequences for the arrows.
// Must not know: how keyboards are spoken to, or what the bytes do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "model/report/options.h"  // Keymap

namespace axiom::efi {

// Keys by the codes of scan code set 1, which PC keyboards have had since the first; kExtended is added
// to those that come after 0xE0.
class KeyboardLayout {
  public:
    explicit KeyboardLayout(Keymap keymap) : keymap_(keymap) {}

    static constexpr uint32_t kExtended = 0x100;
    // What pressing or releasing the key sends, mostly nothing; valid until the next call.
    std::string_view key(uint32_t code, bool pressed);

  private:
    uint32_t character(uint32_t code) const;
    std::string_view type(uint32_t point);
    std::string_view out(uint32_t first, uint32_t second = 0);

    Keymap keymap_;
    bool shift_[2] = {}, control_[2] = {};
    bool alt_gr_ = false, caps_ = false;
    uint32_t dead_ = 0;  // an accent that waits for its letter, as its combining mark
    char bytes_[8] = {};
};

// The bytes of scan code set 1 -> keys.
class ScanCodes {
  public:
    explicit ScanCodes(Keymap keymap) : layout_(keymap) {}
    std::string_view feed(uint8_t byte);

  private:
    KeyboardLayout layout_;
    bool extended_ = false;
    int n_to_skip_ = 0;  // of Pause, the only key after 0xE1
};

}  // namespace axiom::efi
