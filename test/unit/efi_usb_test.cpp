// SPDX-License-Identifier: MIT
// USB keyboards from a controller's reset to bytes, against a controller that is software; descriptors and
// reports on their own.
#include <memory>
#include <random>
#include <string>

#include "efi/usb/boot_keyboard.h"
#include "efi/usb/bus.h"
#include "efi/usb/descriptors.h"
#include "efi/usb/keyboards.h"
#include "test/unit/catch.h"
#include "test/unit/fake_xhci.h"

using namespace axiom;
using namespace axiom::efi;
using usb::Speed;
using Data = FakeUsbDevice::Bytes;

namespace {

constexpr uint64_t kMs = 1000000;

usb::Capabilities capabilities(FakeXhci& fake) {
    const auto read = [](void* context, uint32_t offset) {
        return static_cast<FakeXhci*>(context)->read(offset);
    };
    const auto cap = read_capabilities(read, &fake, "xhci");
    REQUIRE(cap.ok());
    return cap.value();
}

// A driver, and the controller it is given.
struct Usb {
    FakeXhci& fake;
    usb::Capabilities cap;
    std::unique_ptr<uint8_t, decltype(&free)> memory;
    XhciHost host;
    UsbBus bus;
    std::string typed;
    uint32_t most_accesses = 0;
    Status status;
    KeySink sink{
        .take = [](void* to, std::string_view bytes) { *static_cast<std::string*>(to) += bytes; },
        .context = &typed};

    explicit Usb(FakeXhci& device, Keymap keymap = Keymap::us)
        : fake(device),
          cap(capabilities(device)),
          memory(static_cast<uint8_t*>(aligned_alloc(
                     XhciHost::memory_alignment(cap),
                     (XhciHost::memory_bytes(cap) + XhciHost::memory_alignment(cap) - 1) /
                         XhciHost::memory_alignment(cap) * XhciHost::memory_alignment(cap))),
                 &free),
          host(device, "xhci 0000:00:04.0", cap),
          bus(host, keymap) {
        memset(memory.get(), 0xee, XhciHost::memory_bytes(cap));
    }

    Status start() {
        Status started = host.reset();
        if (started.ok()) started = host.start(memory.get());
        if (started.ok()) bus.begin(fake.now);
        return started;
    }
    // As a machine polls that does nothing else.
    void run(uint64_t n_ms) {
        for (uint64_t i = 0; i < n_ms && status.ok(); i++) {
            fake.tick(kMs);
            poll();
        }
    }
    void poll() {
        fake.n_accesses = 0;
        status = bus.poll(fake.now, sink);
        most_accesses = std::max(most_accesses, fake.n_accesses);
    }
    void begin() {
        REQUIRE(start().ok());
        run(2000);
        CHECK(status.ok());
    }
};

Data report(uint8_t modifiers, const Data& keys) {
    Data all = {modifiers, 0, 0, 0, 0, 0, 0, 0};
    std::copy(keys.begin(), keys.end(), all.begin() + 2);
    return all;
}

void press(FakeUsbDevice& keyboard, uint8_t usage, uint8_t modifiers = 0) {
    keyboard.reports.push_back(report(modifiers, {usage}));
    keyboard.reports.push_back(report(0, {}));
}

// What a keyboard types for reports that come one after the other.
std::string typed(Keymap keymap, const std::vector<Data>& reports) {
    BootKeyboard keyboard(keymap);
    std::string out;
    const KeySink sink{
        .take = [](void* to, std::string_view bytes) { *static_cast<std::string*>(to) += bytes; },
        .context = &out};
    for (const Data& r : reports) keyboard.report(r, 0, sink);
    return out;
}

bool says(const Status& status, std::string_view text) {
    return status.text().find(text) != std::string_view::npos;
}

}  // namespace

