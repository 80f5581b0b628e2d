// SPDX-License-Identifier: MIT
#include "efi/dev/console.h"

#include "core/fmt.h"

namespace axiom::efi {

void Console::use_serial(Serial* serial) {
    firmware_ = nullptr;
    ring_.init(reinterpret_cast<char*>(memory.address), memory.bytes);
    serial_ = serial;
}

void Console::write_as(std::string_view text, Cell ink) {
    if (screen_ == nullptr) keep(text);
    if (firmware_ != nullptr) return firmware_(firmware_context_, text);
    if (screen_ != nullptr) write_screen(text, ink);
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
    write_screen({said_ + begin, n - begin}, 0);
    write_screen({said_, begin}, 0);
}

void Console::write_screen(std::string_view text, Cell ink) {
    filter_.put(
        text, [&](std::string_view part) { screen_->write(part, ink); },
        [this](size_t n_bytes) {
            screen_->write(Text<80>("(a record of ", n_bytes, " bytes, for machines",
                                    serial_->exists() ? ", is on the serial port)" : ")"),
                           kDim);
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

void Console::drain() {
    if (serial_ == nullptr) return;
    for (int i = 0; i < kBytesPerPoll && (has_unsent_ || ring_.pop(&unsent_)); i++) {
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
