// SPDX-License-Identifier: MIT
#include "efi/usb/host.h"

#include <algorithm>
#include <cstring>

namespace axiom::efi {

using usb::Capabilities;
using usb::Completion;
using usb::Setup;
using usb::Speed;
using usb::Trb;
using usb::TrbType;

namespace {

constexpr uint64_t kMs = 1000000;
constexpr uint64_t kHandOffNs = 1000 * kMs;  // xHCI 4.22.1: a second
constexpr uint64_t kHaltNs = 100 * kMs;      // xHCI 5.4.1.1: 16 ms
constexpr uint64_t kResetNs = 1000 * kMs;
// Some controllers may not be touched right after they were told to reset.
constexpr uint64_t kResetRestNs = kMs;
constexpr uint32_t kMaxRegisterBytes = 1 << 20;

// Memory behind the scratchpad buffers, in pages of 4 KiB, which nothing here may cross (xHCI table 6-1).
enum Page : uint32_t { kTables, kEventRing, kInput, kScratchpads, kSlotPages = kScratchpads + 2 };
constexpr uint32_t kPage = 4096, kPagesPerSlot = 2;
// Inside them.
constexpr uint32_t kSegmentAt = 512, kCommandRingAt = 1024;
constexpr uint32_t kControlRingAt = 2048, kInterruptRingAt = 3072, kReportsAt = 2048;
constexpr uint32_t kNCommands = 16, kNEvents = kPage / sizeof(Trb), kNControl = 32;
constexpr uint32_t kNInterrupts = 2 * XhciHost::kInterruptsQueued + 1;  // one is the link
static_assert((XhciHost::kMaxSlots + 1) * sizeof(uint64_t) <= kSegmentAt);
static_assert(kReportsAt + XhciHost::kInterruptsQueued * XhciHost::kMaxPacket <= kPage);

// A root port's changes, and what a hub calls them.
struct PortChange {
    uint32_t ours, hub;
};
constexpr PortChange kPortChanges[] = {{usb::kPortConnectChange, usb::kChangeConnection},
                                       {usb::kPortEnableChange, usb::kChangeEnable},
                                       {usb::kPortLinkChange, usb::kChangeSuspend},
                                       {usb::kPortOverCurrentChange, usb::kChangeOverCurrent},
                                       {usb::kPortResetChange, usb::kChangeReset}};

}  // namespace

Result<Capabilities> read_capabilities(uint32_t (*read)(void* context, uint32_t offset),
                                       void* context, std::string_view name) {
    Capabilities cap;
    for (uint32_t i = 0; i < Capabilities::kNWords; i++) cap.words[i] = read(context, 4 * i);
    const auto unsupported = [&](std::string_view what, uint64_t found, std::string_view allowed) {
        return error(Code::unsupported, name, ": ", what, ": found ", Hex{found}, ", allowed ",
                     allowed);
    };
    if (cap.words[0] == usb::kGone) return error(Code::io, name, ": it does not answer");
    if (cap.operational() < 0x20) return unsupported("CAPLENGTH", cap.operational(), "from 0x20");
    if (cap.n_ports() == 0 || cap.n_slots() == 0) {
        return unsupported("HCSPARAMS1", cap.words[1], "some ports and slots");
    }
    for (const uint32_t offset : {cap.doorbells(), cap.runtime(), cap.extended()}) {
        if (offset >= kMaxRegisterBytes - kPage) {
            return unsupported("an offset of registers", offset, "below 0xff000");
        }
    }
    cap.page_sizes = read(context, cap.operational() + usb::kPageSize);
    if ((cap.page_sizes & 0x1f) == 0) return unsupported("PAGESIZE", cap.page_sizes, "to 64 KiB");
    uint32_t end = std::max({cap.operational() + usb::port_register(cap.n_ports() + 1),
                             cap.doorbells() + 4 * (XhciHost::kMaxSlots + 1),
                             cap.runtime() + usb::kInterrupter + usb::kInterrupterBytes});
    uint32_t at = cap.extended();
    for (uint32_t i = 0; i < usb::kMaxExtended && at != 0 && at < kMaxRegisterBytes - kPage; i++) {
        const uint32_t word = read(context, at);
        if (word == usb::kGone) break;
        end = std::max(end, at + usb::kExtendedBytes);
        const uint32_t next = word >> 8 & 0xff;
        at = next == 0 ? 0 : at + 4 * next;
    }
    cap.register_bytes = end;
    return cap;
}

uint64_t XhciHost::memory_bytes(const Capabilities& cap) {
    return uint64_t{cap.n_scratchpads()} * cap.page_bytes() +
           (kSlotPages + kPagesPerSlot * kMaxSlots) * kPage;
}

void XhciHost::write_wide(uint32_t offset, const void* address, uint32_t flags) {
    const uint64_t value = uint64_t(address) | flags;
    registers_.write(offset, uint32_t(value));
    registers_.write(offset + 4, uint32_t(value >> 32));
}

Status XhciHost::wait_for(uint32_t mask, uint32_t wanted, uint32_t offset, uint64_t timeout_ns,
                          std::string_view what) const {
    const uint64_t begin = registers_.now_ns();
    for (;;) {
        const uint32_t value = read(offset);
        if (value == usb::kGone) return failed("the controller does not answer");
        if ((value & mask) == wanted) return {};
        if (registers_.now_ns() - begin > timeout_ns) {
            return failed(what, ": found ", Hex{value}, " for ", timeout_ns / kMs, " ms");
        }
    }
}

// ---- start and end ---------------------------------------------------------------------------

// use(where, its first word) for each extended capability, as far as registers are mapped.
template <class Use>
void XhciHost::each_extended(Use use) const {
    uint32_t at = cap_.extended();
    for (uint32_t i = 0; i < usb::kMaxExtended && at != 0; i++) {
        if (at + usb::kExtendedBytes > cap_.register_bytes) return;
        const uint32_t word = registers_.read(at);
        if (word == usb::kGone) return;
        use(at, word);
        const uint32_t next = word >> 8 & 0xff;
        at = next == 0 ? 0 : at + 4 * next;
    }
}

// xHCI 4.22.1. Firmware that does not let go loses the controller all the same.
void XhciHost::take_from_firmware(uint32_t at) {
    const uint32_t word = registers_.read(at);
    if ((word & usb::kFirmwareOwns) != 0) {
        registers_.write(at, word | usb::kSystemOwns);
        const uint64_t begin = registers_.now_ns();
        while ((registers_.read(at) & usb::kFirmwareOwns) != 0) {
            if (registers_.now_ns() - begin <= kHandOffNs) continue;
            registers_.write(at, (word & ~usb::kFirmwareOwns) | usb::kSystemOwns);
            break;
        }
    }
    // No event of it enters system management mode any more.
    const uint32_t control = registers_.read(at + usb::kLegacyControl);
    registers_.write(at + usb::kLegacyControl, (control & usb::kLegacyKept) | usb::kLegacyEvents);
}

Status XhciHost::reset() {
    runs_ = false;
    if (registers_.read(0) == usb::kGone) return failed("the controller does not answer");
    each_extended([this](uint32_t at, uint32_t word) {
        if ((word & 0xff) == usb::kLegacySupport) take_from_firmware(at);
    });
    constexpr std::string_view kReady = "USBSTS, not ready (CNR)";
    Status status = wait_for(usb::kNotReady, 0, usb::kStatus, kResetNs, kReady);
    if (!status.ok()) return status;
    constexpr uint32_t kOff =
        usb::kRun | usb::kInterrupts | usb::kErrorInterrupts | usb::kWrapEvent;
    write(usb::kCommand, read(usb::kCommand) & ~kOff);
    status = wait_for(usb::kHalted, usb::kHalted, usb::kStatus, kHaltNs, "USBSTS, running");
    if (!status.ok()) return status;
    write(usb::kCommand, usb::kReset);
    for (const uint64_t begin = registers_.now_ns(); registers_.now_ns() - begin < kResetRestNs;) {
    }
    status = wait_for(usb::kReset, 0, usb::kCommand, kResetNs, "USBCMD, in reset");
    if (!status.ok()) return status;
    return wait_for(usb::kNotReady, 0, usb::kStatus, kResetNs, kReady);
}

void XhciHost::lay_out(uint8_t* memory) {
    memset(memory, 0, memory_bytes(cap_));
    const uint64_t n_scratchpads = cap_.n_scratchpads();
    uint8_t* const pages = memory + n_scratchpads * cap_.page_bytes();
    const auto ring = [](uint8_t* at, uint32_t n) {
        return Ring{.trbs = reinterpret_cast<Trb*>(at), .n = n};
    };
    contexts_ = reinterpret_cast<uint64_t*>(pages + kTables * kPage);
    segment_ = reinterpret_cast<usb::Segment*>(pages + kTables * kPage + kSegmentAt);
    commands_ = ring(pages + kTables * kPage + kCommandRingAt, kNCommands);
    events_ = ring(pages + kEventRing * kPage, kNEvents);
    *segment_ = {.address = uint64_t(events_.trbs), .n_trbs = kNEvents};
    input_ = pages + kInput * kPage;
    slot_memory_ = pages + kSlotPages * kPage;
    has_taken_ = false;
    for (uint8_t slot = 0; slot <= kMaxSlots; slot++) slots_[slot] = {};
    // xHCI 6.6: where the controller keeps what is its own.
    auto* const scratchpads = reinterpret_cast<uint64_t*>(pages + kScratchpads * kPage);
    for (uint64_t i = 0; i < n_scratchpads; i++) {
        scratchpads[i] = uint64_t(memory + i * cap_.page_bytes());
    }
    if (n_scratchpads != 0) contexts_[0] = uint64_t(scratchpads);
}

// xHCI 7.2: which ports are of USB 2, and what their speeds are called.
void XhciHost::read_protocol(uint32_t at) {
    const uint32_t ports = registers_.read(at + 8);
    const uint32_t first = ports & 0xff, n = ports >> 8 & 0xff, n_speeds = ports >> 28;
    for (uint32_t port = std::max(first, 1u);
         port < first + n && port <= std::min<uint32_t>(kMaxPorts, cap_.n_ports()); port++) {
        ports_ |= 1u << port;
    }
    for (uint32_t i = 0; i < n_speeds; i++) {
        const uint32_t speed = registers_.read(at + 0x10 + 4 * i);
        uint64_t bits_per_second = speed >> 16;
        for (uint32_t exponent = speed >> 4 & 3; exponent > 0; exponent--) bits_per_second *= 1000;
        const Speed known = bits_per_second == 1500000     ? Speed::low
                            : bits_per_second == 12000000  ? Speed::full
                            : bits_per_second == 480000000 ? Speed::high
                                                           : Speed::none;
        speeds_[speed & 0xf] = known;
        if (known != Speed::none) speed_ids_[uint8_t(known)] = uint8_t(speed & 0xf);
    }
}

// xHCI 4.2.
Status XhciHost::start(uint8_t* memory) {
    lay_out(memory);
    ports_ = 0;
    each_extended([this](uint32_t at, uint32_t word) {
        if ((word & 0xff) == usb::kSupportedProtocol && word >> 24 == 2) read_protocol(at);
    });
    const uint32_t interrupter = cap_.runtime() + usb::kInterrupter;
    write(usb::kConfig, std::min<uint32_t>(kMaxSlots, cap_.n_slots()));
    write(usb::kNotifications, 0);
    write_wide(cap_.operational() + usb::kContextTable, contexts_, 0);
    write_wide(cap_.operational() + usb::kCommandRing, commands_.trbs, usb::kRingCycle);
    registers_.write(interrupter + usb::kManagement, 0);
    registers_.write(interrupter + usb::kSegments, 1);
    write_wide(interrupter + usb::kDequeue, events_.trbs, usb::kHandlerBusy);
    write_wide(interrupter + usb::kSegmentTable, segment_, 0);
    write(usb::kCommand, usb::kRun);
    const Status status = wait_for(usb::kHalted, 0, usb::kStatus, kHaltNs, "USBSTS, halted");
    if (!status.ok()) return status;
    runs_ = true;
    for (uint8_t port = 1; cap_.has_port_power() && port <= kMaxPorts; port++) {
        if ((ports_ >> port & 1) == 0) continue;
        const uint32_t value = read(usb::port_register(port));
        if ((value & usb::kPortPower) != 0) continue;
        write(usb::port_register(port), (value & usb::kPortKept) | usb::kPortPower);
    }
    return {};
}

void XhciHost::stop() {
    if (!runs_) return;
    runs_ = false;
    const uint32_t value = read(usb::kCommand);
    if (value == usb::kGone) return;
    write(usb::kCommand, value & ~usb::kRun);
    const Status halted =
        wait_for(usb::kHalted, usb::kHalted, usb::kStatus, kHaltNs, "USBSTS, running");
    if (!halted.ok()) registers_.cut_off();
}

Status XhciHost::check() const {
    const uint32_t status = read(usb::kStatus);
    if (status == usb::kGone) return failed("the controller does not answer any more");
    if ((status & (usb::kSystemError | usb::kControllerError | usb::kHalted)) == 0) return {};
    return failed("host controller error (USBSTS ", Hex{status}, ")");
}

// ---- root ports ------------------------------------------------------------------------------

uint32_t XhciHost::n_ports() const {
    uint32_t n = 0;
    for (uint32_t left = ports_; left != 0; left &= left - 1) n++;
    return n;
}

UsbPortState XhciHost::port(uint8_t port) const {
    const uint32_t value = read(usb::port_register(port));
    UsbPortState state{.connected = (value & usb::kPortConnected) != 0,
                       .enabled = (value & usb::kPortEnabled) != 0,
                       .resetting = (value & usb::kPortReset) != 0,
                       .changes = 0,
                       .speed = speeds_[usb::port_speed(value)]};
    for (const PortChange& change : kPortChanges) {
        if ((value & change.ours) != 0) state.changes |= change.hub;
    }
    return state;
}

// A written 1 of kPortEnabled would turn the port off.
void XhciHost::clear_changes(uint8_t port, uint32_t changes) {
    const uint32_t at = usb::port_register(port);
    uint32_t value = read(at) & usb::kPortKept;
    for (const PortChange& change : kPortChanges) {
        if ((changes & change.hub) != 0) value |= change.ours;
    }
    write(at, value);
}

void XhciHost::reset_port(uint8_t port) {
    const uint32_t at = usb::port_register(port);
    write(at, (read(at) & usb::kPortKept) | usb::kPortReset);
}

// ---- rings -----------------------------------------------------------------------------------

// Hands the controller one more entry, and at a ring's end the link to its begin (xHCI 4.9.2).
const Trb* XhciHost::put(Ring& ring, Trb trb) {
    const auto hand_over = [&](const Trb& entry) {
        Trb& to = ring.trbs[ring.at++];
        to.parameter = entry.parameter;
        to.status = entry.status;
        __atomic_store_n(&to.control, entry.control | ring.cycle, __ATOMIC_RELEASE);
        return &to;
    };
    const Trb* const at = hand_over(trb);
    if (ring.at + 1 == ring.n) {
        hand_over({.parameter = uint64_t(ring.trbs),
                   .control = usb::type_bits(TrbType::link) | usb::kToggleCycle});
        ring.at = 0;
        ring.cycle ^= 1;
    }
    return at;
}

// The entries are in memory before the doorbell rings; on x86 that takes no instruction.
void XhciHost::ring_doorbell(uint32_t slot, uint32_t target) {
    registers_.write(cap_.doorbells() + 4 * slot, target);
}

void XhciHost::command(TrbType type, uint32_t bits, const void* context) {
    put(commands_, {.parameter = uint64_t(context), .control = usb::type_bits(type) | bits});
    ring_doorbell(0, 0);
}

bool XhciHost::next(XhciEvent* event) {
    Trb& from = events_.trbs[events_.at];
    Trb trb;
    trb.control = __atomic_load_n(&from.control, __ATOMIC_ACQUIRE);
    if ((trb.control & usb::kCycle) != events_.cycle) return false;
    trb.parameter = from.parameter;
    trb.status = from.status;
    if (++events_.at == events_.n) events_.at = 0, events_.cycle ^= 1;
    has_taken_ = true;
    *event = {.code = Completion(trb.status >> 24), .slot = uint8_t(trb.control >> 24)};
    switch (usb::type_of(trb)) {
        case TrbType::command_event:
            event->kind = XhciEvent::Kind::command;
            break;
        case TrbType::port_event:
            event->kind = XhciEvent::Kind::port;
            event->port = uint8_t(trb.parameter >> 24);
            break;
        case TrbType::transfer_event:
            take_transfer(trb, event);
            break;
        default:
            break;
    }
    return true;
}

// xHCI 6.4.2.1. Addresses of entries come from the controller: they are compared, never followed.
void XhciHost::take_transfer(const Trb& trb, XhciEvent* event) {
    if (event->slot == 0 || event->slot > kMaxSlots || !slots_[event->slot].used) return;
    Slot& slot = slots_[event->slot];
    const uint32_t id = trb.control >> 16 & 0x1f, left = trb.status & 0xffffff;
    if (id == usb::kControlEndpointId) {
        const bool is_data = trb.parameter == uint64_t(slot.data_trb);
        if (is_data) slot.data_left = std::min(left, slot.data_wanted);
        // The status stage is still to come.
        if (is_data && event->code == Completion::short_packet) return;
        if (event->code == Completion::success && trb.parameter != uint64_t(slot.status_trb))
            return;
        event->kind = XhciEvent::Kind::control;
        event->n_bytes = slot.data_wanted - slot.data_left;
    } else if (id == slot.interrupt_id) {
        event->kind = XhciEvent::Kind::interrupt;
        const uint64_t at = trb.parameter - uint64_t(slot.interrupts.trbs);
        if (at % sizeof(Trb) != 0 || at / sizeof(Trb) + 1 >= kNInterrupts) return;
        event->data = slot.reports + at / sizeof(Trb) % kInterruptsQueued * kMaxPacket;
        event->n_bytes = slot.packet_bytes - std::min(left, slot.packet_bytes);
    }
}

void XhciHost::end_events() {
    if (!has_taken_) return;
    has_taken_ = false;
    write_wide(cap_.runtime() + usb::kInterrupter + usb::kDequeue, events_.trbs + events_.at,
               usb::kHandlerBusy);
}

// ---- slots -----------------------------------------------------------------------------------

// Word 0 of one context of the input context (xHCI 6.2.5): 0 says what is meant, 1 is the slot's, then
// those of the endpoints by their ids.
uint32_t* XhciHost::input(uint32_t i) {
    return reinterpret_cast<uint32_t*>(input_ + i * cap_.context_bytes());
}

// An input context with the slot's own.
void XhciHost::begin_input(const Slot& slot, uint32_t added) {
    memset(input_, 0, kPage);
    input(0)[1] = added;
    const UsbRoute& route = slot.route;
    const uint32_t last = std::max<uint32_t>(slot.interrupt_id, usb::kControlEndpointId);
    uint32_t* const words = input(1);
    words[0] = route.hub_ports | uint32_t{speed_ids_[uint8_t(route.speed)]} << 20 |
               (slot.n_hub_ports != 0 ? usb::kIsHub : 0) | last << 27;
    words[1] = uint32_t{route.root_port} << 16 | uint32_t{slot.n_hub_ports} << 24;
    words[2] =
        uint32_t{route.tt_slot} | uint32_t{route.tt_port} << 8 | uint32_t{slot.think_time} << 16;
}

void XhciHost::fill_endpoint(uint32_t id, uint32_t type, uint32_t max_packet, uint32_t interval,
                             const Ring& ring) {
    uint32_t* const words = input(1 + id);
    const uint64_t dequeue = uint64_t(ring.trbs) | usb::kCycle;
    const bool is_periodic = type == usb::kInterruptIn;
    words[0] = interval << 16;
    words[1] = usb::kThreeTries | type << 3 | max_packet << 16;
    words[2] = uint32_t(dequeue);
    words[3] = uint32_t(dequeue >> 32);
    // Average length, and the most in an interval (xHCI 4.14.1.1, 4.14.2).
    words[4] = is_periodic ? max_packet | max_packet << 16 : 8;
}

void XhciHost::enable_slot() {
    command(TrbType::enable_slot, 0);
}

void XhciHost::disable_slot(uint8_t slot) {
    command(TrbType::disable_slot, uint32_t{slot} << 24);
}

void XhciHost::forget(uint8_t slot) {
    contexts_[slot] = 0;
    slots_[slot] = {};
}

void XhciHost::address(uint8_t slot, const UsbRoute& route) {
    uint8_t* const memory = slot_memory_ + (slot - 1) * kPagesPerSlot * kPage;
    memset(memory, 0, kPagesPerSlot * kPage);
    Slot& s = slots_[slot];
    s = {};
    s.used = true;
    s.route = route;
    s.control = {.trbs = reinterpret_cast<Trb*>(memory + kControlRingAt), .n = kNControl};
    s.interrupts = {.trbs = reinterpret_cast<Trb*>(memory + kInterruptRingAt), .n = kNInterrupts};
    data_[slot] = memory + kPage;
    s.reports = memory + kPage + kReportsAt;
    contexts_[slot] = uint64_t(memory);
    begin_input(s, 3);
    // The smallest there is, for the first 8 bytes of a descriptor (USB 5.5.3).
    const uint32_t max_packet = route.speed == Speed::high ? 64 : 8;
    fill_endpoint(usb::kControlEndpointId, usb::kControlEndpoint, max_packet, 0, s.control);
    command(TrbType::address_device, uint32_t{slot} << 24, input_);
}

void XhciHost::set_max_packet(uint8_t slot, uint32_t n_bytes) {
    const Slot& s = slots_[slot];
    begin_input(s, 2);
    fill_endpoint(usb::kControlEndpointId, usb::kControlEndpoint, n_bytes, 0, s.control);
    command(TrbType::evaluate_context, uint32_t{slot} << 24, input_);
}

void XhciHost::add_interrupt_in(uint8_t slot, uint8_t number, uint32_t max_packet,
                                uint8_t interval) {
    Slot& s = slots_[slot];
    s.interrupt_id = uint8_t(usb::in_endpoint_id(number));
    s.packet_bytes = max_packet;
    begin_input(s, 1 | 1u << s.interrupt_id);
    // xHCI 6.2.3.6: as a power of two of 125 us, from a number of frames or a power of two already.
    const uint32_t frames = std::max<uint32_t>(interval, 1);
    const uint32_t exponent = s.route.speed == Speed::high
                                  ? std::min(frames - 1, 15u)
                                  : std::clamp(uint32_t(std::bit_width(frames)) + 2, 3u, 10u);
    fill_endpoint(s.interrupt_id, usb::kInterruptIn, max_packet, exponent, s.interrupts);
    command(TrbType::configure_endpoint, uint32_t{slot} << 24, input_);
}

void XhciHost::be_hub(uint8_t slot, uint8_t n_ports, uint8_t think_time) {
    Slot& s = slots_[slot];
    s.n_hub_ports = n_ports;
    s.think_time = think_time;
    begin_input(s, 1);
    command(TrbType::configure_endpoint, uint32_t{slot} << 24, input_);
}

// xHCI 4.11.2.2.
void XhciHost::control(uint8_t slot, const Setup& setup) {
    Slot& s = slots_[slot];
    const bool has_data = setup.length != 0, is_in = has_data && setup.is_in();
    s.data_wanted = setup.length;
    s.data_left = 0;  // unless an event says otherwise
    uint64_t bytes = 0;
    memcpy(&bytes, &setup, sizeof setup);
    put(s.control, {.parameter = bytes,
                    .status = sizeof setup,
                    .control = usb::type_bits(TrbType::setup) | usb::kImmediate |
                               (is_in ? usb::kSetupThenIn : 0)});
    s.data_trb = nullptr;
    if (is_in) {
        s.data_trb = put(
            s.control, {.parameter = uint64_t(data_[slot]),
                        .status = setup.length,
                        .control = usb::type_bits(TrbType::data) | usb::kIn | usb::kOnShortPacket});
    }
    s.status_trb = put(s.control, {.control = usb::type_bits(TrbType::status) | usb::kOnCompletion |
                                              (is_in ? 0 : usb::kIn)});
    ring_doorbell(slot, usb::kControlEndpointId);
}

void XhciHost::queue_interrupts(uint8_t slot, uint32_t n) {
    Slot& s = slots_[slot];
    for (uint32_t i = 0; i < n; i++) {
        put(s.interrupts,
            {.parameter = uint64_t(s.reports + s.interrupts.at % kInterruptsQueued * kMaxPacket),
             .status = s.packet_bytes,
             .control =
                 usb::type_bits(TrbType::normal) | usb::kOnShortPacket | usb::kOnCompletion});
    }
    ring_doorbell(slot, s.interrupt_id);
}

}  // namespace axiom::efi