TEST_CASE("USB: a keyboard on a root port types, whatever the controller is like") {
    for (const uint32_t context_bytes : {32u, 64u}) {
        for (const Speed speed : {Speed::low, Speed::full, Speed::high}) {
            for (const bool own_speeds : {false, true}) {
                FakeXhci fake;
                fake.context_bytes = context_bytes;
                fake.has_own_speeds = own_speeds;
                fake.page_code = own_speeds ? 1 : 0;
                fake.has_port_power = !own_speeds;
                fake.first_usb2_port = own_speeds ? 2 : 1;
                fake.firmware_owns = true;
                fake.be_running();
                FakeUsbDevice keyboard = FakeUsbDevice::keyboard(speed);
                fake.root(3).device = &keyboard;
                Usb usb(fake);
                usb.begin();
                CHECK(fake.smis_off);
                CHECK(usb.bus.has_keyboard());
                CHECK(usb.bus.is_settled(fake.now));
                CHECK(keyboard.protocol == 0);
                CHECK(keyboard.idle_set);
                CHECK(fake.interval_of_slot[1] == (speed == Speed::high ? 9 : 6));
                press(keyboard, 0x0b);
                press(keyboard, 0x0c, 0x02);
                usb.run(5);
                CHECK(usb.typed == "hI");
                CHECK(usb.most_accesses <= UsbBus::kMaxAccesses);
                usb.host.stop();
                CHECK_FALSE(fake.runs());
            }
        }
    }
}

TEST_CASE("USB: a full-speed device's packets are the size it says") {
    for (const uint8_t max_packet : std::initializer_list<uint8_t>{8, 16, 32, 64}) {
        FakeXhci fake;
        FakeUsbDevice keyboard = FakeUsbDevice::keyboard(Speed::full, max_packet);
        fake.root(1).device = &keyboard;
        Usb usb(fake);
        usb.begin();
        CHECK(usb.bus.has_keyboard());
        const auto n =
            std::count(fake.commands.begin(), fake.commands.end(), usb::TrbType::evaluate_context);
        CHECK(n == (max_packet == 8 ? 0 : 1));
    }
}

TEST_CASE("USB: keyboards behind hubs, with who translates for them") {
    FakeXhci fake;
    FakeUsbDevice fast = FakeUsbDevice::keyboard(Speed::high),
                  slow = FakeUsbDevice::keyboard(Speed::low),
                  deep = FakeUsbDevice::keyboard(Speed::full), stick = FakeUsbDevice::stick();
    FakeUsbDevice outer = FakeUsbDevice::hub(Speed::high, 4),
                  inner = FakeUsbDevice::hub(Speed::full, 7);
    outer.ports[0].device = &fast;
    outer.ports[1].device = &slow;
    outer.ports[2].device = &inner;
    inner.ports[6].device = &deep;
    inner.ports[2].device = &stick;
    stick.speed = Speed::full;
    stick.max_packet = 64;
    fake.root(2).device = &outer;
    Usb usb(fake);
    usb.begin();
    CHECK(usb.bus.is_settled(fake.now));
    press(fast, 0x04);
    press(slow, 0x05);
    press(deep, 0x06);
    usb.run(5);
    std::sort(usb.typed.begin(), usb.typed.end());
    CHECK(usb.typed == "abc");
    CHECK(usb.most_accesses <= UsbBus::kMaxAccesses);
    // Slots in the order in which ports are looked at: hub, fast, slow, inner hub, the stick, deep.
    CHECK(fake.hub_word_of_slot[1] == (4 | (1u << 16) << 8));
    CHECK(fake.tt_of_slot[2] == 0);
    CHECK(fake.tt_of_slot[3] == (1 | 2 << 8));
    CHECK(fake.tt_of_slot[4] == (1 | 3 << 8));
    CHECK(fake.tt_of_slot[5] == (1 | 3 << 8));
    CHECK(fake.hub_word_of_slot[4] >> 24 == 1);
}

TEST_CASE("USB: a keyboard that is unplugged is gone, and another one types") {
    FakeXhci fake;
    FakeUsbDevice first = FakeUsbDevice::keyboard(), second = FakeUsbDevice::keyboard(Speed::low);
    fake.root(1).device = &first;
    Usb usb(fake);
    usb.begin();
    first.reports.push_back(report(0, {0x04}));  // held
    usb.run(3);
    CHECK(usb.typed == "a");
    fake.plug(1, nullptr);
    usb.run(100);
    CHECK_FALSE(usb.bus.has_keyboard());
    usb.run(1000);
    CHECK(usb.typed == "a");        // not repeated
    for (int i = 0; i < 20; i++) {  // slots do not run out
        fake.plug(1, i % 2 == 0 ? &second : nullptr);
        usb.run(600);
    }
    CHECK_FALSE(usb.bus.has_keyboard());
    fake.plug(4, &second);
    usb.run(600);
    CHECK(usb.bus.has_keyboard());
    press(second, 0x05);
    usb.run(3);
    CHECK(usb.typed == "ab");
    // Out and in between two polls.
    second.reports.clear();
    fake.plug(4, nullptr);
    fake.plug(4, &first);
    first.reports.clear();
    usb.run(600);
    press(first, 0x06);
    usb.run(3);
    CHECK(usb.typed == "abc");
    CHECK(usb.most_accesses <= UsbBus::kMaxAccesses);
}

