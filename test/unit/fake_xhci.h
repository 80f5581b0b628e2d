// SPDX-License-Identifier: MIT
// An xHCI controller as software, with devices and hubs on its ports: it checks what the driver tells it,
// reads and writes real memory, and misbehaves as a test wants.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include "efi/usb/host.h"

namespace axiom::efi {

inline void require_usb(bool is_so, const char* what) {
    if (!is_so) throw std::logic_error(what);
}

struct FakeUsbDevice;

// A root port or a hub's, in a hub's terms.
struct FakeUsbPort {
    FakeUsbDevice* device = nullptr;
    bool powered = false, enabled = false;
    uint32_t changes = 0;
    uint64_t reset_until = 0;  // 0: no reset under way

    void attach(FakeUsbDevice* what);
    void start_reset(uint64_t now, uint64_t takes_ns);
    void tick(uint64_t now);
};

struct FakeUsbDevice {
    using Bytes = std::vector<uint8_t>;

    // What it is.
    usb::Speed speed = usb::Speed::full;
    uint8_t max_packet = 8;
    uint8_t device_class = 0;
    Bytes configuration;
    std::vector<FakeUsbPort> ports;  // of a hub, from port 1 on
    // What goes wrong.
    std::set<uint8_t> stalled_requests;
    uint32_t n_failed_addresses = 0;
    bool is_silent = false;
    uint32_t interrupt_error = 0;       // a completion code, once
    std::function<void(Bytes&)> spoil;  // what it answers

    // What has happened to it.
    bool is_addressed = false;
    uint8_t set_configuration = 0, protocol = 1;
    bool idle_set = false;
    uint32_t n_resets = 0;
    std::vector<uint8_t> requests;
    std::deque<Bytes> reports;

    // What a driver has to see to; one that was told nonsense may be wrong.
    bool holds(bool is_so, const char* what) const {
        if (!spoil) require_usb(is_so, what);
        return is_so;
    }

    void be_reset() {
        is_addressed = false;
        set_configuration = 0;
        protocol = 1;
        idle_set = false;
        n_resets++;
        for (FakeUsbPort& port : ports) port.powered = port.enabled = false, port.changes = 0;
    }

    static Bytes interface(uint8_t number, uint8_t c, uint8_t subclass, uint8_t protocol) {
        return {9, 4, number, 0, 1, c, subclass, protocol, 0};
    }
    static Bytes endpoint(uint8_t address, uint16_t packet, uint8_t interval, uint8_t type = 3) {
        return {7, 5, address, type, uint8_t(packet), uint8_t(packet >> 8), interval};
    }
    static Bytes hid() { return {9, 0x21, 0x11, 0x01, 0, 1, 0x22, 63, 0}; }
    static Bytes configuration_of(const std::vector<Bytes>& parts) {
        Bytes all = {9, 2, 0, 0, 1, 1, 0, 0xa0, 50};
        for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
        all[2] = uint8_t(all.size());
        all[3] = uint8_t(all.size() >> 8);
        return all;
    }
    static FakeUsbDevice keyboard(usb::Speed speed = usb::Speed::full, uint8_t max_packet = 8) {
        FakeUsbDevice d;
        d.speed = speed;
        d.max_packet = speed == usb::Speed::high ? 64 : max_packet;
        d.configuration = configuration_of({interface(0, 3, 1, 1), hid(), endpoint(0x81, 8, 10)});
        return d;
    }
    static FakeUsbDevice stick() {
        FakeUsbDevice d;
        d.speed = usb::Speed::high;
        d.max_packet = 64;
        d.configuration = configuration_of(
            {interface(0, 8, 6, 0x50), endpoint(0x81, 512, 0, 2), endpoint(0x02, 512, 0, 2)});
        return d;
    }
    static FakeUsbDevice hub(usb::Speed speed, size_t n_ports) {
        FakeUsbDevice d;
        d.speed = speed;
        d.max_packet = 64;
        d.device_class = 9;
        d.configuration = configuration_of({interface(0, 9, 0, 0), endpoint(0x81, 1, 12)});
        d.ports.resize(n_ports);
        return d;
    }

