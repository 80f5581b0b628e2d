// SPDX-License-Identifier: MIT
#include "efi/usb/bus.h"

#include <algorithm>
#include <bit>

namespace axiom::efi {

using usb::Completion;
using usb::Setup;
using usb::Speed;

namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kSteadyNs = 100 * kMs;  // of a connection (USB 7.1.7.3)
constexpr uint64_t kResetLookNs = 10 * kMs, kMaxResetNs = 1000 * kMs;
constexpr uint64_t kRecoverNs = 20 * kMs;  // after a reset; 10 ms is the least (USB 7.1.7.5)
constexpr uint64_t kAddressNs = 5 * kMs;   // 2 ms is what a device may take (USB 9.2.6.3)
constexpr uint64_t kControlNs = 3000 * kMs, kCommandNs = 5000 * kMs;
constexpr uint64_t kCheckNs = 250 * kMs;
constexpr uint64_t kSettleNs = 1000 * kMs;  // before nothing at all is believed
constexpr uint8_t kMaxLooks = 12;           // at a port whose changes are cleared one by one

uint32_t two_bytes(const uint8_t* at) {
    return at[0] | uint32_t{at[1]} << 8;
}

}  // namespace

void UsbBus::begin(uint64_t now_ns) {
    for (Ports& ports : ports_) ports = {};
    for (Device& device : devices_) device = {};
    job_ = {};
    operation_ = {};
    begun_ns_ = now_ns;
    next_check_ns_ = now_ns + kCheckNs;
    ports_[0].pending = host_.ports();
    std::fill(std::begin(ports_[0].due_ns), std::end(ports_[0].due_ns), now_ns + kSteadyNs);
}

bool UsbBus::has_keyboard() const {
    return std::any_of(std::begin(devices_), std::end(devices_),
                       [](const Device& d) { return d.kind == Kind::keyboard && !d.is_broken; });
}

bool UsbBus::is_settled(uint64_t now_ns) const {
    if (now_ns < begun_ns_ + kSettleNs || job_.step != Step::none) return false;
    return std::none_of(std::begin(ports_), std::end(ports_),
                        [](const Ports& p) { return p.pending != 0; }) &&
           std::none_of(std::begin(devices_), std::end(devices_),
                        [](const Device& d) { return d.kind == Kind::leaving || d.is_broken; });
}

Status UsbBus::poll(uint64_t now_ns, const KeySink& sink) {
    XhciEvent event;
    for (uint32_t i = 0; i < kMaxEvents && host_.next(&event); i++) take(event, now_ns, sink);
    host_.end_events();
    for (Device& device : devices_) {
        if (device.kind == Kind::keyboard) device.keyboard.repeat(now_ns, sink);
    }
    if (now_ns >= next_check_ns_) {
        next_check_ns_ = now_ns + kCheckNs;
        const Status status = host_.check();
        if (!status.ok()) return status;
    }
    if (job_.step == Step::none) {
        pick(now_ns);
        return {};
    }
    bool done = false;
    const Status status = see_whether_done(now_ns, &done);
    if (done) finish(now_ns);
    return status;
}

// ---- events ----------------------------------------------------------------------------------

void UsbBus::take(const XhciEvent& event, uint64_t now_ns, const KeySink& sink) {
    switch (event.kind) {
        case XhciEvent::Kind::command:
            if (operation_.wait != Wait::command) break;
            operation_ = {.slot = event.slot, .ok = event.code == Completion::success};
            break;
        case XhciEvent::Kind::control:
            if (operation_.wait != Wait::control || operation_.slot != event.slot) break;
            operation_ = {.ok = event.code == Completion::success, .n_bytes = event.n_bytes};
            break;
        case XhciEvent::Kind::interrupt:
            take_interrupt(event, now_ns, sink);
            break;
        case XhciEvent::Kind::port:
            if (event.port <= XhciHost::kMaxPorts)
                ports_[0].pending |= host_.ports() & 1u << event.port;
            break;
        case XhciEvent::Kind::other:
            break;
    }
}