TEST_CASE("USB: a hub that is unplugged takes its keyboards with it, and brings them back") {
    FakeXhci fake;
    FakeUsbDevice hub = FakeUsbDevice::hub(Speed::high, 4), keyboard = FakeUsbDevice::keyboard();
    fake.root(1).device = &hub;
    Usb usb(fake);
    usb.begin();
    CHECK_FALSE(usb.bus.has_keyboard());
    hub.ports[3].attach(&keyboard);
    usb.run(600);
    CHECK(usb.bus.has_keyboard());
    hub.ports[3].attach(nullptr);
    usb.run(200);
    CHECK_FALSE(usb.bus.has_keyboard());
    hub.ports[3].attach(&keyboard);
    usb.run(600);
    CHECK(usb.bus.has_keyboard());
    for (int i = 0; i < 12; i++) {
        fake.plug(1, nullptr);
        usb.run(300);
        CHECK_FALSE(usb.bus.has_keyboard());
        fake.plug(1, &hub);
        usb.run(1000);
        CHECK(usb.bus.has_keyboard());
    }
    press(keyboard, 0x04);
    usb.run(3);
    CHECK(usb.typed == "a");
}

TEST_CASE(
    "USB: a device that fails is tried three times, then left alone until it is plugged in again") {
    const auto tries = [](FakeUsbDevice& keyboard) {
        FakeXhci fake;
        FakeUsbDevice good = FakeUsbDevice::keyboard();
        fake.root(1).device = &keyboard;
        fake.root(2).device = &good;
        Usb usb(fake);
        usb.begin();
        usb.run(20000);
        CHECK(usb.bus.is_settled(fake.now));
        press(good, 0x04);
        usb.run(3);
        CHECK(usb.typed == "a");  // the others are none the worse
        const uint32_t n = keyboard.n_resets;
        keyboard.stalled_requests.clear();
        keyboard.is_silent = false;
        fake.plug(1, nullptr);
        usb.run(300);
        fake.plug(1, &keyboard);
        usb.run(1000);
        press(keyboard, 0x05);
        usb.run(3);
        CHECK(usb.typed == "ab");
        return n;
    };
    for (const uint8_t request : {usb::kGetDescriptor, usb::kSetConfiguration, usb::kSetProtocol}) {
        FakeUsbDevice keyboard = FakeUsbDevice::keyboard();
        keyboard.stalled_requests = {request};
        CHECK(tries(keyboard) == 3);
    }
    FakeUsbDevice silent = FakeUsbDevice::keyboard(), without_idle = FakeUsbDevice::keyboard(),
                  second_time = FakeUsbDevice::keyboard();
    silent.is_silent = true;
    CHECK(tries(silent) == 3);
    without_idle.stalled_requests = {usb::kSetIdle};
    CHECK(tries(without_idle) == 1);
    second_time.n_failed_addresses = 1;
    CHECK(tries(second_time) == 2);
}

TEST_CASE("USB: an interrupt endpoint that stalls costs a reset, and no endless ones") {
    FakeXhci fake;
    FakeUsbDevice keyboard = FakeUsbDevice::keyboard();
    fake.root(1).device = &keyboard;
    Usb usb(fake);
    usb.begin();
    keyboard.reports.push_back(report(0, {0x04}));
    usb.run(3);
    keyboard.interrupt_error = 6;
    usb.run(1);
    usb.run(1000);
    CHECK(keyboard.n_resets == 2);
    CHECK(usb.typed == "a");  // not repeated: who knows whether it is still held
    press(keyboard, 0x05);
    usb.run(3);
    CHECK(usb.typed == "ab");
    // One that fails each time, without a report between.
    for (int i = 0; i < 10; i++) {
        keyboard.interrupt_error = 4;
        usb.run(700);
    }
    CHECK(keyboard.n_resets <= 2 + UsbBus::kMaxTries);
    CHECK_FALSE(usb.bus.has_keyboard());
    CHECK(usb.bus.is_settled(fake.now));
}

