// SPDX-License-Identifier: MIT
// Scan codes and layouts, and a keyboard controller that a test plays.
#include <deque>
#include <string>
#include <vector>

#include "efi/dev/keyboard_layout.h"
#include "efi/dev/ps2.h"
#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

using Codes = std::vector<uint8_t>;

std::string typed(Keymap keymap, const Codes& codes) {
    ScanCodes scan_codes(keymap);
    std::string bytes;
    for (const uint8_t code : codes) bytes += scan_codes.feed(code);
    return bytes;
}

// The keys pressed and released, one after the other.
Codes strokes(const Codes& keys) {
    Codes codes;
    for (const uint8_t key : keys) {
        codes.push_back(key);
        codes.push_back(uint8_t(key | 0x80));
    }
    return codes;
}

Codes with(const Codes& down, const Codes& keys, const Codes& up) {
    Codes codes = down;
    for (const uint8_t code : strokes(keys)) codes.push_back(code);
    codes.insert(codes.end(), up.begin(), up.end());
    return codes;
}
Codes shifted(const Codes& keys) {
    return with({0x2a}, keys, {0xaa});
}
Codes alt_gr(const Codes& keys) {
    return with({0xe0, 0x38}, keys, {0xe0, 0xb8});
}

const Codes kTopRow = {0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b};
const Codes kNumbers = {0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d};

// An 8042 whose reads take a set time.
struct Controller {
    uint64_t now = 0;
    uint64_t read_ticks = 1000;  // of 1 GHz: 1 us
    bool exists = true, has_keyboard = true;
    std::deque<uint16_t> output;  // with 0x100: from the mouse
    uint8_t config = 0x13, command = 0;
    size_t n_status_reads = 0;
    std::vector<uint8_t> commands;

    Ps2Keyboard::Bus bus() {
        return {.in = [](void* c, uint16_t port) { return static_cast<Controller*>(c)->in(port); },
                .out = [](void* c, uint16_t port,
                          uint8_t v) { static_cast<Controller*>(c)->out(port, v); },
                .ticks = [](void* c) { return static_cast<Controller*>(c)->now += 10; },
                .context = this};
    }
    uint8_t in(uint16_t port) {
        now += read_ticks;
        if (port == 0x64) {
            n_status_reads++;
            if (!exists) return 0xff;
            if (output.empty()) return 0;
            return output.front() >= 0x100 ? 0x21 : 0x01;
        }
        REQUIRE(!output.empty());
        const uint8_t byte = uint8_t(output.front());
        output.pop_front();
        return byte;
    }
    void out(uint16_t port, uint8_t value) {
        if (port == 0x64) {
            commands.push_back(value);
            command = value;
            if (value == 0x20) output.push_back(config);
        } else if (command == 0x60) {
            config = value;
            command = 0;
        } else if (has_keyboard) {
            output.push_back(0xfa);
        }
    }
};
constexpr uint64_t kHz = 1000000000;

}  // namespace

TEST_CASE("each layout types what its keys are labelled with") {
    CHECK(typed(Keymap::us, strokes(kTopRow)) == "qwertyuiop[]");
    CHECK(typed(Keymap::us, shifted(kNumbers)) == "!@#$%^&*()_+");
    CHECK(typed(Keymap::us, shifted(kTopRow)) == "QWERTYUIOP{}");
    CHECK(typed(Keymap::uk, shifted({0x03, 0x04, 0x28, 0x2b})) == "\"£@~");
    CHECK(typed(Keymap::uk, alt_gr({0x05})) == "€");
    CHECK(typed(Keymap::de, strokes(kTopRow)) == "qwertzuiopü+");
    CHECK(typed(Keymap::de, strokes({0x27, 0x28, 0x0c, 0x2c, 0x56})) == "öäßy<");
    CHECK(typed(Keymap::de, shifted(kNumbers)) == "!\"§$%&/()=?");  // the last is an accent
    CHECK(typed(Keymap::de, alt_gr({0x10, 0x08, 0x0c, 0x12, 0x56})) == "@{\\€|");
    CHECK(typed(Keymap::fr, strokes(kTopRow)) == "azertyuiop^$");  // ^ waits, and $ takes none
    CHECK(typed(Keymap::fr, strokes(kNumbers)) == "&é\"'(-è_çà)=");
    CHECK(typed(Keymap::fr, shifted(kNumbers)) == "1234567890°+");
    CHECK(typed(Keymap::fr, alt_gr({0x0b, 0x0a, 0x12})) == "@^€");
    CHECK(typed(Keymap::fr, shifted({0x29})) == "");
}

TEST_CASE("accents wait for their letter; twice, or before a blank, they come alone") {
    CHECK(typed(Keymap::fr, strokes({0x1a, 0x12})) == "ê");
    CHECK(typed(Keymap::de, strokes({0x0d, 0x12})) == "é");
    CHECK(typed(Keymap::de, strokes({0x29, 0x39})) == "^");
    CHECK(typed(Keymap::de, strokes({0x29, 0x29, 0x1e})) == "^a");
    CHECK(typed(Keymap::de, strokes({0x29, 0x2d})) == "^x");
    CHECK(typed(Keymap::de, with({}, {0x0d}, {0x2a, 0x1e, 0x9e, 0xaa})) == "Á");
    CHECK(typed(Keymap::de, strokes({0x29, 0x0e, 0x1e})) ==
          "\x7f"
          "a");
}

