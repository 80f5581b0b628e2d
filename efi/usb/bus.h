// SPDX-License-Identifier: MIT
// What hangs on a host controller: ports and hubs are watched, devices get addresses, boot keyboards are
// read, everything else is left alone. One thing at a time, and never waiting: a poll does what has become
// possible.
// Must not know: registers and rings, or what is done with the bytes of keys.
#pragma once

#include <cstdint>

#include "core/status.h"
#include "efi/dev/key_source.h"
#include "efi/usb/boot_keyboard.h"
#include "efi/usb/descriptors.h"
#include "efi/usb/host.h"

namespace axiom::efi {

class UsbBus {
  public:
    // What a poll does at most: events that it takes, and accesses to registers: a doorbell for each event,
    // two to end them, one to see that the controller lives, three for the step that is next.
    static constexpr uint32_t kMaxEvents = 8, kMaxAccesses = kMaxEvents + 2 + 1 + 3;
    // Resets of a port for one device, after which it is left alone until it is unplugged.
    static constexpr uint8_t kMaxTries = 3;
    static constexpr uint8_t kMaxHubPorts = 15;  // a route has 4 bits for each (xHCI 8.9)
    static constexpr uint8_t kMaxDepth = 5;      // hubs below a root port (USB 4.1.1)

    UsbBus(XhciHost& host, Keymap keymap) : host_(host), keymap_(keymap) {}

    // The controller has just been started: nothing is known of what hangs there.
    void begin(uint64_t now_ns);
    // An error is the end of the controller: it is not to be polled again.
    Status poll(uint64_t now_ns, const KeySink& sink);

    bool has_keyboard() const;
    // All that hung there at the start, or was plugged in since, has been looked at.
    bool is_settled(uint64_t now_ns) const;

  private:
    enum class Kind : uint8_t { none, unknown, keyboard, hub, leaving };
    struct Device {
        Kind kind = Kind::none;
        uint8_t owner = 0, port = 0;  // as in Job
        bool is_broken = false;       // a transfer failed: it is taken through a reset again
        UsbRoute route = {};
        uint8_t n_ports = 0;        // of a hub
        bool is_listening = false;  // a hub's next change will be told
        BootKeyboard keyboard{Keymap::us};
    };
    // Bit n is port n; bit 0 a hub itself.
    struct Ports {
        uint32_t pending = 0;
        uint8_t slot[XhciHost::kMaxPorts + 1] = {};  // of the device there; 0: none
        uint8_t n_tries[XhciHost::kMaxPorts + 1] = {};
        uint64_t due_ns[XhciHost::kMaxPorts + 1] = {};  // when it may be looked at
    };
    // Of a port, from what it says to an address for its device; then of the device.
    enum class Step : uint8_t {
        none,
        disable_slot,
        ask_port,
        clear_change,
        reset_port,
        await_reset,
        ask_reset,
        clear_reset,
        recover,
        enable_slot,
        address,
        rest,
        device_head,
        max_packet,
        configuration_head,
        configuration,
        endpoint,
        set_configuration,
        set_protocol,
        set_idle,
        hub_descriptor,
        be_hub,
        hub_power,
    };
    // What is under way. Ports are those of `owner`, a hub's slot; 0: root ports.
    struct Job {
        Step step = Step::none;
        uint8_t owner = 0, port = 0;
        uint8_t slot = 0;  // the device's, once it has one
        uint8_t n_looks = 0;
        uint64_t give_up_ns = 0;
        usb::Speed speed = usb::Speed::none;
        bool is_hub = false;
        UsbInterface interface = {};
        uint8_t hub_port = 0;
        uint64_t power_good_ns = 0;
    };
    enum class Wait : uint8_t { nothing, command, control, time };
    struct Operation {
        Wait wait = Wait::nothing;
        uint8_t slot = 0;  // asked, or that a command has given
        uint64_t deadline_ns = 0;
        bool ok = true;
        uint32_t n_bytes = 0;
    };

    void take(const XhciEvent& event, uint64_t now_ns, const KeySink& sink);
    void take_interrupt(const XhciEvent& event, uint64_t now_ns, const KeySink& sink);
    Status see_whether_done(uint64_t now_ns, bool* done);
    void pick(uint64_t now_ns);
    bool pick_port(uint8_t owner, uint64_t now_ns);
    void finish(uint64_t now_ns);
    void finish_port(uint64_t now_ns);
    void finish_device(uint64_t now_ns);
    void finish_hub(uint64_t now_ns);

    // Each begins a step.
    void end() { job_ = {}; }
    void wait_command(Step step, uint64_t now_ns);
    void wait_time(Step step, uint64_t until_ns);
    void request(Step step, uint8_t slot, const usb::Setup& setup, uint64_t now_ns);
    void ask_port(Step step, uint64_t now_ns);
    void clear_port(Step step, uint32_t changes, uint64_t now_ns);
    void get_descriptor(Step step, uint8_t type, uint16_t n_bytes, uint64_t now_ns);

    bool read_port(UsbPortState* state) const;
    void look(const UsbPortState& state, uint64_t now_ns);
    void look_at_reset(const UsbPortState& state, uint64_t now_ns);
    void take_slot(uint64_t now_ns);
    void take_device_head(uint64_t now_ns);
    void take_configuration(uint64_t now_ns);
    void begin_keyboard();
    void fail_port(uint64_t now_ns);
    void leave_alone();
    void drop(uint8_t slot);

    XhciHost& host_;
    Keymap keymap_;
    Ports ports_[XhciHost::kMaxSlots + 1];  // 0: root ports
    Device devices_[XhciHost::kMaxSlots + 1];
    Job job_;
    Operation operation_;
    uint64_t begun_ns_ = 0, next_check_ns_ = 0;
};

}  // namespace axiom::efi
