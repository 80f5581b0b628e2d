// SPDX-License-Identifier: MIT
// axiom-pack --to-partition, on images of disks.
#include "packer/partition.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "test/unit/catch.h"
#include "test/unit/fake_disk.h"

using namespace axiom;

namespace {

struct ImageFile {
    std::string path = "/tmp/axiom-partition-test-" + std::to_string(getpid()) + ".img";
    explicit ImageFile(const std::vector<uint8_t>& bytes) {
        std::ofstream(path, std::ios::binary)
            .write(reinterpret_cast<const char*>(bytes.data()), std::streamsize(bytes.size()));
    }
    ~ImageFile() { remove(path.c_str()); }
    std::vector<uint8_t> bytes() const {
        std::ifstream in(path, std::ios::binary);
        return {std::istreambuf_iterator<char>(in), {}};
    }
};

bool go_on(uint64_t) {
    return true;
}

}  // namespace

TEST_CASE("a packed file is written where its partition begins, and nothing else changes",
          "[gpt]") {
    for (const uint32_t block : {512u, 4096u}) {
        FakeDisk disk(block);
        disk.add(1, format::kPartitionType, 100, 299);
        std::vector<uint8_t> packed(100 * block);
        for (size_t i = 0; i < packed.size(); i++) packed[i] = uint8_t(i * 7 + i / 251);
        ImageFile image(disk.bytes);
        const Result<Partition> p = packer::write_to_partition(image.path, packed, go_on);
        REQUIRE(p.ok());
        CHECK(p.value().number == 2);
        std::copy(packed.begin(), packed.end(), disk.bytes.begin() + 100 * block);
        CHECK(image.bytes() == disk.bytes);
    }
}

TEST_CASE("a partition that is too small, missing, or one of two stays as it was", "[gpt]") {
    FakeDisk disk;
    const std::vector<uint8_t> packed(101 * 512, 1);
    const auto outcome = [&] {
        ImageFile image(disk.bytes);
        const Status status = packer::write_to_partition(image.path, packed, go_on).status();
        CHECK(image.bytes() == disk.bytes);
        return status.code();
    };
    CHECK(outcome() == Code::not_found);
    disk.add(0, format::kPartitionType, 100, 199);
    CHECK(outcome() == Code::no_memory);
    disk.add(5, format::kPartitionType, 300, 999);
    CHECK(outcome() == Code::bad_option);
    const std::string missing = "/nonexistent/disk";
    CHECK(packer::write_to_partition(missing, packed, go_on).status().code() == Code::not_found);
    const std::string null = "/dev/null";
    CHECK(packer::write_to_partition(null, packed, go_on).status().code() == Code::io);
}

TEST_CASE("a partition whose writing was stopped holds no packed file", "[gpt]") {
    FakeDisk disk;
    disk.add(0, format::kPartitionType, 100, 999);
    std::fill(disk.bytes.begin() + 100 * 512, disk.bytes.begin() + 101 * 512, uint8_t{0x55});
    ImageFile image(disk.bytes);
    const std::vector<uint8_t> packed(800 * 512, 1);
    const Status status =
        packer::write_to_partition(image.path, packed, [](uint64_t) { return false; }).status();
    CHECK(status.code() == Code::interrupted);
    const std::vector<uint8_t> after = image.bytes();
    for (size_t i = 0; i < 512; i++) REQUIRE(after[100 * 512 + i] == 0);
}