void UsbBus::take_interrupt(const XhciEvent& event, uint64_t now_ns, const KeySink& sink) {
    Device& device = devices_[event.slot];
    if (device.kind != Kind::keyboard && device.kind != Kind::hub) return;
    const bool ok = event.code == Completion::success || event.code == Completion::short_packet;
    if (!ok || event.data == nullptr) {
        device.is_broken = true;
    } else if (device.kind == Kind::keyboard) {
        ports_[device.owner].n_tries[device.port] = 0;
        device.keyboard.report({event.data, event.n_bytes}, now_ns, sink);
        host_.queue_interrupts(event.slot, 1);
    } else {
        // USB 11.12.4: a bit for each port, bit 0 for the hub. It is not asked again before all are done.
        const uint32_t bits = (event.n_bytes > 0 ? event.data[0] : 0u) |
                              (event.n_bytes > 1 ? uint32_t{event.data[1]} << 8 : 0u);
        ports_[event.slot].pending |= bits & ((2u << device.n_ports) - 1);
        device.is_listening = false;
    }
}

Status UsbBus::see_whether_done(uint64_t now_ns, bool* done) {
    *done = operation_.wait == Wait::nothing;
    if (*done || now_ns < operation_.deadline_ns) return {};
    if (operation_.wait == Wait::command) {
        return host_.failed("a command: no answer within ", kCommandNs / kMs, " ms");
    }
    *done = true;
    operation_ = {.ok = operation_.wait == Wait::time};
    return {};
}

// ---- steps -----------------------------------------------------------------------------------

void UsbBus::wait_command(Step step, uint64_t now_ns) {
    job_.step = step;
    operation_ = {.wait = Wait::command, .deadline_ns = now_ns + kCommandNs};
}

void UsbBus::wait_time(Step step, uint64_t until_ns) {
    job_.step = step;
    operation_ = {.wait = Wait::time, .deadline_ns = until_ns};
}

void UsbBus::request(Step step, uint8_t slot, const Setup& setup, uint64_t now_ns) {
    host_.control(slot, setup);
    job_.step = step;
    operation_ = {.wait = Wait::control, .slot = slot, .deadline_ns = now_ns + kControlNs};
}

void UsbBus::get_descriptor(Step step, uint8_t type, uint16_t n_bytes, uint64_t now_ns) {
    const uint8_t from = type == usb::kHubDescriptor ? usb::kGetFromHub : usb::kGetFromDevice;
    request(step, job_.slot,
            {.type = from,
             .request = usb::kGetDescriptor,
             .value = uint16_t(type << 8),
             .length = n_bytes},
            now_ns);
}

// Root ports answer at once, when the step ends.
void UsbBus::ask_port(Step step, uint64_t now_ns) {
    job_.step = step;
    operation_ = {};
    if (job_.owner == 0) return;
    request(step, job_.owner,
            {.type = job_.port == 0 ? usb::kGetFromHub : usb::kGetFromPort,
             .request = usb::kGetStatus,
             .index = job_.port,
             .length = 4},
            now_ns);
}

// All of these changes of a root port, the first one of a hub's.
void UsbBus::clear_port(Step step, uint32_t changes, uint64_t now_ns) {
    job_.step = step;
    operation_ = {};
    if (job_.owner == 0) return host_.clear_changes(job_.port, changes);
    const uint16_t first = job_.port == 0 ? usb::kFeatureHubFirstChange : usb::kFeatureFirstChange;
    request(step, job_.owner,
            {.type = job_.port == 0 ? usb::kSetOnHub : usb::kSetOnPort,
             .request = usb::kClearFeature,
             .value = uint16_t(first + std::countr_zero(changes)),
             .index = job_.port},
            now_ns);
}

// The next job: devices that are gone first, so that their slots are free, then ports, then hubs that
// are to tell their next change.
void UsbBus::pick(uint64_t now_ns) {
    for (uint8_t slot = 1; slot <= XhciHost::kMaxSlots; slot++) {
        Device& device = devices_[slot];
        if (device.is_broken) {
            job_ = {.owner = device.owner, .port = device.port, .slot = slot};
            return fail_port(now_ns);
        }
        if (device.kind != Kind::leaving) continue;
        job_ = {.slot = slot};
        host_.disable_slot(slot);
        return wait_command(Step::disable_slot, now_ns);
    }
    for (uint8_t owner = 0; owner <= XhciHost::kMaxSlots; owner++) {
        if (pick_port(owner, now_ns)) return;
    }
    for (uint8_t slot = 1; slot <= XhciHost::kMaxSlots; slot++) {
        Device& device = devices_[slot];
        if (device.kind != Kind::hub || device.is_listening || ports_[slot].pending != 0) continue;
        device.is_listening = true;
        return host_.queue_interrupts(slot, 1);
    }
}

