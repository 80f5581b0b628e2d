// SPDX-License-Identifier: MIT
#include "efi/dev/keys.h"

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr char kEndOfText = 0x03;  // what a terminal sends for Ctrl-C
constexpr int kMaxPerPoll = 16;    // a poll ends, even with a device that never stops sending

constexpr Ps2Keyboard::Bus kPorts = {
    .in = [](void*, uint16_t port) { return in8(port); },
    .out = [](void*, uint16_t port, uint8_t value) { out8(port, value); },
    .ticks = [](void*) { return ticks_now(); }};

}  // namespace

Keys::Keys(Serial* serial, bool has_8042, Keymap keymap, const Clock& clock, KeySource* others)
    : serial_(serial),
      others_(others),
      clock_(clock),
      ps2_(kPorts, has_8042, clock.ticks_per_second),
      scan_codes_(keymap) {
    name = "keys";
    queue_.init(queued_, sizeof queued_);
    poll = [](Device& self, uint64_t now_ticks) {
        Keys& keys = static_cast<Keys&>(self);
        keys.read_serial();
        keys.read_ps2(now_ticks);
        keys.read_others(now_ticks);
    };
}

void Keys::start() {
    ps2_.start();
}

bool Keys::has_keyboard() {
    constexpr uint64_t kPatienceSeconds = 3;
    const uint64_t begin = ticks_now();
    while (others_ != nullptr && !ps2_.answers() && !others_->answers()) {
        const uint64_t now = ticks_now();
        if (others_->is_settled(now)) break;
        if (now - begin > kPatienceSeconds * clock_.ticks_per_second) break;
        pause_cpu();
        poll(*this, now);
    }
    return ps2_.answers() || (others_ != nullptr && others_->answers());
}

void Keys::stop() {
    if (others_ != nullptr) others_->stop();
}

void Keys::take(std::string_view bytes) {
    if (bytes != std::string_view(&kEndOfText, 1)) {
        queue_.write(bytes);
        return;
    }
    drop();
    interrupted.store(true, std::memory_order_relaxed);
}

void Keys::drop() {
    char dropped;
    while (queue_.pop(&dropped)) {
    }
    interrupted.store(false, std::memory_order_relaxed);
}

void Keys::forget() {
    poll(*this, ticks_now());
    drop();
}

void Keys::wait() {
    while (queue_.empty() && !interrupted.load(std::memory_order_relaxed)) {
        pause_cpu();
        poll(*this, ticks_now());
    }
}

void Keys::read_serial() {
    char c;
    for (int i = 0; i < kMaxPerPoll && serial_->try_get(&c); i++) take({&c, 1});
}

void Keys::read_ps2(uint64_t now_ticks) {
    uint8_t bytes[Ps2Keyboard::kMaxBytes];
    const int n = ps2_.poll(now_ticks, bytes);
    for (int i = 0; i < n; i++) take(scan_codes_.feed(bytes[i]));
}

void Keys::read_others(uint64_t now_ticks) {
    if (others_ == nullptr) return;
    const auto take_one = [](void* self, std::string_view bytes) {
        static_cast<Keys*>(self)->take(bytes);
    };
    others_->poll_keys(now_ticks, {.take = take_one, .context = this});
}

}  // namespace axiom::efi