    // The data it answers with; false: a stall.
    bool answer(const usb::Setup& s, uint64_t now, Bytes* out) {
        requests.push_back(s.request);
        if (spoil) {
            const bool ok = answer_in_order(s, now, out);
            spoil(*out);
            return ok;
        }
        return answer_in_order(s, now, out);
    }

    bool answer_in_order(const usb::Setup& s, uint64_t now, Bytes* out) {
        if (stalled_requests.count(s.request) != 0) return false;
        if (!ports.empty() && (s.type & 0x60) == 0x20) return answer_as_hub(s, now, out);
        switch (s.request) {
            case usb::kGetDescriptor:
                if (s.value >> 8 == 1) {
                    *out = {18,
                            1,
                            0,
                            2,
                            device_class,
                            0,
                            uint8_t(speed == usb::Speed::high),
                            max_packet,
                            0x34,
                            0x12,
                            1,
                            0,
                            0,
                            1,
                            0,
                            0,
                            0,
                            1};
                } else if (s.value >> 8 == 2) {
                    *out = configuration;
                } else {
                    return false;
                }
                return true;
            case usb::kSetConfiguration:
                require_usb(s.type == 0 && is_addressed, "SET_CONFIGURATION of a device");
                set_configuration = uint8_t(s.value);
                return true;
            case usb::kSetProtocol:
                if (!holds(s.type == 0x21 && set_configuration != 0,
                           "SET_PROTOCOL when configured"))
                    return false;
                protocol = uint8_t(s.value);
                return true;
            case usb::kSetIdle:
                require_usb(s.type == 0x21 && s.value == 0, "SET_IDLE for ever");
                idle_set = true;
                return true;
            default:
                return false;
        }
    }

    bool answer_as_hub(const usb::Setup& s, uint64_t now, Bytes* out) {
        if (!holds(set_configuration != 0, "a hub that is configured")) return false;
        if (s.request == usb::kGetDescriptor) {
            *out = {9, 0x29, uint8_t(ports.size()), 0x20, 0, 50, 0, 0, 0xff};  // TT think time 1
            return true;
        }
        if ((s.type & 0x1f) == 0) {
            if (s.request == usb::kGetStatus) *out = {0, 0, 0, 0};
            return true;
        }
        if (!holds((s.type & 0x1f) == 3 && s.index >= 1 && s.index <= ports.size(), "a port"))
            return false;
        FakeUsbPort& port = ports[s.index - 1];
        switch (s.request) {
            case usb::kGetStatus: {
                uint32_t status = port.powered ? 0x100 : 0;
                if (port.powered && port.device != nullptr) {
                    status |= 1 | (port.enabled ? 2 : 0) | (port.reset_until != 0 ? 0x10 : 0);
                    if (port.device->speed == usb::Speed::low) status |= 0x200;
                    if (port.device->speed == usb::Speed::high) status |= 0x400;
                }
                *out = {uint8_t(status), uint8_t(status >> 8), uint8_t(port.changes),
                        uint8_t(port.changes >> 8)};
                return true;
            }
            case usb::kSetFeature:
                if (s.value == 8) {
                    port.powered = true;
                    if (port.device != nullptr) port.changes |= 1;
                } else if (s.value == 4) {
                    port.start_reset(now, 10000000);
                } else {
                    return false;
                }
                return true;
            case usb::kClearFeature:
                require_usb(s.value >= 16 && s.value <= 20, "a change");
                port.changes &= ~(1u << (s.value - 16));
                return true;
            default:
                return false;
        }
    }

