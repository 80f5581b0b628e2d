// SPDX-License-Identifier: MIT
// An xHCI host controller by polling: it is taken over from the firmware, reset, given memory, and does
// commands and transfers one after the other. It sees registers and memory, so that tests can play it.
// Must not know: what hangs on its ports, or how registers are reached.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "core/status.h"
#include "efi/usb/spec.h"

namespace axiom::efi {

// BAR0 of a controller, and the time.
class XhciRegisters {
  public:
    virtual uint32_t read(uint32_t offset) = 0;
    virtual void write(uint32_t offset, uint32_t value) = 0;
    // From here on the controller reads and writes no memory, whatever state it is in.
    virtual void cut_off() = 0;
    virtual uint64_t now_ns() = 0;

  protected:
    ~XhciRegisters() = default;
};

// Reads what there is to know before the exit, by `read`. unsupported, by name, if the controller is none
// that can be driven.
Result<usb::Capabilities> read_capabilities(uint32_t (*read)(void* context, uint32_t offset),
                                            void* context, std::string_view name);

// A root port, or a hub's: status, and the changes of usb::kAllChanges that nobody has cleared.
struct UsbPortState {
    bool connected = false, enabled = false, resetting = false;
    uint32_t changes = 0;
    usb::Speed speed = usb::Speed::none;
};

// Where a device is, for its slot (xHCI 6.2.2).
struct UsbRoute {
    uint32_t hub_ports = 0;  // the route string: of the hubs below the root port, 4 bits each
    uint8_t depth = 0;       // how many they are
    uint8_t root_port = 0;
    usb::Speed speed = usb::Speed::none;
    uint8_t tt_slot = 0, tt_port = 0;  // of the hub that translates for slow devices; 0: none
};

struct XhciEvent {
    enum class Kind : uint8_t { other, command, control, interrupt, port };
    Kind kind = Kind::other;
    usb::Completion code = {};
    uint8_t slot = 0;
    uint8_t port = 0;
    uint32_t n_bytes = 0;  // that a transfer has brought
    const uint8_t* data =
        nullptr;  // of an interrupt transfer, until that slot's queue_interrupts()
};

class XhciHost {
  public:
    static constexpr uint8_t kMaxSlots = 8;     // devices that are kept, ids 1..8
    static constexpr uint8_t kMaxPorts = 31;    // root ports beyond are left alone
    static constexpr uint32_t kMaxData = 1024;  // of a control transfer
    // Reports that can come between two polls; none is lost before.
    static constexpr uint32_t kInterruptsQueued = 8;
    static constexpr uint32_t kMaxPacket = 64;  // of an interrupt endpoint

    // What it needs of contiguous memory, and aligned how.
    static uint64_t memory_bytes(const usb::Capabilities& cap);
    static uint64_t memory_alignment(const usb::Capabilities& cap) { return cap.page_bytes(); }

    // `name` is for messages; it and the registers outlive this.
    XhciHost(XhciRegisters& registers, std::string_view name, const usb::Capabilities& cap)
        : registers_(registers), name_(name), cap_(cap) {}
    XhciHost(const XhciHost&) = delete;
    XhciHost& operator=(const XhciHost&) = delete;

    // Takes the controller from the firmware and stops it, whatever it was doing: after this it touches
    // no memory. Waits, at most 4 s.
    Status reset();
    // Then, with `memory` as above: makes it run, with power on its ports. Waits, at most 0.1 s.
    Status start(uint8_t* memory);
    // Halts it; bus and devices fall silent. Waits, at most 0.1 s.
    void stop();

    // Whether it still works, a register read. io, by name, if not.
    Status check() const;
    template <class... Parts>
    Status failed(const Parts&... parts) const {
        return error(Code::io, name_, ": ", parts...);
    }

    // Root ports, from 1 on: bit n is set of those for USB 2, where keyboards are. At most two register
    // accesses each.
    uint32_t ports() const { return ports_; }
    uint32_t n_ports() const;
    UsbPortState port(uint8_t port) const;
    void clear_changes(uint8_t port, uint32_t changes);
    void reset_port(uint8_t port);