bool UsbBus::pick_port(uint8_t owner, uint64_t now_ns) {
    Ports& ports = ports_[owner];
    for (uint32_t left = ports.pending; left != 0; left &= left - 1) {
        const uint8_t port = uint8_t(std::countr_zero(left));
        if (now_ns < ports.due_ns[port]) continue;
        ports.pending &= ~(1u << port);
        job_ = {.owner = owner, .port = port};
        ask_port(Step::ask_port, now_ns);
        return true;
    }
    return false;
}

void UsbBus::finish(uint64_t now_ns) {
    // Some keyboards know no SET_IDLE, and need none: they report changes only.
    if (operation_.ok || job_.step == Step::set_idle) {
        if (job_.step <= Step::recover) return finish_port(now_ns);
        if (job_.step < Step::hub_descriptor) return finish_device(now_ns);
        return finish_hub(now_ns);
    }
    if (job_.step == Step::disable_slot) return finish_port(now_ns);
    // What a hub did not answer is the hub's failure, not its port's.
    const bool is_of_port = job_.step <= Step::recover;
    if (!is_of_port) return fail_port(now_ns);
    devices_[job_.owner].is_broken = job_.owner != 0;
    end();
}

void UsbBus::finish_port(uint64_t now_ns) {
    UsbPortState state;
    switch (job_.step) {
        case Step::disable_slot:
            host_.forget(job_.slot);
            devices_[job_.slot] = {};
            return end();
        case Step::ask_port:
            if (read_port(&state)) return look(state, now_ns);
            devices_[job_.owner].is_broken = true;
            return end();
        case Step::clear_change:
            return ask_port(Step::ask_port, now_ns);
        case Step::reset_port:
            return wait_time(Step::await_reset, now_ns + kResetLookNs);
        case Step::await_reset:
            return ask_port(Step::ask_reset, now_ns);
        case Step::ask_reset:
            if (read_port(&state)) return look_at_reset(state, now_ns);
            devices_[job_.owner].is_broken = true;
            return end();
        case Step::clear_reset:
            return wait_time(Step::recover, now_ns + kRecoverNs);
        case Step::recover:
            host_.enable_slot();
            return wait_command(Step::enable_slot, now_ns);
        default:
            return end();
    }
}

// False: a hub's answer was too short.
bool UsbBus::read_port(UsbPortState* state) const {
    if (job_.owner == 0) {
        *state = host_.port(job_.port);
        return true;
    }
    if (operation_.n_bytes < 4) return false;
    const uint8_t* const data = host_.data(job_.owner);
    const uint32_t status = two_bytes(data);
    *state = {.connected = (status & usb::kStatusConnected) != 0,
              .enabled = (status & usb::kStatusEnabled) != 0,
              .resetting = (status & usb::kStatusReset) != 0,
              .changes = two_bytes(data + 2) & usb::kAllChanges,
              .speed = (status & usb::kStatusLowSpeed) != 0    ? Speed::low
                       : (status & usb::kStatusHighSpeed) != 0 ? Speed::high
                                                               : Speed::full};
    return true;
}

void UsbBus::look(const UsbPortState& state, uint64_t now_ns) {
    Ports& ports = ports_[job_.owner];
    const uint8_t port = job_.port;
    if (port != 0 && ((state.changes & usb::kChangeConnection) != 0 || !state.connected)) {
        drop(ports.slot[port]);
        ports.n_tries[port] = 0;
        ports.due_ns[port] = now_ns + kSteadyNs;
    }
    if (state.changes != 0 && ++job_.n_looks <= kMaxLooks) {
        return clear_port(Step::clear_change, state.changes, now_ns);
    }
    const bool is_known = ports.slot[port] != 0;
    const bool is_done = port == 0 || !state.connected || (is_known && state.enabled) ||
                         ports.n_tries[port] >= kMaxTries;
    if (is_done) return end();
    // A device whose port has turned itself off; one that has to be connected a little longer.
    if (is_known || now_ns < ports.due_ns[port]) {
        drop(ports.slot[port]);
        ports.pending |= 1u << port;
        return end();
    }
    ports.n_tries[port]++;
    job_.give_up_ns = now_ns + kMaxResetNs;
    if (job_.owner == 0) {
        host_.reset_port(port);
        return wait_time(Step::await_reset, now_ns + kResetLookNs);
    }
    request(Step::reset_port, job_.owner,
            {.type = usb::kSetOnPort,
             .request = usb::kSetFeature,
             .value = usb::kFeatureReset,
             .index = port},
            now_ns);
}