    // What its interrupt endpoint has to say.
    bool next_report(Bytes* out) {
        if (!ports.empty()) {
            uint32_t bits = 0;
            for (size_t i = 0; i < ports.size(); i++) {
                if (ports[i].powered && ports[i].changes != 0) bits |= 2u << i;
            }
            *out = {uint8_t(bits)};
            return bits != 0;
        }
        if (reports.empty()) return false;
        *out = reports.front();
        reports.pop_front();
        return true;
    }
};

inline void FakeUsbPort::attach(FakeUsbDevice* what) {
    device = what;
    enabled = false;
    reset_until = 0;
    if (powered) changes |= usb::kChangeConnection;
}
inline void FakeUsbPort::start_reset(uint64_t now, uint64_t takes_ns) {
    require_usb(powered, "a port with power is reset");
    reset_until = now + takes_ns;
    enabled = false;
}
inline void FakeUsbPort::tick(uint64_t now) {
    if (reset_until == 0 || now < reset_until) return;
    reset_until = 0;
    changes |= usb::kChangeReset;
    if (device == nullptr) return;
    enabled = true;
    device->be_reset();
}

class FakeXhci final : public XhciRegisters {
  public:
    // What it is like.
    uint32_t context_bytes = 32, n_ports = 5, n_slots = 32, n_scratchpads = 3, page_code = 0;
    uint32_t first_usb2_port = 1, n_usb2_ports = 4;
    bool has_own_speeds = false;  // 5 full, 6 low, 7 high
    bool has_port_power = true;
    // What goes wrong.
    bool firmware_owns = false, firmware_lets_go = true;
    bool gone = false, never_ready = false, never_halts = false, is_mute = false;
    bool is_forgiving = false;  // of a driver that was told nonsense
    uint32_t error_bits = 0;

    // What it has seen.
    uint64_t now = 1000000000;
    uint32_t n_accesses = 0;
    bool was_cut_off = false, smis_off = false;
    std::vector<usb::TrbType> commands;
    std::vector<uint32_t> tt_of_slot =
        std::vector<uint32_t>(64);  // word 2 of the last address command
    std::vector<uint32_t> speed_of_slot = std::vector<uint32_t>(64);
    std::vector<uint32_t> interval_of_slot = std::vector<uint32_t>(64);
    std::vector<uint32_t> hub_word_of_slot = std::vector<uint32_t>(64);

    FakeXhci() : ports_(256) {}
    FakeUsbPort& root(uint32_t port) { return ports_[port]; }
    bool runs() const { return (command_ & usb::kRun) != 0; }

    void plug(uint32_t port, FakeUsbDevice* device) {
        ports_[port].attach(device);
        say_port(port);
    }

    // As firmware leaves it: running.
    void be_running() { command_ = usb::kRun | usb::kInterrupts; }

    // Time passes, and what is due happens.
    void tick(uint64_t ns) {
        now += ns;
        if (!runs()) return;
        for (uint32_t port = 1; port <= n_ports; port++) {
            const uint32_t before = ports_[port].changes;
            ports_[port].tick(now);
            if (before == 0 && ports_[port].changes != 0) say_port(port);
        }
        for (Slot& slot : slots_) {
            if (slot.device == nullptr || !slot.is_addressed) continue;
            for (FakeUsbPort& port : slot.device->ports) port.tick(now);
        }
        for (uint32_t slot = 1; slot < slots_.size(); slot++) run_interrupts(slot);
    }

    uint32_t read(uint32_t offset) override {
        n_accesses++;
        if (gone) return usb::kGone;
        if (offset >= kOperational && offset < kRuntime)
            return read_operational(offset - kOperational);
        switch (offset) {
            case 0x00:
                return kOperational | 0x0120u << 16;
            case 0x04:
                return n_slots | 1 << 8 | n_ports << 24;
            case 0x08:
                return (n_scratchpads & 31) << 27 | (n_scratchpads >> 5) << 21;
            case 0x0c:
                return 0;
            case 0x10:
                return 1 | (context_bytes == 64 ? 4 : 0) | (has_port_power ? 8 : 0) |
                       kExtended / 4 << 16;
            case 0x14:
                return kDoorbells;
            case 0x18:
                return kRuntime;
            // Legacy support, a protocol of USB 3, one of USB 2.
            case kExtended:
                if (system_owns_ && firmware_lets_go) firmware_owns = false;
                return 1 | 4 << 8 | (firmware_owns ? 1 << 16 : 0) | (system_owns_ ? 1 << 24 : 0);
            case kExtended + 4:
                return smis_off ? 0 : 0xe011;
            case kExtended + 0x10:
                return 2 | 8 << 8 | 3u << 24;
            case kExtended + 0x18:
                return (n_usb2_ports + first_usb2_port) | 1 << 8;
            case kExtended + 0x30:
                return 2 | 2u << 24;
            case kExtended + 0x38:
                return first_usb2_port | n_usb2_ports << 8 | (has_own_speeds ? 3u << 28 : 0);
            case kExtended + 0x40:
                return 5 | 2 << 4 | 12 << 16;
            case kExtended + 0x44:
                return 6 | 1 << 4 | 1500u << 16;
            case kExtended + 0x48:
                return 7 | 2 << 4 | 480u << 16;
            default:
                throw std::logic_error("a register that nobody should read");
        }
    }

