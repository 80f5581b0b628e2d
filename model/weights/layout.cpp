// SPDX-License-Identifier: MIT
#include "model/weights/layout.h"
#include "core/round.h"

#include <algorithm>
#include <cstring>

#include "model/weights/check.h"

namespace axiom {

using format::Extent;
using format::ExtentKind;
using format::FileHeader;

namespace {

constexpr uint64_t kLoadChunkBytes = 2 << 20;

// Kind, layer and expert of the extent that `found` should be, after `previous` (nullptr: it is the
// first). Where a layer's experts may go on or end, what is found says which is meant.
Extent expected_after(const Extent* previous, const Extent& found, bool is_last) {
    const auto place = [](ExtentKind kind, uint32_t layer, uint32_t expert) {
        return Extent{0, 0, kind, layer, expert, 0};
    };
    if (is_last) return place(ExtentKind::output, 0, 0);
    if (previous == nullptr) return place(ExtentKind::config, 0, 0);
    if (previous->kind == ExtentKind::embedding) return place(ExtentKind::layer, 0, 0);
    const bool in_layer =
        previous->kind == ExtentKind::layer || previous->kind == ExtentKind::expert;
    if (!in_layer) return place(ExtentKind(uint32_t(previous->kind) + 1), 0, 0);
    if (found.kind != ExtentKind::expert) return place(ExtentKind::layer, previous->layer + 1, 0);
    return place(ExtentKind::expert, previous->layer,
                 previous->kind == ExtentKind::layer ? 0 : previous->expert + 1);
}

Text<48> place_name(const Extent& e) {
    if (e.kind == ExtentKind::expert) return Text<48>("expert ", e.expert, " of layer ", e.layer);
    if (e.kind == ExtentKind::layer) return Text<48>("layer ", e.layer);
    return Text<48>(format::extent_kind_name(e.kind));
}

Text<48> kind_text(ExtentKind kind) {
    return Text<48>(uint32_t(kind), " (", format::extent_kind_name(kind), ")");
}

Status check_extents(std::string_view file, const FileLayout& layout, uint64_t file_bytes) {
    const std::span<const Extent> extents = layout.extents;
    uint64_t end = format::head_bytes(extents.size(), layout.sums.size());
    uint64_t n_pieces = 0;
    for (size_t i = 0; i < extents.size(); i++) {
        const Extent& e = extents[i];
        const auto wrong = [&](std::string_view field, size_t offset, auto found, auto allowed) {
            return field_error(file, Text<96>("extent[", uint64_t(i), "].", field).view(),
                               FileLayout::field_offset(i, offset), found, allowed);
        };
        const Extent expected =
            expected_after(i == 0 ? nullptr : &extents[i - 1], e, i + 1 == extents.size());
        if (e.kind != expected.kind) {
            return wrong("kind", offsetof(Extent, kind), kind_text(e.kind).view(),
                         kind_text(expected.kind).view());
        }
        if (e.layer != expected.layer)
            return wrong("layer", offsetof(Extent, layer), e.layer, expected.layer);
        if (e.expert != expected.expert)
            return wrong("expert", offsetof(Extent, expert), e.expert, expected.expert);
        // A gap below one page keeps the file covered; the end is compared without overflow.
        const uint64_t begin = round_up(end, format::kExtentAlignment);
        if (e.offset != begin) {
            return wrong("offset", offsetof(Extent, offset), e.offset,
                         Text<80>(begin, " (right after the one before, 4 KiB-aligned)").view());
        }
        const uint64_t left = e.offset > file_bytes ? 0 : file_bytes - e.offset;
        if (e.bytes == 0 || e.bytes > left) {
            return wrong("bytes", offsetof(Extent, bytes), e.bytes,
                         Text<80>("1..", left, " (inside the file)").view());
        }
        if (e.first_piece != n_pieces) {
            return wrong("first_piece", offsetof(Extent, first_piece), e.first_piece, n_pieces);
        }
        n_pieces += format::n_pieces_of(e.bytes);
        end = e.offset + e.bytes;
    }
    const FileHeader& h = layout.header;
    if (n_pieces != h.n_pieces) {
        return field_error(file, "header.n_pieces", offsetof(FileHeader, n_pieces), h.n_pieces,
                           Text<80>(n_pieces, " (of 1 MiB in all extents)").view());
    }
    if (round_up(end, format::kExtentAlignment) != file_bytes) {
        return field_error(
            file, "header.file_bytes", offsetof(FileHeader, file_bytes), h.file_bytes,
            Text<80>(round_up(end, format::kExtentAlignment), " (where the last extent ends)")
                .view());
    }
    return {};
}

Status wrong_piece(std::string_view file, const FileLayout& layout, size_t i_extent,
                   uint64_t i_piece, std::string_view what, std::string_view found,
                   std::string_view allowed) {
    const Extent& e = layout.extents[i_extent];
    return field_error(
        file, Text<144>(layout.name(i_extent).view(), " piece ", i_piece, " ", what).view(),
        e.offset + i_piece * format::kPieceBytes, found, allowed);
}

Status check_sum(std::string_view file, const FileLayout& layout, size_t i_extent, uint64_t i_piece,
                 uint64_t sum) {
    const uint64_t stored = layout.sums[layout.extents[i_extent].first_piece + i_piece];
    if (sum == stored) return {};
    return wrong_piece(file, layout, i_extent, i_piece, "checksum", Text<24>(Hex{sum, 16}).view(),
                       Text<64>(Hex{stored, 16}, " (stored: the data are damaged)").view());
}

Status check_digest(std::string_view file, const FileLayout& layout, size_t i_extent,
                    uint64_t i_piece, const Sha256Digest& digest) {
    const Sha256Digest& stored = layout.digests[layout.extents[i_extent].first_piece + i_piece];
    if (digest == stored) return {};
    return wrong_piece(file, layout, i_extent, i_piece, "SHA-256", digest_text(digest).view(),
                       Text<112>(digest_text(stored).view(), " (under the required root)").view());
}

Status check_root(std::string_view file, const FileLayout& layout, const Sha256Digest* required) {
    const Sha256Digest computed = merkle_root(layout.header, layout.extents, layout.digests);
    const Sha256Digest allowed = required != nullptr ? *required : layout.root();
    if (computed == allowed) return {};
    return field_error(
        file, "Merkle root", offsetof(FileHeader, root), digest_text(computed).view(),
        Text<96>(digest_text(allowed).view(), required != nullptr ? " (required)" : " (stored)")
            .view());
}

}  // namespace

Result<uint64_t> FileLayout::head_bytes(std::string_view file, std::span<const uint8_t> header,
                                        uint64_t actual_file_bytes) {
    FileHeader h;
    const size_t n_known = std::min(header.size(), sizeof h);
    // Another file than ours is named before its length is looked at.
    if (n_known >= sizeof h.magic && memcmp(header.data(), format::kMagic, sizeof h.magic) != 0) {
        const bool gguf = memcmp(header.data(), "GGUF", 4) == 0;
        return field_error(file, "header.magic", 0,
                           Quoted{{reinterpret_cast<const char*>(header.data()), sizeof h.magic}},
                           gguf ? "\"AXIOMPK\\x00\" (this is a GGUF file: pack it with axiom-pack)"
                                : "\"AXIOMPK\\x00\"");
    }
    if (n_known >= offsetof(FileHeader, n_extents)) {
        memcpy(&h, header.data(), offsetof(FileHeader, n_extents));
        if (h.version != format::kVersion) {
            return field_error(file, "header.version", offsetof(FileHeader, version), h.version,
                               Text<112>(format::kVersion,
                                         " (pack the model again: axiom-pack "
                                         "MODEL.gguf -o MODEL.axm)")
                                   .view());
        }
    }
    if (n_known < sizeof h || actual_file_bytes < sizeof h) {
        return field_error(file, "file size", 0, actual_file_bytes,
                           Text<64>("at least ", sizeof h, " (an .axm header)").view());
    }
    memcpy(&h, header.data(), sizeof h);
    const FieldCheck check{file, 0, &h};
    if (Status s = check.range("header.n_extents", h.n_extents, format::kNFixedExtents + 1,
                               format::kMaxExtents);
        !s.ok()) {
        return s;
    }
    if (Status s = check.zeros("header.reserved", h.reserved); !s.ok()) return s;
    if (h.n_pieces < h.n_extents || h.n_pieces > format::kMaxPieces) {
        return field_error(file, "header.n_pieces", offsetof(FileHeader, n_pieces), h.n_pieces,
                           Text<64>(h.n_extents, "..", format::kMaxPieces).view());
    }
    if (h.file_bytes != actual_file_bytes) {
        return field_error(file, "header.file_bytes", offsetof(FileHeader, file_bytes),
                           h.file_bytes, Text<64>("the file's size, ", actual_file_bytes).view());
    }
    const uint64_t n = format::head_bytes(h.n_extents, h.n_pieces);
    if (n > actual_file_bytes) {
        return field_error(file, "header.n_pieces", offsetof(FileHeader, n_pieces), h.n_pieces,
                           Text<64>("tables inside the file of ", actual_file_bytes).view());
    }
    return n;
}

Result<FileLayout> FileLayout::parse(std::string_view file, std::span<const uint8_t> head,
                                     uint64_t actual_file_bytes, RootCheck root) {
    const Result<uint64_t> n_head =
        head_bytes(file, head.first(std::min(head.size(), sizeof(FileHeader))), actual_file_bytes);
    if (!n_head.ok()) return n_head.status();
    AXIOM_CHECK(n_head.value() <= head.size());

    FileLayout layout;
    FileHeader& h = layout.header;
    memcpy(&h, head.data(), sizeof h);
    const uint8_t* at = head.data() + sizeof h;
    layout.extents = {reinterpret_cast<const Extent*>(at), h.n_extents};
    at += layout.extents.size_bytes();
    layout.sums = {reinterpret_cast<const uint64_t*>(at), size_t(h.n_pieces)};
    at += layout.sums.size_bytes();
    layout.digests = {reinterpret_cast<const Sha256Digest*>(at), size_t(h.n_pieces)};

    const uint64_t sum = head_checksum(h, layout.extents, layout.sums, layout.digests);
    if (sum != h.head_checksum) {
        return field_error(file, "header.head_checksum", offsetof(FileHeader, head_checksum),
                           Hex{h.head_checksum, 16}, Text<48>(Hex{sum, 16}, " (computed)").view());
    }
    if (Status s = check_extents(file, layout, actual_file_bytes); !s.ok()) return s;
    layout.by_digest = root.wanted;
    if (root.wanted) {
        if (Status s = check_root(file, layout, root.required); !s.ok()) return s;
    }
    return layout;
}

uint32_t FileLayout::find(ExtentKind kind, size_t layer, size_t expert) const {
    // Extents ascend by (is it the output, layer, expert) behind the metadata.
    if (kind < ExtentKind::layer) return uint32_t(kind);
    if (kind == ExtentKind::output) return uint32_t(extents.size() - 1);
    if (layer >= format::kMaxExtents || expert >= format::kMaxExtents) return format::kNone;
    const auto first = extents.begin() + uint32_t(ExtentKind::layer), last = extents.end() - 1;
    // A layer's own extent comes before its experts.
    const auto place = [](const Extent& e) {
        return uint64_t{e.layer} << 32 | (e.kind == ExtentKind::expert ? e.expert + 1 : 0);
    };
    const uint64_t wanted = uint64_t(layer) << 32 | (kind == ExtentKind::expert ? expert + 1 : 0);
    const auto found = std::lower_bound(
        first, last, wanted, [&](const Extent& e, uint64_t value) { return place(e) < value; });
    if (found == last || place(*found) != wanted) return format::kNone;
    return uint32_t(found - extents.begin());
}

const Extent& FileLayout::extent(ExtentKind kind) const {
    AXIOM_CHECK(kind != ExtentKind::layer && kind != ExtentKind::expert);
    return extents[find(kind)];
}

Sha256Digest FileLayout::root() const {
    Sha256Digest digest;
    memcpy(digest.data(), header.root, digest.size());
    return digest;
}

size_t FileLayout::n_layers() const {
    return extents[extents.size() - 2].layer + size_t{1};
}

std::span<const uint8_t> FileLayout::piece(size_t i_extent, uint64_t i_piece,
                                           const uint8_t* extent) const {
    const uint64_t begin = i_piece * format::kPieceBytes;
    return {extent + begin, size_t(std::min(format::kPieceBytes, extents[i_extent].bytes - begin))};
}

Text<96> FileLayout::name(size_t i_extent) const {
    const Extent& e = extents[i_extent];
    return Text<96>("extent[", uint64_t(i_extent), "] (", place_name(e).view(), " at ",
                    Hex{e.offset}, ", ", e.bytes, " bytes)");
}

Status check_piece(std::string_view file, const FileLayout& layout, size_t i_extent,
                   uint64_t i_piece, std::span<const uint8_t> bytes) {
    if (!layout.by_digest)
        return check_sum(file, layout, i_extent, i_piece, Xxh64::of(bytes.data(), bytes.size()));
    MerkleLeaf leaf;
    leaf.update(bytes.data(), bytes.size());
    return check_digest(file, layout, i_extent, i_piece, leaf.digest());
}

Status ChecksumStream::feed(std::span<const uint8_t> bytes) {
    while (!bytes.empty() && i_extent_ < layout_.extents.size()) {
        const Extent& e = layout_.extents[i_extent_];
        const uint64_t begin = e.offset + i_piece_ * format::kPieceBytes;
        if (position_ < begin) {  // padding, or the head
            const size_t n = size_t(std::min<uint64_t>(bytes.size(), begin - position_));
            position_ += n;
            bytes = bytes.subspan(n);
            continue;
        }
        const uint64_t end = std::min(e.offset + e.bytes, begin + format::kPieceBytes);
        const size_t n = size_t(std::min<uint64_t>(bytes.size(), end - position_));
        if (layout_.by_digest) {
            leaf_.update(bytes.data(), n);
        } else {
            hash_.update(bytes.data(), n);
        }
        position_ += n;
        bytes = bytes.subspan(n);
        if (position_ < end) return {};
        const Status status =
            layout_.by_digest ? check_digest(file_, layout_, i_extent_, i_piece_, leaf_.digest())
                              : check_sum(file_, layout_, i_extent_, i_piece_, hash_.digest());
        if (!status.ok()) return status;
        hash_.reset();
        leaf_.reset();
        i_piece_++;
        if (end == e.offset + e.bytes) i_extent_++, i_piece_ = 0;
    }
    position_ += bytes.size();
    return {};
}

Status ChecksumStream::finish() const {
    if (i_extent_ == layout_.extents.size()) return {};
    const Extent& e = layout_.extents[i_extent_];
    return field_error(file_, Text<64>("extent[", uint64_t(i_extent_), "].bytes").view(),
                       FileLayout::field_offset(i_extent_, offsetof(Extent, bytes)), e.bytes,
                       Text<64>("what the file holds; it ended at ", position_).view());
}

Sha256Digest merkle_root(const FileHeader& header, std::span<const Extent> extents,
                         std::span<const Sha256Digest> digests) {
    FileHeader zeroed = header;
    zeroed.head_checksum = 0;
    memset(zeroed.root, 0, sizeof zeroed.root);
    MerkleLeaf head;
    head.update(&zeroed, sizeof zeroed);
    head.update(extents.data(), extents.size_bytes());
    MerkleTree tree;
    tree.add(head.digest());
    for (const Sha256Digest& digest : digests) tree.add(digest);
    return tree.root();
}

uint64_t head_checksum(const FileHeader& header, std::span<const Extent> extents,
                       std::span<const uint64_t> sums, std::span<const Sha256Digest> digests) {
    FileHeader zeroed = header;
    zeroed.head_checksum = 0;
    Xxh64 hash;
    hash.update(&zeroed, sizeof zeroed);
    hash.update(extents.data(), extents.size_bytes());
    hash.update(sums.data(), sums.size_bytes());
    hash.update(digests.data(), digests.size_bytes());
    return hash.digest();
}

Status load_packed(std::string_view file, uint64_t file_bytes, ByteSource& source,
                   std::span<uint8_t> to, LoadProgress progress, void* context, RootCheck root) {
    AXIOM_CHECK(to.size() >= file_bytes);
    uint64_t done = 0;
    const auto read_to = [&](uint64_t end) -> Status {
        while (done < end) {
            const uint64_t n = std::min(kLoadChunkBytes, end - done);
            if (Status s = source.read(done, to.subspan(done, n)); !s.ok()) return s;
            done += n;
            progress(context, done);
        }
        return {};
    };
    Status status = read_to(std::min<uint64_t>(file_bytes, sizeof(FileHeader)));
    if (!status.ok()) return status;
    const Result<uint64_t> n_head = FileLayout::head_bytes(file, to.first(done), file_bytes);
    if (!n_head.ok()) return n_head.status();
    status = read_to(n_head.value());
    if (!status.ok()) return status;
    const Result<FileLayout> layout = FileLayout::parse(file, to.first(done), file_bytes, root);
    if (!layout.ok()) return layout.status();

    ChecksumStream checksums(file, layout.value());
    status = checksums.feed(to.first(done));
    while (status.ok() && done < file_bytes) {
        const uint64_t begin = done;
        status = read_to(std::min(file_bytes, done + kLoadChunkBytes));
        if (status.ok()) status = checksums.feed(to.subspan(begin, done - begin));
    }
    return status.ok() ? checksums.finish() : status;
}

Result<uint64_t> frame_bytes(std::string_view file, uint64_t file_bytes, ByteSource& source) {
    FileHeader header;
    const std::span<uint8_t> bytes(reinterpret_cast<uint8_t*>(&header), sizeof header);
    const std::span<uint8_t> known = bytes.first(std::min<uint64_t>(file_bytes, sizeof header));
    if (Status s = source.read(0, known); !s.ok()) return s;
    const Result<uint64_t> n_head = FileLayout::head_bytes(file, known, file_bytes);
    if (!n_head.ok()) return n_head.status();
    Extent ends[2];  // the first layer, the output
    const size_t places[2] = {FileLayout::kFirstLayer, header.n_extents - size_t{1}};
    for (size_t i = 0; i < 2; i++) {
        const uint64_t at = FileLayout::field_offset(places[i], 0);
        if (Status s = source.read(at, {reinterpret_cast<uint8_t*>(&ends[i]), sizeof ends[i]});
            !s.ok()) {
            return s;
        }
    }
    const auto wrong = [&](size_t i, std::string_view field, size_t offset, uint64_t found,
                           uint64_t low) {
        return field_error(file, Text<96>("extent[", uint64_t(places[i]), "].", field).view(),
                           FileLayout::field_offset(places[i], offset), found,
                           Text<64>(low, "..", file_bytes, " (inside the file)").view());
    };
    if (ends[0].offset < n_head.value() || ends[0].offset > file_bytes)
        return wrong(0, "offset", offsetof(Extent, offset), ends[0].offset, n_head.value());
    if (ends[1].bytes > file_bytes - ends[0].offset)
        return wrong(1, "bytes", offsetof(Extent, bytes), ends[1].bytes, 1);
    return ends[0].offset + ends[1].bytes;
}

Status load_frame(std::string_view file, uint64_t file_bytes, ByteSource& source,
                  std::span<uint8_t> to, LoadProgress progress, void* context, RootCheck root) {
    const auto read = [&](uint64_t from, uint64_t n, uint64_t at) -> Status {
        for (uint64_t done = 0; done < n;) {
            const uint64_t part = std::min(kLoadChunkBytes, n - done);
            if (Status s = source.read(from + done, to.subspan(at + done, part)); !s.ok()) return s;
            done += part;
            progress(context, at + done);
        }
        return {};
    };
    uint64_t known = std::min<uint64_t>(to.size(), sizeof(FileHeader));
    if (Status s = read(0, known, 0); !s.ok()) return s;
    const Result<uint64_t> n_head = FileLayout::head_bytes(file, to.first(known), file_bytes);
    if (!n_head.ok()) return n_head.status();
    const auto changed = [&] {
        return error(Code::io, file, ": its head has changed while it was being read");
    };
    if (n_head.value() > to.size()) return changed();
    if (Status s = read(0, n_head.value(), 0); !s.ok()) return s;
    const Result<FileLayout> parsed =
        FileLayout::parse(file, to.first(size_t(n_head.value())), file_bytes, root);
    if (!parsed.ok()) return parsed.status();
    const FileLayout& layout = parsed.value();
    if (layout.frame_bytes() != to.size()) return changed();
    known = n_head.value();
    const Extent& first_layer = layout.extents[FileLayout::kFirstLayer];
    if (Status s = read(known, first_layer.offset - known, known); !s.ok()) return s;
    const Extent& output = layout.extents.back();
    if (Status s = read(output.offset, output.bytes, first_layer.offset); !s.ok()) return s;

    for (size_t i = 0; i < layout.extents.size(); i++) {
        if (i == FileLayout::kFirstLayer) i = layout.extents.size() - 1;
        const uint8_t* const extent = to.data() + layout.offset_in_frame(i);
        for (uint64_t piece = 0; piece < format::n_pieces_of(layout.extents[i].bytes); piece++) {
            const Status status =
                check_piece(file, layout, i, piece, layout.piece(i, piece, extent));
            if (!status.ok()) return status;
        }
    }
    return {};
}

Status verify_checksums(std::string_view file, std::span<const uint8_t> bytes) {
    Result<FileLayout> layout = FileLayout::parse(file, bytes, bytes.size());
    if (!layout.ok()) return layout.status();
    ChecksumStream stream(file, layout.value());
    if (Status s = stream.feed(bytes); !s.ok()) return s;
    return stream.finish();
}

}  // namespace axiom
