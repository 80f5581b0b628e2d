// SPDX-License-Identifier: MIT
#include "efi/usb/boot_keyboard.h"

#include <algorithm>

namespace axiom::efi {
namespace {

constexpr uint8_t kFirstKey = 0x04, kRolloverError = 0x01;
constexpr uint8_t kFirstModifier = 0xe0, kCapsLock = 0x39, kNumLock = 0x53;

constexpr uint16_t e(uint16_t code) {
    return uint16_t(KeyboardLayout::kExtended | code);
}

// From usage 4 on, A; 0 for keys that no layout has.
constexpr uint16_t kScanCodes[] = {
    // A to Z
    0x1e, 0x30, 0x2e, 0x20, 0x12, 0x21, 0x22, 0x23, 0x17, 0x24, 0x25, 0x26, 0x32, 0x31, 0x18, 0x19,
    0x10, 0x13, 0x1f, 0x14, 0x16, 0x2f, 0x11, 0x2d, 0x15, 0x2c,
    // 1 to 0
    0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
    // Enter, Escape, Backspace, Tab, Space, - = [ ] \, that of other boards, ; ' ` , . /, Caps Lock
    0x1c, 0x01, 0x0e, 0x0f, 0x39, 0x0c, 0x0d, 0x1a, 0x1b, 0x2b, 0x2b, 0x27, 0x28, 0x29, 0x33, 0x34,
    0x35, 0x3a,
    // F1 to F12
    0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40, 0x41, 0x42, 0x43, 0x44, 0x57, 0x58,
    // Print Screen, Scroll Lock, Pause, Insert, Home, Page Up, Delete, End, Page Down, right, left, down, up
    e(0x37), 0x46, 0, e(0x52), e(0x47), e(0x49), e(0x53), e(0x4f), e(0x51), e(0x4d), e(0x4b),
    e(0x50), e(0x48),
    // Num Lock, the pad's / * - + Enter, 1 to 9, 0 and the point
    0x45, e(0x35), 0x37, 0x4a, 0x4e, e(0x1c), 0x4f, 0x50, 0x51, 0x4b, 0x4c, 0x4d, 0x47, 0x48, 0x49,
    0x52, 0x53,
    // The key beside the left Shift of European boards, the menu's
    0x56, e(0x5d)};

// Control, Shift, Alt and the logo, left and right: the bits of a report's first byte.
constexpr uint16_t kModifiers[] = {0x1d, 0x2a, 0x38, e(0x5b), e(0x1d), 0x36, e(0x38), e(0x5c)};

}  // namespace

uint32_t scan_code_of(uint8_t usage) {
    constexpr size_t kN = sizeof kScanCodes / sizeof kScanCodes[0];
    if (usage >= kFirstKey && usage < kFirstKey + kN) return kScanCodes[usage - kFirstKey];
    if (usage >= kFirstModifier && usage < kFirstModifier + 8)
        return kModifiers[usage - kFirstModifier];
    return 0;
}

void BootKeyboard::key(uint8_t usage, bool pressed, const KeySink& sink) {
    const uint32_t code = scan_code_of(usage);
    if (code == 0) return;
    const std::string_view bytes = layout_.key(code, pressed);
    if (!bytes.empty()) sink.take(sink.context, bytes);
}

bool BootKeyboard::is_held(uint8_t usage) const {
    return std::find(held_, held_ + kNKeys, usage) != held_ + kNKeys;
}

// Keys that went up, modifiers, then keys that went down: a modifier that comes with a key is meant for it.
void BootKeyboard::report(std::span<const uint8_t> bytes, uint64_t now_ns, const KeySink& sink) {
    uint8_t now[usb::kReportBytes] = {};
    std::copy_n(bytes.data(), std::min(bytes.size(), sizeof now), now);
    const std::span<const uint8_t> keys(now + 2, kNKeys);
    const bool is_error = std::any_of(keys.begin(), keys.end(), [](uint8_t usage) {
        return usage >= kRolloverError && usage < kFirstKey;
    });
    const auto is_down = [&](uint8_t usage) {
        return is_error || std::find(keys.begin(), keys.end(), usage) != keys.end();
    };
    for (const uint8_t usage : held_) {
        if (usage != 0 && !is_down(usage)) key(usage, false, sink);
    }
    for (uint8_t i = 0; i < 8; i++) {
        const bool is = (now[0] >> i & 1) != 0, was = (modifiers_ >> i & 1) != 0;
        if (is != was) key(uint8_t(kFirstModifier + i), is, sink);
    }
    modifiers_ = now[0];
    if (is_error) return;
    for (size_t i = 0; i < kNKeys; i++) {
        const uint8_t usage = keys[i];
        const bool is_twice = std::find(keys.begin(), keys.begin() + i, usage) != keys.begin() + i;
        if (usage == 0 || is_held(usage) || is_twice) continue;
        key(usage, true, sink);
        if (usage == kCapsLock || usage == kNumLock) continue;
        repeating_ = usage;
        repeat_at_ns_ = now_ns + kFirstRepeatNs;
    }
    std::copy(keys.begin(), keys.end(), held_);
    if (!is_held(repeating_)) repeating_ = 0;
}

void BootKeyboard::repeat(uint64_t now_ns, const KeySink& sink) {
    if (repeating_ == 0 || now_ns < repeat_at_ns_) return;
    key(repeating_, true, sink);
    repeat_at_ns_ = now_ns + kRepeatNs;
}

}  // namespace axiom::efi