    void write(uint32_t offset, uint32_t value) override {
        n_accesses++;
        if (gone) return;
        if (offset == kExtended) {
            system_owns_ = (value & 1 << 24) != 0;
            if ((value & 1 << 16) == 0) firmware_owns = false;
        } else if (offset == kExtended + 4) {
            require_usb((value & 0xe011) == 0, "no more SMIs");
            smis_off = true;
        } else if (offset >= kDoorbells && offset < kDoorbells + 4 * 256) {
            ring_doorbell((offset - kDoorbells) / 4, value);
        } else if (offset >= kRuntime) {
            write_runtime(offset - kRuntime, value);
        } else {
            require_usb(offset >= kOperational, "a register that can be written");
            write_operational(offset - kOperational, value);
        }
    }

    // An event of any content.
    void post_any(uint64_t parameter, uint32_t status, uint32_t control) {
        const uint32_t bits = control & ~(0x3fu << 10 | 1);
        post(usb::TrbType(control >> 10 & 0x3f), parameter, status, bits);
    }

    void cut_off() override { was_cut_off = true; }
    uint64_t now_ns() override { return now += 10000; }

  private:
    static constexpr uint32_t kOperational = 0x40, kRuntime = 0x2000, kDoorbells = 0x3000,
                              kExtended = 0x8000;
    struct Ring {
        usb::Trb* at = nullptr;
        uint32_t cycle = 1;

        // The next entry that is the controller's, nullptr: none.
        usb::Trb* next() {
            for (;;) {
                if (at == nullptr || (at->control & 1) != cycle) return nullptr;
                usb::Trb* const found = at;
                if (usb::type_of(*at) != usb::TrbType::link) {
                    at++;
                    return found;
                }
                if ((at->control & 2) != 0) cycle ^= 1;
                at = reinterpret_cast<usb::Trb*>(at->parameter);
            }
        }
    };
    struct Slot {
        bool enabled = false, is_addressed = false, is_halted = false;
        FakeUsbDevice* device = nullptr;
        FakeUsbPort* port = nullptr;
        uint32_t max_packet = 0, interrupt_id = 0;
        Ring control, interrupts;
    };

    uint32_t speed_id(usb::Speed speed) const { return uint32_t(speed) + (has_own_speeds ? 4 : 0); }

    uint32_t read_operational(uint32_t offset) {
        if (offset >= 0x400) {
            const uint32_t i = (offset - 0x400) / 0x10 + 1;
            require_usb(offset % 0x10 == 0 && i <= n_ports, "a port's register");
            return read_port(i);
        }
        switch (offset) {
            case usb::kCommand:
                return command_;
            case usb::kStatus:
                return (runs() || never_halts ? 0 : usb::kHalted) |
                       (never_ready ? usb::kNotReady : 0) | error_bits;
            case usb::kPageSize:
                return 1u << page_code;
            default:
                throw std::logic_error("an operational register that nobody should read");
        }
    }

    uint32_t read_port(uint32_t i) const {
        const FakeUsbPort& port = ports_[i];
        uint32_t value = port.powered ? usb::kPortPower : 0;
        if (port.powered && port.device != nullptr) {
            value |= usb::kPortConnected | (port.enabled ? usb::kPortEnabled : 0);
            value |= speed_id(port.device->speed) << 10;
        }
        if (port.reset_until != 0) value |= usb::kPortReset;
        if ((port.changes & usb::kChangeConnection) != 0) value |= usb::kPortConnectChange;
        if ((port.changes & usb::kChangeReset) != 0) value |= usb::kPortResetChange;
        return value;
    }

