// SPDX-License-Identifier: MIT
// The keyboards on the USB host controllers of this machine: its devices, and a source of keys.
// Must not know: how controllers were found, or what keys do.
#pragma once

#include <atomic>
#include <span>

#include "core/clock.h"
#include "efi/dev/device.h"
#include "efi/dev/key_source.h"
#include "efi/pci/pci.h"
#include "efi/usb/bus.h"
#include "efi/usb/host.h"

namespace axiom::efi {

// What there is to know of a controller before the exit. Without registers: there is none.
struct XhciPlace {
    PciAddress where;
    uint64_t config_page = 0;  // 0: by ports
    uint64_t registers = 0;    // BAR0
    usb::Capabilities cap;
};

// With Intel's 7 and 8 series (2012 to 2014) the ports of USB 2 are at an older controller until they are
// switched over to this one: all of those that can be.
void claim_intel_ports(PciFunction& xhci);

// One controller with its registers and its memory.
class UsbController final : public Device, private XhciRegisters {
  public:
    UsbController(const XhciPlace& place, const Clock& clock, Keymap keymap);
    bool exists() const { return base_ != 0; }
    // It was started and has not failed since.
    bool works() const { return works_; }
    std::string_view full_name() const { return full_name_.view(); }
    uint32_t n_ports() const { return host_.n_ports(); }

    // As often as wanted: whatever it was doing is forgotten. Waits, at most 4 s.
    Status start();
    // While it works. After an error it no longer does, and reads and writes no memory.
    Status poll_bus(uint64_t now_ns, const KeySink& sink);
    void stop();
    bool has_keyboard() const { return works_ && bus_.has_keyboard(); }
    bool is_settled(uint64_t now_ns) const { return !works_ || bus_.is_settled(now_ns); }

  private:
    uint32_t read(uint32_t offset) override;
    void write(uint32_t offset, uint32_t value) override;
    void cut_off() override { function_.set_command(false); }
    uint64_t now_ns() override { return clock_.ns(ticks_now()); }

    Text<32> full_name_;
    uint64_t base_;
    Clock clock_;
    PciFunction function_;
    XhciHost host_;
    UsbBus bus_;
    bool works_ = false;
};

class UsbKeyboards final : public KeySource {
  public:
    static constexpr size_t kMaxControllers = 4;
    using Places = std::span<const XhciPlace, kMaxControllers>;
    // Where a controller that fails is named, a line for people.
    struct Notes {
        void (*write)(void* context, std::string_view text) = nullptr;
        void* context = nullptr;
    };

    UsbKeyboards(Places places, const Clock& clock, Keymap keymap, const Notes& notes);
    std::span<UsbController, kMaxControllers> controllers() { return controllers_; }
    bool exists() const { return controllers_[0].exists(); }

    // After the exit, once registers are mapped and before the firmware's memory is used for something
    // else: controllers might still write there. Waits, at most 4 s for each. Without this call all of
    // them are left alone.
    void start();

    // Every millisecond at most. What it does is bounded for each controller, see UsbBus::kMaxAccesses.
    void poll_keys(uint64_t now_ticks, const KeySink& sink) override;
    bool answers() const override;
    bool is_settled(uint64_t now_ticks) const override;
    void stop() override;

  private:
    void start_all();
    void note(const Status& status) const;

    UsbController controllers_[kMaxControllers];
    Clock clock_;
    Notes notes_;
    bool is_started_ = false;
    // While controllers are being polled or started. Set when one of these begins: a crash has cut the
    // last one off, and nothing is known of what it has left.
    std::atomic<bool> is_at_work_{false};
    uint64_t next_ticks_ = 0;
};

}  // namespace axiom::efi