TEST_CASE("USB: what is no boot keyboard is left alone, and its slot given back") {
    FakeXhci fake;
    FakeUsbDevice sticks[3] = {FakeUsbDevice::stick(), FakeUsbDevice::stick(),
                               FakeUsbDevice::stick()};
    // A mouse, and a keyboard with a boot protocol behind other interfaces.
    FakeUsbDevice mouse = FakeUsbDevice::keyboard();
    mouse.configuration =
        FakeUsbDevice::configuration_of({FakeUsbDevice::interface(0, 3, 1, 2), FakeUsbDevice::hid(),
                                         FakeUsbDevice::endpoint(0x81, 4, 10)});
    sticks[2] = mouse;
    FakeUsbDevice composite = FakeUsbDevice::keyboard();
    composite.configuration = FakeUsbDevice::configuration_of(
        {FakeUsbDevice::interface(0, 3, 1, 2), FakeUsbDevice::hid(),
         FakeUsbDevice::endpoint(0x81, 4, 10), FakeUsbDevice::interface(1, 3, 1, 1),
         FakeUsbDevice::hid(), FakeUsbDevice::endpoint(0x82, 8, 1)});
    for (uint32_t i = 0; i < 3; i++) fake.root(i + 1).device = &sticks[i];
    fake.root(4).device = &composite;
    Usb usb(fake);
    usb.begin();
    CHECK(std::count(fake.commands.begin(), fake.commands.end(), usb::TrbType::disable_slot) == 3);
    for (const FakeUsbDevice& stick : sticks) {
        CHECK(stick.n_resets == 1);
        CHECK(stick.set_configuration == 0);
    }
    press(composite, 0x04);
    usb.run(3);
    CHECK(usb.typed == "a");
}

TEST_CASE("USB: a held key repeats by the clock") {
    FakeXhci fake;
    FakeUsbDevice keyboard = FakeUsbDevice::keyboard();
    fake.root(1).device = &keyboard;
    Usb usb(fake);
    usb.begin();
    keyboard.reports.push_back(report(0, {0x04}));
    usb.run(499);
    CHECK(usb.typed == "a");
    usb.run(1000);
    CHECK(usb.typed.size() >= 29);
    CHECK(usb.typed.size() <= 32);
    // The key that was pressed last, until it is released.
    usb.typed.clear();
    keyboard.reports.push_back(report(0, {0x04, 0x05}));
    usb.run(600);
    CHECK(usb.typed.substr(0, 2) == "bb");
    CHECK(usb.typed.find('a') == usb.typed.npos);
    keyboard.reports.push_back(report(0, {0x04}));
    usb.run(3);
    usb.typed.clear();
    usb.run(1000);
    CHECK(usb.typed.empty());
    // One poll in a second: once, not thirty times.
    keyboard.reports.push_back(report(0, {0x04, 0x06}));
    usb.run(1);
    usb.typed.clear();
    fake.tick(1000 * kMs);
    usb.poll();
    CHECK(usb.typed == "c");
    // Released in the meantime: not at all.
    keyboard.reports.push_back(report(0, {}));
    fake.tick(1000 * kMs);
    usb.poll();
    CHECK(usb.typed == "c");
}

TEST_CASE("USB: keys that are typed while nobody polls are not lost, eight reports of them") {
    FakeXhci fake;
    FakeUsbDevice keyboard = FakeUsbDevice::keyboard();
    fake.root(1).device = &keyboard;
    Usb usb(fake);
    usb.begin();
    for (int round = 0; round < 50; round++) {  // around the ring, and around the events'
        usb.typed.clear();
        for (const uint8_t usage : Data{0x04, 0x05, 0x06, 0x07}) press(keyboard, usage);
        fake.tick(200 * kMs);
        CHECK(keyboard.reports.empty());
        usb.poll();
        usb.run(2);
        CHECK(usb.typed == "abcd");
    }
    CHECK(usb.most_accesses <= UsbBus::kMaxAccesses);
}