    void write_operational(uint32_t offset, uint32_t value) {
        if (offset >= 0x400) {
            FakeUsbPort& port = ports_[(offset - 0x400) / 0x10 + 1];
            require_usb((value & usb::kPortEnabled) == 0, "no port is turned off");
            if ((value & usb::kPortPower) != 0 && !port.powered) {
                port.powered = true;
                if (port.device != nullptr) port.changes |= usb::kChangeConnection;
            }
            require_usb((value & usb::kPortPower) != 0, "power stays on");
            if ((value & usb::kPortConnectChange) != 0) port.changes &= ~usb::kChangeConnection;
            if ((value & usb::kPortResetChange) != 0) port.changes &= ~usb::kChangeReset;
            if ((value & usb::kPortReset) != 0) port.start_reset(now, 50000000);
            return;
        }
        words_[offset] = value;
        if (offset != usb::kCommand) return;
        if ((value & usb::kReset) != 0) {
            require_usb(!runs(), "it is halted before it is reset");
            command_ = 0;
            for (FakeUsbPort& port : ports_) {
                port.powered = !has_port_power;
                port.enabled = false;
                port.changes = port.powered && port.device != nullptr ? usb::kChangeConnection : 0;
            }
            return;
        }
        if ((value & usb::kRun) != 0 && !runs()) begin();
        command_ = value;
    }

    uint64_t wide(uint32_t offset) { return words_[offset] | uint64_t{words_[offset + 4]} << 32; }

    void begin() {
        const uint32_t n = words_[usb::kConfig];
        require_usb(n >= 1 && n <= n_slots, "slots that it has");
        slots_.assign(n + 1, {});
        table_ = reinterpret_cast<uint64_t*>(wide(usb::kContextTable));
        commands_ring_ = {reinterpret_cast<usb::Trb*>(wide(usb::kCommandRing) & ~uint64_t{63}), 1};
        const uint64_t page = uint64_t{4096} << page_code;
        if (n_scratchpads != 0) {
            const auto* list = reinterpret_cast<const uint64_t*>(table_[0]);
            for (uint32_t i = 0; i < n_scratchpads; i++) {
                require_usb(list[i] != 0 && list[i] % page == 0, "scratchpads on pages");
                memset(reinterpret_cast<void*>(list[i]), 0xcc, page);
            }
        }
        event_at_ = 0;
        event_cycle_ = 1;
    }

    void write_runtime(uint32_t offset, uint32_t value) {
        runtime_[offset] = value;
        const auto pair = [&](uint32_t at) {
            return runtime_[at] | uint64_t{runtime_[at + 4]} << 32;
        };
        if (offset == usb::kInterrupter + usb::kSegmentTable + 4) {
            const auto* segment =
                reinterpret_cast<const usb::Segment*>(pair(usb::kInterrupter + usb::kSegmentTable));
            events_ = reinterpret_cast<usb::Trb*>(segment->address);
            n_events_ = segment->n_trbs;
        }
        if (offset == usb::kInterrupter + usb::kDequeue + 4)
            dequeue_ = pair(usb::kInterrupter + usb::kDequeue) & ~uint64_t{15};
    }

    void post(usb::TrbType type, uint64_t parameter, uint32_t status, uint32_t control) {
        if (is_mute) return;
        usb::Trb& to = events_[event_at_];
        const uint32_t next = (event_at_ + 1) % n_events_;
        require_usb(uint64_t(events_ + next) != dequeue_, "room for an event");
        to = {parameter, status, control | usb::type_bits(type) | event_cycle_};
        event_at_ = next;
        if (next == 0) event_cycle_ ^= 1;
    }

    void say_port(uint32_t port) {
        if (runs()) post(usb::TrbType::port_event, uint64_t{port} << 24, 1u << 24, 0);
    }

    void ring_doorbell(uint32_t slot, uint32_t target) {
        require_usb(runs(), "a doorbell of one that runs");
        if (slot == 0) {
            while (const usb::Trb* trb = commands_ring_.next()) run_command(*trb, trb);
        } else if (target == 1) {
            run_control(slot);
        } else {
            require_usb(slots_[slot].interrupt_id == target, "an endpoint that was added");
            run_interrupts(slot);
        }
    }

