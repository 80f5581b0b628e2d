// SPDX-License-Identifier: MIT
#include "efi/usb/keyboards.h"

#include <algorithm>

#include "efi/dev/ports.h"

namespace axiom::efi {
namespace {

constexpr uint64_t kPollsPerSecond = 1000;

}  // namespace

// Intel 7 Series PCH datasheet: XUSB2PR and its mask XUSB2PRM, USB3_PSSEN and its mask USB3PRM.
void claim_intel_ports(PciFunction& xhci) {
    constexpr uint32_t kUsb2 = 0xd0, kUsb2Mask = 0xd4, kUsb3 = 0xd8, kUsb3Mask = 0xdc;
    constexpr uint32_t kPantherPoint = 0x1e318086, kLynxPoint = 0x8c318086,
                       kLynxPointLp = 0x9c318086;
    const uint32_t id = xhci.read(0);
    if (id != kPantherPoint && id != kLynxPoint && id != kLynxPointLp) return;
    xhci.write(kUsb3, xhci.read(kUsb3Mask));
    xhci.write(kUsb2, xhci.read(kUsb2Mask));
}

UsbController::UsbController(const XhciPlace& place, const Clock& clock, Keymap keymap)
    : full_name_("xhci ", place.where.text().view()),
      base_(place.registers),
      clock_(clock),
      function_(place.where, place.config_page),
      host_(*this, full_name_.view(), place.cap),
      bus_(host_, keymap) {
    name = "usb";
    if (!exists()) return;
    registers[0] = {{base_, base_ + place.cap.register_bytes}, Cache::uncached};
    registers[1] = function_.config_registers();
    memory.bytes = XhciHost::memory_bytes(place.cap);
    memory.alignment = XhciHost::memory_alignment(place.cap);
    if (!place.cap.has_64_bits()) memory.below = uint64_t{4} << 30;
}

Status UsbController::start() {
    works_ = false;
    claim_intel_ports(function_);
    Status status = host_.reset();
    if (status.ok()) {
        function_.set_command(true);
        status = host_.start(reinterpret_cast<uint8_t*>(memory.address));
    }
    if (!status.ok()) {
        cut_off();
        return status;
    }
    bus_.begin(now_ns());
    works_ = true;
    return {};
}

Status UsbController::poll_bus(uint64_t now_ns, const KeySink& sink) {
    const Status status = bus_.poll(now_ns, sink);
    if (!status.ok()) {
        works_ = false;
        cut_off();
    }
    return status;
}

void UsbController::stop() {
    if (!works_) return;
    works_ = false;
    host_.stop();
}

uint32_t UsbController::read(uint32_t offset) {
    return mmio_read<uint32_t>(base_ + offset);
}

void UsbController::write(uint32_t offset, uint32_t value) {
    mmio_write<uint32_t>(base_ + offset, value);
}

UsbKeyboards::UsbKeyboards(Places places, const Clock& clock, Keymap keymap, const Notes& notes)
    : controllers_{{places[0], clock, keymap},
                   {places[1], clock, keymap},
                   {places[2], clock, keymap},
                   {places[3], clock, keymap}},
      clock_(clock),
      notes_(notes) {}

void UsbKeyboards::note(const Status& status) const {
    if (!status.ok()) notes_.write(notes_.context, Text<448>("\nnote      ", status.text(), "\n"));
}

void UsbKeyboards::start_all() {
    for (UsbController& controller : controllers_) {
        if (controller.exists()) note(controller.start());
    }
}

void UsbKeyboards::start() {
    is_at_work_ = true;
    is_started_ = true;
    start_all();
    is_at_work_ = false;
}

void UsbKeyboards::poll_keys(uint64_t now_ticks, const KeySink& sink) {
    if (!is_started_ || now_ticks < next_ticks_) return;
    next_ticks_ = now_ticks + clock_.ticks_per_second / kPollsPerSecond;
    const bool was_cut_off = is_at_work_.exchange(true);
    if (was_cut_off) start_all();
    const uint64_t now_ns = clock_.ns(now_ticks);
    for (UsbController& controller : controllers_) {
        if (controller.works()) note(controller.poll_bus(now_ns, sink));
    }
    is_at_work_ = false;
}

// What was known when a poll was cut off is not so any more: the next one starts anew.
bool UsbKeyboards::answers() const {
    if (is_at_work_) return false;
    return std::any_of(std::begin(controllers_), std::end(controllers_),
                       [](const UsbController& c) { return c.has_keyboard(); });
}

bool UsbKeyboards::is_settled(uint64_t now_ticks) const {
    if (is_at_work_) return false;
    const uint64_t now_ns = clock_.ns(now_ticks);
    return std::all_of(std::begin(controllers_), std::end(controllers_),
                       [&](const UsbController& c) { return c.is_settled(now_ns); });
}

void UsbKeyboards::stop() {
    if (!is_started_) return;
    is_started_ = false;
    for (UsbController& controller : controllers_) controller.stop();
}

}  // namespace axiom::efi
