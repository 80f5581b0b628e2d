// SPDX-License-Identifier: MIT
#include "efi/dev/console.h"

#include <efi.h>

#include "core/fmt.h"

namespace axiom::efi {

void Console::use_serial(Serial* serial) {
    con_out_ = nullptr;
    ring_.init(reinterpret_cast<char*>(memory.address), memory.bytes);
    serial_ = serial;
}

void Console::write(std::string_view text) {
    if (screen_ == nullptr) keep(text);
    if (con_out_ != nullptr) return write_firmware(text);
    if (screen_ != nullptr) write_screen(text);
    if (serial_ == nullptr) return;
    for (const char c : text) {
        if (c == '\n') push('\r');
        push(c);
    }
}

void Console::use_screen(Screen* screen) {
    const size_t n = n_said_ < sizeof said_ ? n_said_ : sizeof said_;
    const size_t begin = n_said_ % sizeof said_ * (n == sizeof said_);
    screen_ = screen;
    write_screen({said_ + begin, n - begin});
    write_screen({said_, begin});
}

void Console::write_screen(std::string_view text) {
    filter_.put(
        text, [this](std::string_view part) { screen_->write(part); },
        [this](size_t n_bytes) {
            screen_->write(Text<80>("(a record of ", n_bytes, " bytes, for machines",
                                    serial_->exists() ? ", is on the serial port)" : ")"));
        });
}

bool Console::is_on_screen_only() const {
    return screen_ != nullptr && screen_->exists() && !serial_->has_listener();
}

void Console::keep(std::string_view text) {
    for (const char c : text) said_[n_said_++ % sizeof said_] = c;
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
    if (screen_ != nullptr) screen_->draw_all();
    if (serial_ == nullptr) return;
    if (has_unsent_) serial_->put(unsent_), has_unsent_ = false;
    char c;
    while (ring_.pop(&c)) serial_->put(c);
    serial_->finish();
}

}  // namespace axiom::efi