    const uint32_t* input(const usb::Trb& trb, uint32_t i) const {
        return reinterpret_cast<const uint32_t*>(trb.parameter + i * context_bytes);
    }
    static Ring ring_of(const uint32_t* endpoint) {
        const uint64_t at = endpoint[2] | uint64_t{endpoint[3]} << 32;
        return {reinterpret_cast<usb::Trb*>(at & ~uint64_t{15}), uint32_t(at & 1)};
    }

    FakeUsbPort* find(uint32_t root_port, uint32_t route) {
        require_usb(root_port >= 1 && root_port <= n_ports, "a root port");
        FakeUsbPort* port = &ports_[root_port];
        for (; route != 0 && port->device != nullptr; route >>= 4) {
            const uint32_t i = route & 15;
            if (i == 0 || i > port->device->ports.size()) return nullptr;
            port = &port->device->ports[i - 1];
        }
        return port;
    }

    void run_command(const usb::Trb& trb, const usb::Trb* where) {
        const usb::TrbType type = usb::type_of(trb);
        commands.push_back(type);
        uint32_t slot = trb.control >> 24, code = 1;
        switch (type) {
            case usb::TrbType::enable_slot:
                for (slot = 1; slot < slots_.size() && slots_[slot].enabled;) slot++;
                if (slot < slots_.size()) {
                    slots_[slot] = {};
                    slots_[slot].enabled = true;
                } else {
                    slot = 0;
                    code = 9;
                }
                break;
            case usb::TrbType::disable_slot:
                slots_[slot] = {};
                break;
            case usb::TrbType::address_device:
                code = address(slot, trb);
                break;
            case usb::TrbType::evaluate_context:
                require_usb(input(trb, 0)[1] == 2, "the control endpoint is meant");
                slots_[slot].max_packet = input(trb, 2)[1] >> 16;
                break;
            case usb::TrbType::configure_endpoint:
                configure(slot, trb);
                break;
            default:
                code = 5;
        }
        post(usb::TrbType::command_event, uint64_t(where), code << 24, slot << 24);
    }

    uint32_t address(uint32_t slot, const usb::Trb& trb) {
        Slot& s = slots_[slot];
        require_usb(s.enabled && table_[slot] != 0 && table_[slot] % 64 == 0,
                    "a slot with a context");
        require_usb(input(trb, 0)[1] == 3, "slot and control endpoint are meant");
        const uint32_t* const words = input(trb, 1);
        FakeUsbPort* const port = find(words[1] >> 16 & 0xff, words[0] & 0xfffff);
        if (port == nullptr || port->device == nullptr || !port->enabled) return 4;
        FakeUsbDevice& device = *port->device;
        const bool is_so = (words[0] >> 20 & 15) == speed_id(device.speed);
        // What a hub has said of its port may have been nonsense.
        if (!is_so) require_usb(is_forgiving, "the speed of the device");
        if (!is_so) return 4;
        require_usb(words[0] >> 27 == 1, "one endpoint");
        if (device.n_failed_addresses > 0) {
            device.n_failed_addresses--;
            return 4;
        }
        tt_of_slot[slot] = words[2];
        speed_of_slot[slot] = words[0] >> 20 & 15;
        const uint32_t* const endpoint = input(trb, 2);
        s.control = ring_of(endpoint);
        s.max_packet = endpoint[1] >> 16;
        s.device = &device;
        s.port = port;
        s.is_addressed = device.is_addressed = true;
        return 1;
    }

    void configure(uint32_t slot, const usb::Trb& trb) {
        Slot& s = slots_[slot];
        const uint32_t added = input(trb, 0)[1];
        const uint32_t* const words = input(trb, 1);
        require_usb((added & 3) == 1, "the slot is meant, its control endpoint is not");
        for (uint32_t id = 2; id < 32; id++) {
            if ((added >> id & 1) == 0) continue;
            const uint32_t* const endpoint = input(trb, 1 + id);
            require_usb((endpoint[1] >> 3 & 7) == 7 && words[0] >> 27 == id,
                        "an interrupt endpoint");
            s.interrupt_id = id;
            s.interrupts = ring_of(endpoint);
            interval_of_slot[slot] = endpoint[0] >> 16 & 0xff;
        }
        if ((words[0] & usb::kIsHub) != 0) hub_word_of_slot[slot] = words[1] >> 24 | words[2] << 8;
    }

