// SPDX-License-Identifier: MIT
#include "core/gpt.h"

#include <cstring>

namespace axiom {
namespace {

// Section 5.3.2, table 5.5.
struct Header {
    char signature[8];
    uint32_t revision, header_bytes, header_crc, reserved;
    uint64_t own_lba, other_lba, first_usable_lba, last_usable_lba;
    Guid disk;
    uint64_t entries_lba;
    uint32_t n_entries, entry_bytes, entries_crc, reserved_too;
};
constexpr uint32_t kHeaderBytes = 92;  // without the padding that closes the struct
static_assert(sizeof(Header) == 96);

// Section 5.3.3, table 5.6; a name follows.
struct Entry {
    Guid type, id;
    uint64_t first_lba, last_lba, attributes;
};
constexpr uint32_t kMinEntryBytes = 128, kMaxEntries = 4096;

// Not std::has_single_bit: without popcnt that is a call into a library that the image has not.
constexpr bool is_power_of_two(uint32_t n) {
    return n != 0 && (n & (n - 1)) == 0;
}

// CRC-32 of IEEE 802.3. Tables are a few KiB, so it goes bit by bit.
class Crc32 {
  public:
    void update(std::span<const uint8_t> bytes) {
        for (const uint8_t byte : bytes) {
            sum_ ^= byte;
            for (int i = 0; i < 8; i++) sum_ = sum_ >> 1 ^ (0xedb88320 & (0 - (sum_ & 1)));
        }
    }
    uint32_t digest() const { return ~sum_; }

  private:
    uint32_t sum_ = ~uint32_t{0};
};

class Table {
  public:
    Table(BlockReader& disk, std::span<uint8_t> scratch)
        : disk_(disk), block_(scratch.first(disk.block_bytes())) {}

    enum class State { none, damaged, good };

    // The table whose header stands at `lba`. Damaged: status() says what.
    State open(uint64_t lba);
    const Status& status() const { return status_; }
    Result<size_t> find(const Guid& type, std::span<Partition> out);

  private:
    template <class Found, class Allowed>
    State damaged(std::string_view field, uint64_t at, const Found& found, const Allowed& allowed) {
        status_ = field_error(disk_.name(), Text<64>("GPT ", field).view(),
                              header_lba_ * disk_.block_bytes() + at, found, allowed);
        return State::damaged;
    }
    State check_entries();
    // of_block(bytes) for the entries of every block.
    template <class F>
    Status for_each_block(F of_block);