    // Commands, one at a time: the next when the event of the last has come. A doorbell each.
    void enable_slot();
    void disable_slot(uint8_t slot);
    // After disable_slot() has ended, well or not: the slot's memory is nobody's.
    void forget(uint8_t slot);
    // Gives a new slot's device its address.
    void address(uint8_t slot, const UsbRoute& route);
    // The control endpoint's packets.
    void set_max_packet(uint8_t slot, uint32_t n_bytes);
    // Adds an interrupt IN endpoint, one a slot; interval as in its descriptor (USB 9.6.6).
    void add_interrupt_in(uint8_t slot, uint8_t number, uint32_t max_packet, uint8_t interval);
    // It is a hub; `think_time` as in its descriptor.
    void be_hub(uint8_t slot, uint8_t n_ports, uint8_t think_time);

    // A control transfer, one at a time for each slot, its data in data().
    void control(uint8_t slot, const usb::Setup& setup);
    const uint8_t* data(uint8_t slot) const { return data_[slot]; }
    // `n` more transfers from the interrupt endpoint, at most kInterruptsQueued under way.
    void queue_interrupts(uint8_t slot, uint32_t n);

    // The next event, without a register access; kind other: of no interest. False: none has come.
    bool next(XhciEvent* event);
    // Tells the controller which events were taken: two register accesses if there were any.
    void end_events();

  private:
    struct Ring {
        usb::Trb* trbs = nullptr;
        uint32_t n = 0;  // with the link at its end
        uint32_t at = 0;
        uint32_t cycle = 1;
    };
    struct Slot {
        bool used = false;
        UsbRoute route;
        uint8_t interrupt_id = 0;  // its interrupt endpoint's; 0: none
        uint8_t n_hub_ports = 0, think_time = 0;
        uint32_t data_left = 0;  // that the data stage did not bring
        uint32_t data_wanted = 0;
        uint32_t packet_bytes = 0;  // of an interrupt transfer
        const usb::Trb* data_trb = nullptr;
        const usb::Trb* status_trb = nullptr;
        Ring control, interrupts;
        uint8_t* reports = nullptr;
    };

    uint32_t read(uint32_t offset) const { return registers_.read(cap_.operational() + offset); }
    void write(uint32_t offset, uint32_t value) {
        registers_.write(cap_.operational() + offset, value);
    }
    void write_wide(uint32_t offset, const void* address, uint32_t flags);
    Status wait_for(uint32_t mask, uint32_t wanted, uint32_t offset, uint64_t timeout_ns,
                    std::string_view what) const;
    template <class Use>
    void each_extended(Use use) const;
    void take_from_firmware(uint32_t at);
    void read_protocol(uint32_t at);
    void lay_out(uint8_t* memory);
    const usb::Trb* put(Ring& ring, usb::Trb trb);
    void command(usb::TrbType type, uint32_t bits, const void* context = nullptr);
    void ring_doorbell(uint32_t slot, uint32_t target);
    uint32_t* input(uint32_t i);
    void begin_input(const Slot& slot, uint32_t added);
    void fill_endpoint(uint32_t id, uint32_t type, uint32_t max_packet, uint32_t interval,
                       const Ring& ring);
    void take_transfer(const usb::Trb& trb, XhciEvent* event);

    XhciRegisters& registers_;
    std::string_view name_;
    usb::Capabilities cap_;
    uint32_t ports_ = 0;
    // A port's speed by its number, and back (xHCI 7.2.1: a protocol may have its own).
    usb::Speed speeds_[16] = {usb::Speed::none, usb::Speed::full, usb::Speed::low,
                              usb::Speed::high};
    uint8_t speed_ids_[4] = {0, 1, 2, 3};
    bool runs_ = false;

    uint64_t* contexts_ = nullptr;  // [kMaxSlots + 1], the device context base address array
    usb::Segment* segment_ = nullptr;
    uint8_t* input_ = nullptr;  // the input context of the command under way
    uint8_t* data_[kMaxSlots + 1] = {};
    uint8_t* slot_memory_ = nullptr;
    Ring commands_, events_;
    bool has_taken_ = false;  // events, since the controller was told
    Slot slots_[kMaxSlots + 1];
};

}  // namespace axiom::efi
