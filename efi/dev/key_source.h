// SPDX-License-Identifier: MIT
// Keyboards that Keys knows no more of than that they are polled: those behind a bus of their own.
#pragma once

#include <cstdint>
#include <string_view>

namespace axiom::efi {

// Where the bytes of one key go, as a terminal sends them; they are valid during the call.
struct KeySink {
    void (*take)(void* context, std::string_view bytes) = nullptr;
    void* context = nullptr;
};

class KeySource {
  public:
    // What there is to do, without waiting; between two layers, or while nothing else is left to do.
    virtual void poll_keys(uint64_t now_ticks, const KeySink& sink) = 0;
    // A keyboard is attached now.
    virtual bool answers() const = 0;
    // All that was attached has been looked at.
    virtual bool is_settled(uint64_t now_ticks) const = 0;
    // Before the machine is left: the devices fall silent.
    virtual void stop() = 0;

  protected:
    ~KeySource() = default;
};

}  // namespace axiom::efi