TEST_CASE(
    "USB: a controller that does not get ready, or does not halt, is an error in bounded time") {
    const auto failure = [](void (*spoil)(FakeXhci&)) {
        FakeXhci fake;
        fake.be_running();
        Usb usb(fake);
        spoil(fake);
        const uint64_t begin = fake.now;
        const Status status = usb.start();
        CHECK(fake.now - begin < 4000 * kMs);
        return status;
    };
    CHECK(says(failure([](FakeXhci& f) { f.never_ready = true; }), "not ready (CNR)"));
    CHECK(says(failure([](FakeXhci& f) { f.never_halts = true; }), "USBSTS, running"));
    CHECK(says(failure([](FakeXhci& f) { f.gone = true; }), "does not answer"));
    CHECK(failure([](FakeXhci& f) {
              f.firmware_owns = true;
              f.firmware_lets_go = false;
          }).ok());
}

TEST_CASE("USB: a controller that fails or vanishes ends with an error that names it") {
    const auto ends = [](void (*spoil)(FakeXhci&)) {
        FakeXhci fake;
        FakeUsbDevice keyboard = FakeUsbDevice::keyboard();
        fake.root(1).device = &keyboard;
        Usb usb(fake);
        usb.begin();
        spoil(fake);
        fake.plug(2, &keyboard);
        usb.run(20000);
        CHECK(usb.most_accesses <= UsbBus::kMaxAccesses);
        CHECK(says(usb.status, "xhci 0000:00:04.0: "));
        return usb.status;
    };
    CHECK(says(ends([](FakeXhci& f) { f.gone = true; }), "does not answer any more"));
    CHECK(says(ends([](FakeXhci& f) { f.error_bits = usb::kControllerError; }), "(USBSTS 0x1000)"));
    CHECK(says(ends([](FakeXhci& f) { f.error_bits = usb::kSystemError; }), "(USBSTS 0x4)"));
    CHECK(says(ends([](FakeXhci& f) { f.error_bits = usb::kHalted; }), "(USBSTS 0x1)"));
}

TEST_CASE("USB: a controller that answers no command is given up") {
    FakeXhci fake;
    FakeUsbDevice keyboard = FakeUsbDevice::keyboard();
    fake.root(1).device = &keyboard;
    Usb usb(fake);
    REQUIRE(usb.start().ok());
    fake.is_mute = true;
    usb.run(20000);
    CHECK(says(usb.status, "a command: no answer"));
}

TEST_CASE("USB: devices that answer anything, and events of any content, do no harm") {
    std::mt19937 random(1);
    for (int round = 0; round < 60; round++) {
        FakeXhci fake;
        FakeUsbDevice hub = FakeUsbDevice::hub(Speed::high, 4),
                      inner = FakeUsbDevice::hub(Speed::full, 3);
        FakeUsbDevice keyboards[3] = {FakeUsbDevice::keyboard(),
                                      FakeUsbDevice::keyboard(Speed::low),
                                      FakeUsbDevice::keyboard(Speed::high)};
        FakeUsbDevice good = FakeUsbDevice::keyboard();
        hub.ports[0].device = &inner;
        hub.ports[1].device = &keyboards[0];
        inner.ports[2].device = &keyboards[1];
        fake.root(1).device = &hub;
        fake.root(2).device = &keyboards[2];
        const auto spoil = [&](Data& bytes) {
            if (random() % 8 != 0) return;
            for (uint8_t& b : bytes) {
                if (random() % 4 == 0) b = uint8_t(random());
            }
            if (random() % 4 == 0) bytes.resize(random() % (bytes.size() + 1));
        };
        for (FakeUsbDevice* d : {&hub, &inner, &keyboards[0], &keyboards[1], &keyboards[2]})
            d->spoil = spoil;
        fake.is_forgiving = true;
        Usb usb(fake);
        REQUIRE(usb.start().ok());
        for (int i = 0; i < 4000 && usb.status.ok(); i++) {
            usb.run(1);
            if (random() % 50 == 0)
                press(keyboards[random() % 3], uint8_t(random()), uint8_t(random()));
            if (random() % 100 != 0) continue;
            // Of transfers and commands that nobody waits for, and of none that there are.
            const uint64_t parameter = uint64_t(random()) << 32 | random();
            fake.post_any(parameter, uint32_t(random()),
                          (uint32_t(random()) & ~(0x3fu << 10)) | 32u << 10);
            fake.post_any(uint64_t(usb.memory.get()) + random() % 65536,
                          uint32_t(random()) & 0x1fffffff,
                          uint32_t(random() % 10) << 24 | uint32_t(random() % 5) << 16 | 32u << 10);
            fake.post_any(parameter, 1u << 24, (34 + uint32_t(random() % 30)) << 10);
        }
        CHECK(usb.most_accesses <= UsbBus::kMaxAccesses);
        CHECK(usb.status.ok());
        // Once they are gone all is well.
        fake.plug(1, nullptr);
        fake.plug(2, nullptr);
        usb.run(8000);
        usb.typed.clear();
        fake.plug(3, &good);
        usb.run(1000);
        press(good, 0x04);
        usb.run(5);
        CHECK(usb.typed == "a");
    }
}

