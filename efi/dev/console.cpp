// SPDX-License-Identifier: MIT
#include "efi/dev/console.h"

#include <efi.h>

namespace axiom::efi {

void Console::use_serial(Serial* serial) {
    con_out_ = nullptr;
    ring_.init(reinterpret_cast<char*>(memory.address), memory.bytes);
    serial_ = serial;
}

void Console::write(std::string_view text) {
    if (con_out_ != nullptr) return write_firmware(text);
    if (serial_ == nullptr) return;
    for (const char c : text) {
        if (c == '\n') push('\r');
        push(c);
    }
}

void Console::push(char c) {
    while (ring_.write({&c, 1}) == 0) {
        if (has_unsent_) serial_->put(unsent_), has_unsent_ = false;
        char oldest;
        if (ring_.pop(&oldest)) serial_->put(oldest);
    }
}

void Console::write_firmware(std::string_view text) {
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

void Console::drain() {
    if (serial_ == nullptr) return;
    while (has_unsent_ || ring_.pop(&unsent_)) {
        has_unsent_ = !serial_->try_put(unsent_);
        if (has_unsent_) return;
    }
}

void Console::flush() {
    if (serial_ == nullptr) return;
    if (has_unsent_) serial_->put(unsent_), has_unsent_ = false;
    char c;
    while (ring_.pop(&c)) serial_->put(c);
    serial_->finish();
}

}  // namespace axiom::efi
