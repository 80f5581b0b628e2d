// SPDX-License-Identifier: MIT
// What a keyboard reports in the HID boot protocol, as bytes that a terminal sends (HID 1.11, appendix B.1
// and C). Such keyboards do not repeat a key that is held, so that happens here.
// Must not know: how reports come, or what the bytes do.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "efi/dev/key_source.h"
#include "efi/dev/keyboard_layout.h"
#include "efi/usb/spec.h"

namespace axiom::efi {

// The key of a usage (HID Usage Tables 1.12, section 10) as KeyboardLayout has it; 0: none that it knows.
uint32_t scan_code_of(uint8_t usage);

class BootKeyboard {
  public:
    static constexpr uint64_t kFirstRepeatNs = 500000000, kRepeatNs = 1000000000 / 30;

    explicit BootKeyboard(Keymap keymap) : layout_(keymap) {}

    // One report, shorter ones as if zeros followed. One that says that too many keys are held changes
    // the modifiers only.
    void report(std::span<const uint8_t> bytes, uint64_t now_ns, const KeySink& sink);
    // The key that is held, once more if it is time: once a call, however long ago the last was.
    void repeat(uint64_t now_ns, const KeySink& sink);

  private:
    static constexpr uint32_t kNKeys = usb::kReportBytes - 2;

    void key(uint8_t usage, bool pressed, const KeySink& sink);
    bool is_held(uint8_t usage) const;

    KeyboardLayout layout_;
    uint8_t modifiers_ = 0;
    uint8_t held_[kNKeys] = {};
    uint8_t repeating_ = 0;  // 0: none
    uint64_t repeat_at_ns_ = 0;
};

}  // namespace axiom::efi
