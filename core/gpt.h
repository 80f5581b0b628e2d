// SPDX-License-Identifier: MIT
// The partition table of a disk: GUID partition tables (UEFI 2.10, section 5.3). Everything in it is
// hostile; it is found where the specification says, by its checksums.
// Must not know: how a disk is read, or what a partition holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/fmt.h"
#include "core/status.h"

namespace axiom {

// As it stands on a disk: the first three fields little-endian (RFC 9562 gives the text).
struct Guid {
    uint8_t bytes[16] = {};

    bool operator==(const Guid&) const = default;
    Text<40> text() const;  // "dddc369f-9090-4995-90cb-c03c27034f7d"
};

// A disk in blocks.
class BlockReader {
  public:
    static constexpr uint32_t kMinBlockBytes = 512, kMaxBlockBytes = 4096;

    virtual std::string_view name() const = 0;  // for messages
    virtual uint32_t block_bytes() const = 0;   // a power of two
    virtual uint64_t n_blocks() const = 0;
    // Whole blocks, as many as `out` holds.
    virtual Status read_blocks(uint64_t lba, std::span<uint8_t> out) = 0;

  protected:
    ~BlockReader() = default;
};

struct Partition {
    Guid type, id;
    uint64_t first_lba = 0, n_blocks = 0;
    uint32_t number = 0;  // in the table, from 1
};

// The partitions of one type, by the primary table or, where that is damaged, by the backup; none
// where the disk has no such table. bad_format when both are damaged, or a partition does not lie on
// the disk; no_memory when there are more than out.size(); unsupported for other block sizes than
// BlockReader's. `scratch` is a block.
Result<size_t> find_partitions(BlockReader& disk, const Guid& type, std::span<uint8_t> scratch,
                               std::span<Partition> out);

}  // namespace axiom
