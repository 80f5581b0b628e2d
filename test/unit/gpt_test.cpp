// SPDX-License-Identifier: MIT
// Partition tables: what is found, and what is not believed.
#include "core/gpt.h"

#include <cstring>
#include <string>
#include <vector>

#include "model/format/format.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace {

constexpr size_t kEntries = 128, kEntryBytes = 128;

uint32_t crc32(const uint8_t* bytes, size_t n) {
    uint32_t sum = ~0u;
    for (size_t i = 0; i < n; i++) {
        sum ^= bytes[i];
        for (int b = 0; b < 8; b++) sum = (sum & 1) != 0 ? sum >> 1 ^ 0xedb88320u : sum >> 1;
    }
    return ~sum;
}

// A disk in memory with both copies of a table.
struct Disk final : BlockReader {
    uint32_t block;
    std::vector<uint8_t> bytes;
    uint64_t broken_lba = ~uint64_t{0};  // cannot be read

    explicit Disk(uint32_t block_size = 512, size_t n = 4096) : block(block_size), bytes(n * block) {}
    std::string_view name() const override { return "disk"; }
    uint32_t block_bytes() const override { return block; }
    uint64_t n_blocks() const override { return bytes.size() / block; }
    Status read_blocks(uint64_t lba, std::span<uint8_t> out) override {
        if (lba == broken_lba) return error(Code::io, "disk: LBA ", lba);
        const size_t at = size_t(lba) * block;
        REQUIRE(at + out.size() <= bytes.size());
        memcpy(out.data(), &bytes[at], out.size());
        return {};
    }
    template <class T>
    void put(size_t at, T value) {
        memcpy(&bytes[at], &value, sizeof value);
    }
    uint64_t entries_blocks() const { return kEntries * kEntryBytes / block; }
    size_t entry(bool backup, size_t i) const {
        const uint64_t lba = backup ? n_blocks() - 1 - entries_blocks() : 2;
        return lba * block + i * kEntryBytes;
    }
    size_t header(bool backup) const { return (backup ? n_blocks() - 1 : 1) * block; }
    void add(size_t i, const Guid& type, uint64_t first, uint64_t last) {
        for (const bool backup : {false, true}) {
            put(entry(backup, i), type);
            put(entry(backup, i) + 16, uint8_t(i + 1));
            put(entry(backup, i) + 32, first);
            put(entry(backup, i) + 40, last);
        }
        seal();
    }
    // Headers, and all checksums.
    void seal() {
        for (const bool backup : {false, true}) {
            const size_t h = header(backup);
            memcpy(&bytes[h], "EFI PART", 8);
            put(h + 8, uint32_t{0x10000});
            put(h + 12, uint32_t{92});
            put(h + 24, uint64_t{h / block});
            put(h + 72, uint64_t{entry(backup, 0) / block});
            put(h + 80, uint32_t{kEntries});
            put(h + 84, uint32_t{kEntryBytes});
            put(h + 88, crc32(&bytes[entry(backup, 0)], kEntries * kEntryBytes));
            seal_header(backup);
        }
    }
    void seal_header(bool backup) {
        const size_t h = header(backup);
        put(h + 16, uint32_t{0});
        put(h + 16, crc32(&bytes[h], 92));
    }
    Result<size_t> find(std::span<Partition> out) {
        std::vector<uint8_t> scratch(block);
        return find_partitions(*this, format::kPartitionType, scratch, out);
    }
};

const Guid kOther = {{1, 2, 3}};

}  // namespace

TEST_CASE("GPT: partitions of the type are found in the table's order, with their numbers", "[gpt]") {
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
        size_t offset;       // in the header
        uint64_t value;
        size_t n_bytes;
        bool sealed;         // with the right checksum all the same
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
    for (const Case& c : {Case{100, 99}, {100, 4096}, {~uint64_t{0}, ~uint64_t{0}}, {0, ~uint64_t{0}}}) {
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