TEST_CASE("Shift, Caps Lock and Control do what they do on every keyboard") {
    CHECK(typed(Keymap::us, with({0x36}, {0x1e}, {0xb6, 0x1e})) == "Aa");
    CHECK(typed(Keymap::us, strokes({0x3a, 0x1e, 0x02, 0x3a, 0x1e})) == "A1a");
    CHECK(typed(Keymap::us, with({0x3a, 0xba, 0x2a}, {0x1e, 0x02}, {0xaa})) == "a!");
    CHECK(typed(Keymap::de, strokes({0x3a, 0x27, 0x0c})) == "Öß");
    CHECK(typed(Keymap::us, with({0x1d}, {0x2e, 0x16}, {0x9d, 0x2e})) ==
          "\x03\x15"
          "c");
    CHECK(typed(Keymap::us, with({0xe0, 0x1d}, {0x2e, 0x02}, {0xe0, 0x9d})) == "\x03");
    CHECK(typed(Keymap::de, with({0x1d}, {0x2c}, {0x9d})) == "\x19");  // Y where US has Z
    CHECK(typed(Keymap::us, {0x1e, 0x1e, 0x1e, 0x9e}) == "aaa");       // held
}

TEST_CASE("keys without characters send what a terminal sends") {
    CHECK(typed(Keymap::us, {0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0x50, 0xe0, 0x4b, 0xe0, 0x4d}) ==
          "\x1b[A\x1b[B\x1b[D\x1b[C");
    CHECK(typed(Keymap::us, {0xe0, 0x47, 0xe0, 0x4f, 0xe0, 0x53}) == "\x1b[H\x1b[F\x1b[3~");
    CHECK(typed(Keymap::us, strokes({0x1c, 0x0e, 0x0f, 0x39})) == "\r\x7f\t ");
    CHECK(typed(Keymap::us, strokes({0x47, 0x50, 0x53, 0x37, 0x4a})) == "72.*-");
    CHECK(typed(Keymap::us, {0xe0, 0x35, 0xe0, 0x1c}) == "/\r");
}

TEST_CASE("bytes that are no characters are passed over") {
    CHECK(typed(Keymap::us, {0xe1, 0x1d, 0x45, 0xe1, 0x9d, 0xc5, 0x1e}) == "a");  // Pause
    CHECK(typed(Keymap::us, {0xe0, 0x2a, 0xe0, 0x48, 0xe0, 0xc8, 0xe0, 0xaa, 0x1e}) == "\x1b[Aa");
    CHECK(typed(Keymap::us, {0xfa, 0xfe, 0x00, 0xff, 0x3b, 0xbb, 0x01, 0x77, 0x1e}) == "a");
    for (const Keymap keymap : {Keymap::us, Keymap::uk, Keymap::de, Keymap::fr}) {
        ScanCodes scan_codes(keymap);
        for (int i = 0; i < 0x10000; i++) {
            scan_codes.feed(uint8_t(i >> 8));
            CHECK(scan_codes.feed(uint8_t(i)).size() <= 8);
        }
    }
}

TEST_CASE("a keyboard that answers is polled every 10 ms, sixteen bytes at a time") {
    Controller c;
    Ps2Keyboard keyboard(c.bus(), true, kHz);
    keyboard.start();
    CHECK(keyboard.is_polled());
    CHECK(keyboard.answers());
    CHECK((c.config & 0x53) == 0x40);  // translating, on, no interrupts
    uint8_t bytes[Ps2Keyboard::kMaxBytes];
    for (int i = 0; i < 20; i++) c.output.push_back(uint16_t(i == 3 ? 0x155 : i));
    CHECK(keyboard.poll(c.now, bytes) == 15);  // one was the mouse's
    CHECK(bytes[2] == 2);
    CHECK(bytes[3] == 4);
    const size_t n_reads = c.n_status_reads;
    const uint64_t polled = c.now;
    CHECK(keyboard.poll(polled + 5000000, bytes) == 0);
    CHECK(c.n_status_reads == n_reads);
    CHECK(keyboard.poll(polled + 10000000, bytes) == 4);
}

TEST_CASE("a controller that is absent, or slow in all of its first reads, is never read again") {
    const auto is_left_alone = [](Controller& c, bool exists) {
        Ps2Keyboard keyboard(c.bus(), exists, kHz);
        keyboard.start();
        const size_t n_reads = c.n_status_reads;
        uint8_t bytes[Ps2Keyboard::kMaxBytes];
        c.output.push_back(0x1e);
        const int n = keyboard.poll(c.now + kHz, bytes);
        return n == 0 && c.n_status_reads == n_reads && !keyboard.is_polled() && c.commands.empty();
    };
    Controller absent, slow, told, fast;
    absent.exists = false;
    CHECK(is_left_alone(absent, true));
    slow.read_ticks = 20001;
    CHECK(is_left_alone(slow, true));
    CHECK(slow.n_status_reads == 6);
    CHECK(is_left_alone(told, false));
    CHECK(told.n_status_reads == 0);
    fast.read_ticks = 19000;
    CHECK(!is_left_alone(fast, true));
}

TEST_CASE(
    "a controller without a keyboard is polled, but nobody is said to sit there until a key "
    "comes") {
    Controller c;
    c.has_keyboard = false;
    Ps2Keyboard keyboard(c.bus(), true, kHz);
    keyboard.start();
    CHECK(keyboard.is_polled());
    CHECK(!keyboard.answers());
    c.output.push_back(0x1e);
    uint8_t bytes[Ps2Keyboard::kMaxBytes];
    CHECK(keyboard.poll(c.now, bytes) == 1);
    CHECK(keyboard.answers());
}