    bool is_there(const Slot& s) const {
        return s.device != nullptr && s.port->device == s.device && s.port->enabled;
    }

    void finish_transfer(uint32_t slot, uint32_t id, const usb::Trb* trb, uint32_t code,
                         size_t left) {
        post(usb::TrbType::transfer_event, uint64_t(trb), code << 24 | uint32_t(left),
             slot << 24 | id << 16);
    }

    void run_control(uint32_t slot) {
        Slot& s = slots_[slot];
        require_usb(s.is_addressed, "a slot with an address");
        if (s.is_halted) return;
        const usb::Trb* const setup_trb = s.control.next();
        require_usb(setup_trb != nullptr && usb::type_of(*setup_trb) == usb::TrbType::setup,
                    "a setup");
        usb::Setup setup;
        memcpy(static_cast<void*>(&setup), &setup_trb->parameter, sizeof setup);
        const usb::Trb* data = nullptr;
        const usb::Trb* status = s.control.next();
        if (setup.length != 0) {
            data = status;
            require_usb(usb::type_of(*data) == usb::TrbType::data && data->status == setup.length,
                        "a data stage");
            status = s.control.next();
        }
        require_usb(usb::type_of(*status) == usb::TrbType::status, "a status stage");
        if (!is_there(s)) return finish_transfer(slot, 1, setup_trb, 4, 0);
        if (s.device->is_silent) return;
        std::vector<uint8_t> bytes;
        if (!s.device->answer(setup, now, &bytes)) {
            s.is_halted = true;
            return finish_transfer(slot, 1, data != nullptr ? data : status, 6, setup.length);
        }
        if (data != nullptr) {
            const size_t n = std::min<size_t>(bytes.size(), setup.length);
            // Packets of another size than the slot's are babble.
            if (n > 8 && s.max_packet != s.device->max_packet) {
                s.is_halted = true;
                return finish_transfer(slot, 1, data, 3, setup.length);
            }
            memcpy(reinterpret_cast<void*>(data->parameter), bytes.data(), n);
            if (n < setup.length) finish_transfer(slot, 1, data, 13, setup.length - n);
        }
        finish_transfer(slot, 1, status, 1, 0);
    }

    void run_interrupts(uint32_t slot) {
        Slot& s = slots_[slot];
        if (s.interrupt_id == 0 || s.is_halted || !is_there(s)) return;
        if (s.device->ports.empty() && s.device->set_configuration == 0) return;
        for (;;) {
            Ring ahead = s.interrupts;
            const usb::Trb* const trb = ahead.next();
            if (trb == nullptr) return;
            if (s.device->interrupt_error != 0) {
                s.is_halted = true;
                const uint32_t code = s.device->interrupt_error;
                s.device->interrupt_error = 0;
                return finish_transfer(slot, s.interrupt_id, trb, code, trb->status);
            }
            std::vector<uint8_t> bytes;
            if (!s.device->next_report(&bytes)) return;
            s.interrupts = ahead;
            if (bytes.size() > trb->status) {
                require_usb(is_forgiving, "room for a report");
                s.is_halted = true;
                return finish_transfer(slot, s.interrupt_id, trb, 3, 0);
            }
            memcpy(reinterpret_cast<void*>(trb->parameter), bytes.data(), bytes.size());
            const size_t left = trb->status - bytes.size();
            finish_transfer(slot, s.interrupt_id, trb, left == 0 ? 1 : 13, left);
            if (!s.device->ports.empty()) return;  // the same bits once more are no news
        }
    }

    uint32_t command_ = 0;
    bool system_owns_ = false;
    std::map<uint32_t, uint32_t> words_, runtime_;
    std::vector<FakeUsbPort> ports_;
    std::vector<Slot> slots_;
    uint64_t* table_ = nullptr;
    Ring commands_ring_;
    usb::Trb* events_ = nullptr;
    uint32_t n_events_ = 0, event_at_ = 0, event_cycle_ = 1;
    uint64_t dequeue_ = 0;
};

}  // namespace axiom::efi
