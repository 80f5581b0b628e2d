// SPDX-License-Identifier: MIT
// A packed file in memory, taken apart for tests that bend it, with checksums made right again.
#pragma once

#include <algorithm>
#include <cstring>
#include <span>

#include "model/format/format.h"
#include "model/weights/layout.h"
#include "test/unit/engine.h"

namespace axiom::test {

// What a forger would have to do: the sums against accidents only, or the digests, too.
enum class Seal { sums, digests };

// The tables of a packed file by the counts in its header, whatever they say: nothing outside the
// file is touched.
class PackedFile {
  public:
    PackedFile() = default;
    explicit PackedFile(std::span<const uint8_t> bytes) : bytes_(bytes) {}

    std::span<uint8_t> span() const { return bytes_.span(); }
    uint8_t* data() const { return bytes_.data(); }
    size_t size() const { return bytes_.size(); }

    format::FileHeader& header() const { return *at<format::FileHeader>(0); }
    format::Extent* extents() const { return at<format::Extent>(sizeof(format::FileHeader)); }
    uint64_t* sums() const {
        return at<uint64_t>(sizeof(format::FileHeader) +
                            size_t{header().n_extents} * sizeof(format::Extent));
    }
    Sha256Digest* digests() const {
        return reinterpret_cast<Sha256Digest*>(sums() + header().n_pieces);
    }
    format::Config& config() const { return *at<format::Config>(extents()[0].offset); }
    format::LayerConfig* layers() const {
        return at<format::LayerConfig>(extents()[0].offset + sizeof(format::Config));
    }
    format::TensorEntry* entries() const { return at<format::TensorEntry>(extents()[3].offset); }

    // Makes checksums right for the bytes that are there, so that the check behind them is reached.
    void seal(Seal what = Seal::sums) const {
        format::FileHeader& h = header();
        if (h.n_extents > format::kMaxExtents || h.n_pieces > format::kMaxPieces) return;
        if (format::head_bytes(h.n_extents, h.n_pieces) > size()) return;
        for (size_t i = 0; i < h.n_extents; i++) {
            const format::Extent e = extents()[i];
            if (e.offset > size() || e.bytes > size() - e.offset) continue;
            for (uint64_t from = 0, piece = e.first_piece; from < e.bytes && piece < h.n_pieces;
                 from += format::kPieceBytes, piece++) {
                const uint8_t* const start = data() + e.offset + from;
                const size_t n = size_t(std::min(format::kPieceBytes, e.bytes - from));
                sums()[piece] = Xxh64::of(start, n);
                if (what == Seal::sums) continue;
                MerkleLeaf leaf;
                leaf.update(start, n);
                digests()[piece] = leaf.digest();
            }
        }
        if (what == Seal::digests) {
            const Sha256Digest root =
                merkle_root(h, {extents(), h.n_extents}, {digests(), size_t(h.n_pieces)});
            memcpy(h.root, root.data(), root.size());
        }
        seal_head();
    }
    // Only the head's checksum, by the definition of model/format/format.h.
    void seal_head() const {
        format::FileHeader& h = header();
        if (h.n_extents > format::kMaxExtents || h.n_pieces > format::kMaxPieces) return;
        const uint64_t n = format::head_bytes(h.n_extents, h.n_pieces);
        if (n > size()) return;
        h.head_checksum = 0;
        h.head_checksum = Xxh64::of(data(), size_t(n));
    }

  private:
    template <class T>
    T* at(uint64_t offset) const {
        return reinterpret_cast<T*>(data() + offset);
    }

    AlignedBytes bytes_;
};

}  // namespace axiom::test
