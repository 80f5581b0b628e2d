// SPDX-License-Identifier: MIT
// A disk in memory with both copies of a partition table.
#pragma once

#include <cstring>
#include <span>
#include <vector>

#include "core/gpt.h"
#include "model/format/format.h"
#include "test/unit/catch.h"

namespace axiom {

constexpr size_t kEntries = 128, kEntryBytes = 128;

inline uint32_t crc32(const uint8_t* bytes, size_t n) {
    uint32_t sum = ~0u;
    for (size_t i = 0; i < n; i++) {
        sum ^= bytes[i];
        for (int b = 0; b < 8; b++) sum = (sum & 1) != 0 ? sum >> 1 ^ 0xedb88320u : sum >> 1;
    }
    return ~sum;
}

struct FakeDisk final : BlockReader {
    uint32_t block;
    std::vector<uint8_t> bytes;
    uint64_t broken_lba = ~uint64_t{0};  // cannot be read

    explicit FakeDisk(uint32_t block_size = 512, size_t n = 4096)
        : block(block_size), bytes(n * block) {}
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

}  // namespace axiom