void UsbBus::look_at_reset(const UsbPortState& state, uint64_t now_ns) {
    if (state.resetting || (state.changes & usb::kChangeReset) == 0) {
        if (now_ns > job_.give_up_ns) return fail_port(now_ns);
        return wait_time(Step::await_reset, now_ns + kResetLookNs);
    }
    // A connection that has changed meanwhile stays to be found.
    const bool is_ready = state.connected && state.enabled && state.speed != Speed::none;
    if (!is_ready || (state.changes & usb::kChangeConnection) != 0) return fail_port(now_ns);
    job_.speed = state.speed;
    clear_port(Step::clear_reset, usb::kChangeReset, now_ns);
}

// ---- a device --------------------------------------------------------------------------------

void UsbBus::finish_device(uint64_t now_ns) {
    switch (job_.step) {
        case Step::enable_slot:
            return take_slot(now_ns);
        case Step::address:
            return wait_time(Step::rest, now_ns + kAddressNs);
        case Step::rest:
            return get_descriptor(Step::device_head, usb::kDeviceDescriptor, usb::kDeviceHeadBytes,
                                  now_ns);
        case Step::device_head:
            return take_device_head(now_ns);
        case Step::max_packet:
            return get_descriptor(Step::configuration_head, usb::kConfigurationDescriptor,
                                  usb::kConfigurationBytes, now_ns);
        case Step::configuration_head: {
            const uint32_t n_bytes = two_bytes(host_.data(job_.slot) + 2);
            if (operation_.n_bytes < usb::kConfigurationBytes) return fail_port(now_ns);
            return get_descriptor(Step::configuration, usb::kConfigurationDescriptor,
                                  uint16_t(std::clamp<uint32_t>(n_bytes, usb::kConfigurationBytes,
                                                                XhciHost::kMaxData)),
                                  now_ns);
        }
        case Step::configuration:
            return take_configuration(now_ns);
        case Step::endpoint:
            return request(Step::set_configuration, job_.slot,
                           {.type = usb::kSetOnDevice,
                            .request = usb::kSetConfiguration,
                            .value = job_.interface.configuration},
                           now_ns);
        case Step::set_configuration:
            if (job_.is_hub) {
                return get_descriptor(Step::hub_descriptor, usb::kHubDescriptor, usb::kHubHeadBytes,
                                      now_ns);
            }
            return request(Step::set_protocol, job_.slot,
                           {.type = usb::kSetOnInterface,
                            .request = usb::kSetProtocol,
                            .value = usb::kBootProtocol,
                            .index = job_.interface.number},
                           now_ns);
        case Step::set_protocol:
            return request(Step::set_idle, job_.slot,
                           {.type = usb::kSetOnInterface,
                            .request = usb::kSetIdle,
                            .index = job_.interface.number},
                           now_ns);
        case Step::set_idle:
            return begin_keyboard();
        default:
            return end();
    }
}

void UsbBus::take_slot(uint64_t now_ns) {
    const uint8_t slot = operation_.slot;
    if (slot == 0 || slot > XhciHost::kMaxSlots || devices_[slot].kind != Kind::none) {
        return fail_port(now_ns);
    }
    job_.slot = slot;
    Device& device = devices_[slot];
    device = {.kind = Kind::unknown, .owner = job_.owner, .port = job_.port};
    ports_[job_.owner].slot[job_.port] = slot;
    UsbRoute& route = device.route;
    route = {.root_port = job_.port, .speed = job_.speed};
    if (job_.owner != 0) {
        const UsbRoute& hub = devices_[job_.owner].route;
        route.root_port = hub.root_port;
        route.depth = uint8_t(hub.depth + 1);
        route.hub_ports = hub.hub_ports | uint32_t{job_.port} << (4 * hub.depth);
        // The hub at which high speed ends translates for all that is behind it (USB 11.14).
        if (job_.speed != Speed::high && hub.speed == Speed::high) {
            route.tt_slot = job_.owner;
            route.tt_port = job_.port;
        } else if (job_.speed != Speed::high) {
            route.tt_slot = hub.tt_slot;
            route.tt_port = hub.tt_port;
        }
    }
    host_.address(slot, route);
    wait_command(Step::address, now_ns);
}

