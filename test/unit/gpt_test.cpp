// SPDX-License-Identifier: MIT
// Partition tables: what is found, and what is not believed.
#include "core/gpt.h"

#include <cstring>
#include <vector>

#include "test/unit/catch.h"
#include "test/unit/fake_disk.h"

using namespace axiom;

namespace {

using Disk = FakeDisk;

const Guid kOther = {{1, 2, 3}};

}  // namespace

TEST_CASE("GPT: partitions of the type are found in the table's order, with their numbers",
          "[gpt]") {
    for (const uint32_t block : {512u, 2048u, 4096u}) {
        Disk disk(block);
        disk.add(0, kOther, 40, 99);
        disk.add(2, format::kPartitionType, 100, 199);
        disk.add(127, format::kPartitionType, 300, 300);
        Partition found[4];
        const Result<size_t> n = disk.find(found);
        REQUIRE(n.ok());
        REQUIRE(n.value() == 2);
        CHECK(found[0].first_lba == 100);
        CHECK(found[0].n_blocks == 100);
        CHECK(found[0].number == 3);
        CHECK(found[0].id.bytes[0] == 3);
        CHECK(found[1].number == 128);
        CHECK(found[1].n_blocks == 1);
        CHECK(disk.find({found, 1}).status().code() == Code::no_memory);
    }
}

TEST_CASE("GPT: the text of a GUID is the specification's", "[gpt]") {
    CHECK(format::kPartitionType.text().view() == "dddc369f-9090-4995-90cb-c03c27034f7d");
}

TEST_CASE("GPT: a disk without a table has no partitions", "[gpt]") {
    Disk disk;
    Partition found[1];
    CHECK(disk.find(found).value() == 0);
    CHECK(disk.find(found).ok());
    Disk none(512, 2);
    CHECK(none.find(found).ok());
}

TEST_CASE("GPT: a damaged table is replaced by the backup, and named where both are", "[gpt]") {
    struct Case {
        const char* field;
        size_t offset;  // in the header
        uint64_t value;
        size_t n_bytes;
        bool sealed;  // with the right checksum all the same
    };
    for (const Case& c : {
             Case{"header size", 12, 91, 4, true},
             Case{"header size", 12, 513, 4, true},
             Case{"header checksum", 40, 1, 8, false},
             Case{"header's own LBA", 24, 7, 8, true},
             Case{"entry size", 84, 0, 4, true},
             Case{"entry size", 84, 64, 4, true},
             Case{"entry size", 84, 192, 4, true},
             Case{"entry size", 84, 1024, 4, true},
             Case{"number of entries", 80, 4097, 4, true},
             Case{"number of entries", 80, 0xffffffff, 4, true},
             Case{"LBA of the entries", 72, ~uint64_t{0}, 8, true},
             Case{"LBA of the entries", 72, 4065, 8, true},
             Case{"entries' checksum", 72, 3, 8, true},
             Case{"entries' checksum", 88, 1, 4, true},
         }) {
        INFO(c.field << " " << c.value);
        Disk disk;
        disk.add(0, format::kPartitionType, 100, 199);
        Partition found[1];
        for (const bool backup : {false, true}) {
            memcpy(&disk.bytes[disk.header(backup) + c.offset], &c.value, c.n_bytes);
            // A header is checked over as many bytes as it says it has.
            if (c.sealed) {
                const size_t h = disk.header(backup);
                uint32_t n = 0;
                memcpy(&n, &disk.bytes[h + 12], 4);
                disk.put(h + 16, uint32_t{0});
                disk.put(h + 16, crc32(&disk.bytes[h], std::min(n, 512u)));
            }
            const Result<size_t> n = disk.find(found);
            if (!backup) {
                REQUIRE(n.ok());
                CHECK(n.value() == 1);
                CHECK(found[0].n_blocks == 100);
            } else {
                CHECK(n.status().code() == Code::bad_format);
                CHECK(n.status().text().find(c.field) != std::string_view::npos);
            }
        }
    }
}

TEST_CASE("GPT: a partition that is not all on the disk is an error with its place", "[gpt]") {
    struct Case {
        uint64_t first, last;
    };
    for (const Case& c :
         {Case{100, 99}, {100, 4096}, {~uint64_t{0}, ~uint64_t{0}}, {0, ~uint64_t{0}}}) {
        Disk disk;
        disk.add(3, format::kPartitionType, c.first, c.last);
        Partition found[1];
        const Result<size_t> n = disk.find(found);
        CHECK(n.status().code() == Code::bad_format);
        CHECK(n.status().text().find("GPT entry 4 LBAs at offset 0x5a0") != std::string_view::npos);
    }
    Disk disk;
    disk.add(3, format::kPartitionType, 100, 4095);
    Partition found[1];
    CHECK(disk.find(found).value() == 1);
}

TEST_CASE("GPT: blocks that cannot be read lead to the backup, or are the error", "[gpt]") {
    Disk disk;
    disk.add(0, format::kPartitionType, 100, 199);
    Partition found[1];
    for (const uint64_t lba : {1, 2, 33}) {
        disk.broken_lba = lba;
        CHECK(disk.find(found).value() == 1);
    }
    disk.bytes[disk.header(true)] = 'x';
    disk.broken_lba = 1;
    CHECK(disk.find(found).status().code() == Code::io);
}

TEST_CASE("GPT: other block sizes are refused by name", "[gpt]") {
    Partition found[1];
    for (const uint32_t block : {256u, 520u, 8192u}) {
        Disk disk(block, 100);
        CHECK(disk.find(found).status().code() == Code::unsupported);
    }
}
