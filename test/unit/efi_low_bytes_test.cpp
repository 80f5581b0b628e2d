// SPDX-License-Identifier: MIT
// Reading by way of a buffer: the same bytes, and the source never sees another address.
#include "efi/load/low_bytes.h"

#include <vector>

#include "test/unit/catch.h"

using namespace axiom;
using namespace axiom::efi;

namespace {

// A disk whose driver reaches one buffer: elsewhere the bytes arrive wrong.
struct NarrowDisk final : ByteSource {
    std::span<const uint8_t> reachable;
    uint64_t n_bytes = 1000;

    Status read(uint64_t offset, std::span<uint8_t> out) override {
        if (offset + out.size() > n_bytes) return error(Code::io, "past the end");
        const bool is_right = out.data() >= reachable.data() &&
                              out.data() + out.size() <= reachable.data() + reachable.size();
        for (size_t i = 0; i < out.size(); i++)
            out[i] = uint8_t(is_right ? (offset + i) * 7 : 0xee);
        return {};
    }
};

}  // namespace

TEST_CASE("bytes that a disk cannot put where they belong come by way of a buffer") {
    uint8_t buffer[64];
    NarrowDisk disk;
    disk.reachable = buffer;
    LowBytes low(disk, buffer);
    for (const size_t n : {0, 1, 63, 64, 65, 128, 500}) {
        std::vector<uint8_t> out(n + 1, 0x55);
        REQUIRE(low.read(3, std::span(out).first(n)).ok());
        for (size_t i = 0; i < n; i++) REQUIRE(out[i] == uint8_t((3 + i) * 7));
        CHECK(out[n] == 0x55);
    }
    std::vector<uint8_t> direct(8);
    REQUIRE(disk.read(0, direct).ok());
    CHECK(direct[1] == 0xee);
}

TEST_CASE("what fails on the way fails") {
    uint8_t buffer[64];
    NarrowDisk disk;
    disk.reachable = buffer;
    LowBytes low(disk, buffer);
    std::vector<uint8_t> out(100);
    CHECK(low.read(950, out).code() == Code::io);
}