void UsbBus::take_device_head(uint64_t now_ns) {
    const uint8_t* const head = host_.data(job_.slot);
    if (operation_.n_bytes < usb::kDeviceHeadBytes || head[1] != usb::kDeviceDescriptor) {
        return fail_port(now_ns);
    }
    job_.is_hub = head[usb::kDeviceClass] == usb::kHubClass;
    const uint32_t max_packet = head[usb::kDeviceMaxPacket];
    // Only at full speed there is a choice, of powers of two (USB 5.5.3).
    if (job_.speed != Speed::full || max_packet == 8) {
        job_.step = Step::max_packet;
        return finish_device(now_ns);
    }
    if (max_packet != 16 && max_packet != 32 && max_packet != 64) return fail_port(now_ns);
    host_.set_max_packet(job_.slot, max_packet);
    wait_command(Step::max_packet, now_ns);
}

void UsbBus::take_configuration(uint64_t now_ns) {
    const uint32_t n_bytes = std::min(operation_.n_bytes, XhciHost::kMaxData);
    const UsbInterface found = find_interface({host_.data(job_.slot), n_bytes}, job_.is_hub);
    const bool is_too_deep = job_.is_hub && devices_[job_.slot].route.depth >= kMaxDepth;
    if (!found.found || is_too_deep || found.max_packet == 0 ||
        found.max_packet > XhciHost::kMaxPacket) {
        return leave_alone();
    }
    job_.interface = found;
    host_.add_interrupt_in(job_.slot, found.endpoint, found.max_packet, found.interval);
    wait_command(Step::endpoint, now_ns);
}

void UsbBus::begin_keyboard() {
    Device& device = devices_[job_.slot];
    device.kind = Kind::keyboard;
    device.keyboard = BootKeyboard(keymap_);
    host_.queue_interrupts(job_.slot, XhciHost::kInterruptsQueued);
    end();
}

// ---- a hub -----------------------------------------------------------------------------------

void UsbBus::finish_hub(uint64_t now_ns) {
    Device& device = devices_[job_.slot];
    const uint8_t* const data = host_.data(job_.slot);
    switch (job_.step) {
        case Step::hub_descriptor: {
            if (operation_.n_bytes < usb::kHubHeadBytes || data[1] != usb::kHubDescriptor ||
                data[usb::kHubPorts] == 0) {
                return fail_port(now_ns);
            }
            device.n_ports = std::min(data[usb::kHubPorts], kMaxHubPorts);
            job_.power_good_ns = uint64_t{data[usb::kHubPowerGood]} * 2 * kMs;
            const uint8_t think_time = data[usb::kHubCharacteristics] >> 5 & 3;
            host_.be_hub(job_.slot, device.n_ports, think_time);
            return wait_command(Step::be_hub, now_ns);
        }
        case Step::be_hub:
        case Step::hub_power:
            break;
        default:
            return end();
    }
    if (job_.hub_port < device.n_ports) {
        job_.hub_port++;
        return request(Step::hub_power, job_.slot,
                       {.type = usb::kSetOnPort,
                        .request = usb::kSetFeature,
                        .value = usb::kFeaturePower,
                        .index = job_.hub_port},
                       now_ns);
    }
    device.kind = Kind::hub;
    Ports& ports = ports_[job_.slot];
    ports = {};
    ports.pending = (2u << device.n_ports) - 2;
    std::fill(std::begin(ports.due_ns), std::end(ports.due_ns),
              now_ns + job_.power_good_ns + kSteadyNs);
    end();
}

// ---- ends ------------------------------------------------------------------------------------

// What hangs on the job's port did not do as it should: once more, if it has tries left.
void UsbBus::fail_port(uint64_t now_ns) {
    Ports& ports = ports_[job_.owner];
    drop(job_.slot);
    ports.pending |= 1u << job_.port;
    ports.due_ns[job_.port] = now_ns + kSteadyNs;
    end();
}

// Nothing of interest: until it is unplugged.
void UsbBus::leave_alone() {
    ports_[job_.owner].n_tries[job_.port] = kMaxTries;
    drop(job_.slot);
    end();
}

// A device, and all behind it; its slot is given back by a command of its own. Keys that are held are
// forgotten with it.
void UsbBus::drop(uint8_t slot) {
    if (slot == 0) return;
    Device& device = devices_[slot];
    if (device.kind == Kind::hub) {
        for (const uint8_t child : ports_[slot].slot) drop(child);
    }
    ports_[slot] = {};
    ports_[device.owner].slot[device.port] = 0;
    device.kind = Kind::leaving;
    device.is_broken = false;
}

}  // namespace axiom::efi
