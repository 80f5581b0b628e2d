// SPDX-License-Identifier: MIT
// The head of a packed file, checked: where its extents lie and what their pieces must hash to.
// It is all a loader needs. Must not know: what an extent holds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/clock.h"
#include "core/hash.h"
#include "core/sha256.h"
#include "core/status.h"
#include "model/format/format.h"

namespace axiom {

// Whether the Merkle root is to vouch for a file: then it is recomputed from the head, and pieces are checked
// by their digests, not by their XXH64.
struct RootCheck {
    bool wanted = false;
    const Sha256Digest* required =
        nullptr;  // the only root that is allowed; nullptr: the file's own
};

struct FileLayout {
    format::FileHeader header{};
    std::span<const format::Extent> extents;  // these three: into the given bytes
    std::span<const uint64_t> sums;           // [n_pieces] XXH64
    std::span<const Sha256Digest> digests;    // [n_pieces] Merkle leaves
    // Pieces are checked by their digests, for which the root vouches, instead of their XXH64.
    bool by_digest = false;

    // Bytes of the head of a file of `actual_file_bytes`, by its first sizeof(FileHeader) bytes (or
    // fewer, where the file is shorter). Checks magic, version, sizes and counts.
    static Result<uint64_t> head_bytes(std::string_view file, std::span<const uint8_t> header,
                                       uint64_t actual_file_bytes);
    // `head` holds at least head_bytes() bytes, 8-byte aligned, and outlives the layout. Checks the
    // head checksum, order, alignment, kinds and pieces of the extents, and the root where it is to be.
    static Result<FileLayout> parse(std::string_view file, std::span<const uint8_t> head,
                                    uint64_t actual_file_bytes, RootCheck root = {});

    // Index of an extent; format::kNone where there is none.
    uint32_t find(format::ExtentKind kind, size_t layer = 0, size_t expert = 0) const;
    // One that every file has: the kinds that are neither layer nor expert.
    const format::Extent& extent(format::ExtentKind kind) const;
    size_t n_layers() const;

    Sha256Digest root() const;  // as stored
    std::span<const uint8_t> id() const { return {header.root, format::kIdBytes}; }

    // The frame of a file is what is left of it without its layers: all that comes before the first
    // layer's extent and, right behind that, the output extent. It stays in memory for a whole run.
    static constexpr size_t kFirstLayer = size_t(format::ExtentKind::layer);
    uint64_t frame_bytes() const { return extents[kFirstLayer].offset + extents.back().bytes; }
    // Where an extent that is in the frame begins there.
    uint64_t offset_in_frame(size_t i_extent) const {
        return extents[i_extent + 1 == extents.size() ? kFirstLayer : i_extent].offset;
    }

    // A piece of an extent whose bytes begin at `extent`.
    std::span<const uint8_t> piece(size_t i_extent, uint64_t i_piece, const uint8_t* extent) const;

    // "extent[7] (layer 2 at 0x1000, 640 bytes)", for messages.
    Text<96> name(size_t i_extent) const;
    // Where the extent's field stands in the file.
    static uint64_t field_offset(size_t i_extent, size_t offset_in_extent) {
        return sizeof(format::FileHeader) + i_extent * sizeof(format::Extent) + offset_in_extent;
    }
};

// One piece of an extent against its XXH64 or its digest, as the layout says; `bytes` is the whole piece.
// The error names the extent and the place in the file.
Status check_piece(std::string_view file, const FileLayout& layout, size_t i_extent,
                   uint64_t i_piece, std::span<const uint8_t> bytes);

// Verifies pieces over a file that arrives in order, in parts of any size.
class ChecksumStream {
  public:
    ChecksumStream(std::string_view file, const FileLayout& layout)
        : file_(file), layout_(layout) {}
    // The next bytes of the file, starting at offset 0. Fails at the first wrong piece.
    Status feed(std::span<const uint8_t> bytes);
    // After the last byte.
    Status finish() const;

  private:
    std::string_view file_;
    const FileLayout& layout_;
    uint64_t position_ = 0;
    size_t i_extent_ = 0;
    uint64_t i_piece_ = 0;  // of the extent
    Xxh64 hash_;
    MerkleLeaf leaf_;
};

// What the writer stores and a verifier recomputes: the Merkle root of a head whose digests stand,
// and the head's checksum.
Sha256Digest merkle_root(const format::FileHeader& header, std::span<const format::Extent> extents,
                         std::span<const Sha256Digest> digests);
uint64_t head_checksum(const format::FileHeader& header, std::span<const format::Extent> extents,
                       std::span<const uint64_t> sums, std::span<const Sha256Digest> digests);

// What gives the bytes of a file: a firmware's file, a partition, a Linux file.
class ByteSource {
  public:
    // out.size() bytes from `offset` on, all of them. Mostly in order.
    virtual Status read(uint64_t offset, std::span<uint8_t> out) = 0;

  protected:
    ~ByteSource() = default;
};

// What reading took, of all that was done with the bytes.
class TimedBytes : public ByteSource {
  public:
    explicit TimedBytes(ByteSource& source) : source_(source) {}
    Status read(uint64_t offset, std::span<uint8_t> out) override {
        const uint64_t begin = ticks_now();
        const Status status = source_.read(offset, out);
        ticks_ += ticks_now() - begin;
        return status;
    }
    uint64_t ticks() const { return ticks_; }

  private:
    ByteSource& source_;
    uint64_t ticks_ = 0;
};

// Reads a whole packed file of `file_bytes` into `to` (as long, 64-byte aligned) and verifies it
// while it arrives; head first, so that a file that is not ours costs no time. `progress` is called
// with the bytes read so far after each part. `root` as FileLayout::parse() takes it.
using LoadProgress = void (*)(void* context, uint64_t done_bytes);
Status load_packed(std::string_view file, uint64_t file_bytes, ByteSource& source,
                   std::span<uint8_t> to, LoadProgress progress, void* context,
                   RootCheck root = {});

// Bytes of the frame of a packed file, for taking memory: what the extent table says, which
// load_frame() checks.
Result<uint64_t> frame_bytes(std::string_view file, uint64_t file_bytes, ByteSource& source);
// Reads the frame into `to` (frame_bytes() long, 64-byte aligned) and verifies it; `progress` as above.
Status load_frame(std::string_view file, uint64_t file_bytes, ByteSource& source,
                  std::span<uint8_t> to, LoadProgress progress, void* context, RootCheck root = {});

// Every piece of a whole file in memory.
Status verify_checksums(std::string_view file, std::span<const uint8_t> bytes);

}  // namespace axiom