    BlockReader& disk_;
    std::span<uint8_t> block_;
    uint64_t header_lba_ = 0;
    Header header_{};
    Status status_;
};

Table::State Table::open(uint64_t lba) {
    header_lba_ = lba;
    status_ = disk_.read_blocks(lba, block_);
    if (!status_.ok()) return State::damaged;
    if (memcmp(block_.data(), "EFI PART", 8) != 0) return State::none;
    memcpy(&header_, block_.data(), sizeof header_);
    const Header& h = header_;
    if (h.header_bytes < kHeaderBytes || h.header_bytes > block_.size()) {
        return damaged("header size", offsetof(Header, header_bytes), h.header_bytes,
                       Text<32>(kHeaderBytes, "..", uint64_t(block_.size())).view());
    }
    memset(block_.data() + offsetof(Header, header_crc), 0, sizeof h.header_crc);
    Crc32 sum;
    sum.update(block_.first(h.header_bytes));
    if (sum.digest() != h.header_crc) {
        return damaged("header checksum", offsetof(Header, header_crc), Hex{h.header_crc, 8},
                       Text<32>(Hex{sum.digest(), 8}, " (computed)").view());
    }
    if (h.own_lba != lba) {
        return damaged("header's own LBA", offsetof(Header, own_lba), h.own_lba, lba);
    }
    if (!is_power_of_two(h.entry_bytes) || h.entry_bytes < kMinEntryBytes ||
        h.entry_bytes > block_.size()) {
        return damaged("entry size", offsetof(Header, entry_bytes), h.entry_bytes,
                       Text<48>("a power of two in ", kMinEntryBytes, "..", block_.size()).view());
    }
    if (h.n_entries > kMaxEntries) {
        return damaged("number of entries", offsetof(Header, n_entries), h.n_entries,
                       Text<32>("at most ", kMaxEntries).view());
    }
    const uint64_t n_table_blocks =
        (uint64_t{h.n_entries} * h.entry_bytes + block_.size() - 1) / block_.size();
    if (h.entries_lba >= disk_.n_blocks() || disk_.n_blocks() - h.entries_lba < n_table_blocks) {
        return damaged("LBA of the entries", offsetof(Header, entries_lba), h.entries_lba,
                       Text<48>("a table on the disk of ", disk_.n_blocks(), " blocks").view());
    }
    return check_entries();
}

template <class F>
Status Table::for_each_block(F of_block) {
    const uint64_t n_bytes = uint64_t{header_.n_entries} * header_.entry_bytes;
    uint64_t lba = header_.entries_lba;
    for (uint64_t done = 0; done < n_bytes; done += block_.size()) {
        Status status = disk_.read_blocks(lba++, block_);
        if (!status.ok()) return status;
        const uint64_t left = n_bytes - done;
        of_block(block_.first(left < block_.size() ? size_t(left) : block_.size()));
    }
    return {};
}

Table::State Table::check_entries() {
    Crc32 sum;
    status_ = for_each_block([&](std::span<const uint8_t> bytes) { sum.update(bytes); });
    if (!status_.ok()) return State::damaged;
    if (sum.digest() == header_.entries_crc) return State::good;
    return damaged("entries' checksum", offsetof(Header, entries_crc), Hex{header_.entries_crc, 8},
                   Text<32>(Hex{sum.digest(), 8}, " (computed)").view());
}

Result<size_t> Table::find(const Guid& type, std::span<Partition> out) {
    size_t n_found = 0;
    uint32_t number = 0;
    Status wrong;
    Status status = for_each_block([&](std::span<const uint8_t> bytes) {
        for (size_t at = 0; at < bytes.size(); at += header_.entry_bytes) {
            number++;
            Entry e;
            memcpy(&e, bytes.data() + at, sizeof e);
            if (e.type != type) continue;
            if (e.first_lba > e.last_lba || e.last_lba >= disk_.n_blocks()) {
                const uint64_t offset = header_.entries_lba * disk_.block_bytes() +
                                        uint64_t{number - 1} * header_.entry_bytes;
                wrong = field_error(disk_.name(), Text<64>("GPT entry ", number, " LBAs").view(),
                                    offset + offsetof(Entry, first_lba),
                                    Text<64>(e.first_lba, "..", e.last_lba).view(),
                                    Text<48>("ascending below ", disk_.n_blocks()).view());
            } else if (n_found == out.size()) {
                wrong = error(Code::no_memory, disk_.name(), ": partitions of one type: allowed ",
                              uint64_t(out.size()));
            } else {
                out[n_found++] = {e.type, e.id, e.first_lba, e.last_lba - e.first_lba + 1, number};
            }
        }
    });
    if (!status.ok()) return status;
    if (!wrong.ok()) return wrong;
    return n_found;
}

}  // namespace

Text<40> Guid::text() const {
    // Where each byte of the text stands on the disk.
    constexpr uint8_t kOrder[16] = {3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15};
    char buffer[40];
    Writer w(buffer, sizeof buffer);
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) w.put('-');
        w.put(HexDigits{bytes[kOrder[i]], 2});
    }
    return Text<40>(w.view());
}

Result<size_t> find_partitions(BlockReader& disk, const Guid& type, std::span<uint8_t> scratch,
                               std::span<Partition> out) {
    const uint32_t block_bytes = disk.block_bytes();
    if (!is_power_of_two(block_bytes) || block_bytes < BlockReader::kMinBlockBytes ||
        block_bytes > BlockReader::kMaxBlockBytes) {
        return error(Code::unsupported, disk.name(), ": block size: found ", block_bytes,
                     ", allowed 512..4096");
    }
    if (disk.n_blocks() < 3) return size_t{0};
    Table primary(disk, scratch);
    const Table::State state = primary.open(1);
    if (state == Table::State::good) return primary.find(type, out);
    Table backup(disk, scratch);
    if (backup.open(disk.n_blocks() - 1) == Table::State::good) return backup.find(type, out);
    if (state == Table::State::damaged) return primary.status();
    return size_t{0};
}

}  // namespace axiom
