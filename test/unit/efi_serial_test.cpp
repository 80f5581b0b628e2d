// SPDX-License-Identifier: MIT
// The UART: whether there is one, and what becomes of text while it takes nothing.
#include "efi/dev/serial.h"

#include <string>

#include "test/unit/catch.h"

using namespace axiom::efi;

namespace {

// A 16550 whose other end takes bytes, or does not.
struct FakeUart final : RegisterAccess {
    static constexpr uint64_t kBase = 0x3f8;
    bool is_there = true, has_scratch = true, takes = true;
    uint8_t scratch = 0;
    bool is_latch_open = false;
    std::string sent;
    int n_status_reads = 0;

    uint32_t read(const Register& where, unsigned) override {
        if (!is_there) return 0xff;
        switch (where.address - kBase) {
            case 2:
                return 0xc1;
            case 5:
                n_status_reads++;
                return takes ? 0x60 : 0;
            case 7:
                return has_scratch ? scratch : 0;
            default:
                return 0;
        }
    }
    void write(const Register& where, unsigned, uint32_t value) override {
        const uint64_t index = where.address - kBase;
        if (index == 3) is_latch_open = (value & 0x80) != 0;
        if (index == 7) scratch = uint8_t(value);
        if (index == 0 && !is_latch_open) sent += char(value);
    }
};

}  // namespace

TEST_CASE("a UART that a table names needs no scratch register, one that is guessed does") {
    FakeUart uart;
    uart.has_scratch = false;
    Serial guessed(Serial::kCom1, Serial::kCom1Baud, false, uart);
    guessed.start();
    CHECK(!guessed.exists());
    Serial trusted(Serial::kCom1, 0, true, uart);
    trusted.start();
    CHECK(trusted.exists());
    trusted.put('x');
    CHECK(uart.sent == "x");
    uart.is_there = false;
    trusted.start();
    CHECK(!trusted.exists());
    uart.is_there = uart.has_scratch = true;
    guessed.start();
    CHECK(guessed.exists());
}

TEST_CASE("a UART that stalls drops text at once, and goes on when it takes something again") {
    FakeUart uart;
    Serial serial(Serial::kCom1, 0, true, uart);
    serial.start();
    for (int i = 0; i < 16; i++) CHECK(serial.try_put('a'));  // as many as its FIFO surely takes
    uart.takes = false;
    CHECK(!serial.try_put('b'));
    serial.put('b');  // waits in vain
    CHECK(serial.exists());
    uart.n_status_reads = 0;
    for (int i = 0; i < 64000; i++) CHECK(serial.try_put('c'));
    serial.put('c');
    serial.finish();
    CHECK(uart.n_status_reads <= 1001);  // dropping a whole ring takes no time
    uart.takes = true;
    for (int i = 0; i < 100; i++) CHECK(serial.try_put('d'));
    CHECK(uart.sent.substr(0, 17) == "aaaaaaaaaaaaaaaad");
    CHECK(uart.sent.size() > 16 + 30);
    serial.finish();
    CHECK(serial.exists());
}