TEST_CASE("USB: capabilities that cannot be are refused by name") {
    struct Words {
        uint32_t at[16] = {0x01200020, 0x05000120, 0, 0, 0, 0x3000, 0x2000};
        uint32_t page = 1;
    };
    const auto outcome = [](const Words& words) {
        const auto read = [](void* context, uint32_t offset) {
            const Words& w = *static_cast<const Words*>(context);
            return offset < 0x20 ? w.at[offset / 4] : w.page;
        };
        Words copy = words;
        return read_capabilities(read, &copy, "xhci x");
    };
    Words w;
    CHECK(outcome(w).ok());
    CHECK(outcome(w).value().register_bytes >= 0x3024);
    w.at[0] = 0x01200010;
    CHECK(says(outcome(w).status(), "xhci x: CAPLENGTH: found 0x10"));
    w = {};
    w.at[1] = 0x00000120;
    CHECK(says(outcome(w).status(), "HCSPARAMS1"));
    w = {};
    w.at[5] = 0xfffff000;
    CHECK(says(outcome(w).status(), "an offset of registers"));
    w = {};
    w.page = 0;
    CHECK(says(outcome(w).status(), "PAGESIZE: found 0x0"));
    for (uint32_t& word : w.at) word = usb::kGone;
    CHECK(says(outcome(w).status(), "does not answer"));
    std::mt19937 random(1);
    for (int i = 0; i < 20000; i++) {
        for (uint32_t& word : w.at) word = uint32_t(random());
        w.page = uint32_t(random());
        const auto cap = outcome(w);
        if (cap.ok()) CHECK(cap.value().register_bytes <= 2 << 20);
    }
}

TEST_CASE("USB: descriptors of any bytes are read inside their bounds") {
    const Data good = FakeUsbDevice::keyboard().configuration;
    const UsbInterface found = find_interface(good, false);
    CHECK(found.found);
    CHECK(found.configuration == 1);
    CHECK(found.endpoint == 1);
    CHECK(found.max_packet == 8);
    CHECK(found.interval == 10);
    CHECK_FALSE(find_interface(good, true).found);
    for (size_t n = 0; n < good.size(); n++) {
        const Data cut(good.begin(), good.begin() + n);
        CHECK_FALSE(find_interface(cut, false).found);
    }
    std::mt19937 random(1);
    for (int i = 0; i < 20000; i++) {
        Data bad = good;
        for (int k = 0; k < 3; k++) bad[random() % bad.size()] = uint8_t(random());
        const Data exact(bad.begin(), bad.end());
        const UsbInterface any = find_interface(exact, random() % 2 == 0);
        if (any.found) CHECK((any.endpoint >= 1 && any.endpoint <= 15));
    }
}

TEST_CASE("USB: reports become what the layout says") {
    const auto line = [](const Data& usages, uint8_t modifiers = 0) {
        std::vector<Data> all;
        for (const uint8_t usage : usages) {
            all.push_back(report(modifiers, {usage}));
            all.push_back(report(modifiers, {}));
        }
        return all;
    };
    const Data top = {0x14, 0x1a, 0x08, 0x15, 0x17, 0x1c, 0x18, 0x0c, 0x12, 0x13, 0x2f, 0x30};
    const Data numbers = {0x1e, 0x1f, 0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x2d, 0x2e};
    CHECK(typed(Keymap::us, line(top)) == "qwertyuiop[]");
    CHECK(typed(Keymap::us, line(top, 0x20)) == "QWERTYUIOP{}");
    CHECK(typed(Keymap::us, line(numbers, 0x02)) == "!@#$%^&*()_+");
    CHECK(typed(Keymap::de, line(top)) == "qwertzuiopü+");
    CHECK(typed(Keymap::de, line({0x14, 0x24, 0x64}, 0x40)) == "@{|");
    CHECK(typed(Keymap::fr, line(numbers)) == "&é\"'(-è_çà)=");
    CHECK(typed(Keymap::uk, line({0x1f, 0x20, 0x32}, 0x02)) == "\"£~");
    CHECK(typed(Keymap::us, line({0x28, 0x2a, 0x2b, 0x2c, 0x58})) == "\r\x7f\t \r");
    CHECK(typed(Keymap::us, line({0x52, 0x51, 0x50, 0x4f, 0x4a, 0x4d, 0x4c})) ==
          "\x1b[A\x1b[B\x1b[D\x1b[C\x1b[H\x1b[F\x1b[3~");
    CHECK(typed(Keymap::us, line({0x06}, 0x01)) == "\x03");
    CHECK(typed(Keymap::us, line({0x06}, 0x10)) == "\x03");
    CHECK(typed(Keymap::us, line({0x39, 0x04, 0x39, 0x04})) == "Aa");
}

TEST_CASE("USB: every key of every layout is reached") {
    // What the scan codes of a PS/2 keyboard type and no usage does would be missing here.
    for (const Keymap keymap : {Keymap::us, Keymap::uk, Keymap::de, Keymap::fr}) {
        for (uint32_t code = 1; code < 0x160; code++) {
            KeyboardLayout layout(keymap);
            if (layout.key(code, true).empty()) continue;
            bool is_reached = false;
            for (uint32_t usage = 0; usage < 256; usage++)
                is_reached = is_reached || scan_code_of(uint8_t(usage)) == code;
            INFO("scan code " << code);
            CHECK(is_reached);
        }
    }
}

TEST_CASE("USB: too many keys at once change the modifiers only") {
    const Data error = report(0, {1, 1, 1, 1, 1, 1});
    Data shifted_error = error;
    shifted_error[0] = 0x02;
    CHECK(typed(Keymap::us, {report(0, {0x04}), error, report(0, {0x04}), report(0, {})}) == "a");
    CHECK(typed(Keymap::us, {report(0, {0x04}), shifted_error, report(2, {0x04, 0x05})}) == "aB");
    // Six keys, one after the other, and each once.
    CHECK(typed(Keymap::us, {report(0, {4, 5, 6, 7, 8, 9}), report(0, {9, 8, 7, 6, 5, 4}),
                             report(0, {4, 4, 4, 5})}) == "abcdef");
    // A report that is too short is as if zeros followed.
    CHECK(typed(Keymap::us, {{0}, {}, {2, 0, 4}, {0, 0, 4}}) == "A");
    // A modifier that comes with its key counts for it, and one that goes with it does not.
    CHECK(typed(Keymap::us, {report(2, {0x04}), report(0, {0x05})}) == "Ab");
}

TEST_CASE(
    "USB: ports of Intel's 7 and 8 series are switched over, no other maker's registers are "
    "written") {
    for (const uint32_t id : {0x1e318086u, 0x8c318086u, 0x9c318086u, 0x9d2f8086u, 0x000d1b36u}) {
        alignas(4096) uint32_t page[1024] = {};
        page[0] = id;
        page[0xd4 / 4] = 0x3fff;
        page[0xdc / 4] = 0xf;
        PciFunction function({0, 0, 20, 0}, uint64_t(page));
        claim_intel_ports(function);
        const bool is_old = id != 0x9d2f8086 && id != 0x000d1b36;
        CHECK(page[0xd0 / 4] == (is_old ? 0x3fff : 0));
        CHECK(page[0xd8 / 4] == (is_old ? 0xf : 0));
    }
}
