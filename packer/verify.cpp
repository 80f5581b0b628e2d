// SPDX-License-Identifier: MIT
#include "packer/verify.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "model/text/chat.h"
#include "model/text/tokenizer.h"
#include "model/weights/weights.h"
#include "packer/manifest.h"

namespace axiom::packer {
namespace {

using format::Extent;
using format::ExtentKind;
using format::TensorEntry;

Status check_plain(const Weights& weights, const TensorEntry& entry, const uint8_t* data) {
    const size_t width = entry.type == StoredType::f64 ? sizeof(double) : sizeof(float);
    for (uint64_t at = 0; at < entry.bytes; at += width) {
        float single;
        double value;
        if (entry.type == StoredType::f64) {
            memcpy(&value, data + at, sizeof value);
        } else {
            memcpy(&single, data + at, sizeof single);
            value = double(single);
        }
        if (std::isfinite(value)) continue;
        const uint64_t offset = weights.layout.extents[entry.extent].offset + entry.offset + at;
        return field_error(weights.file, tensor_name(weights, entry), offset, Fixed{value, 0},
                           "finite numbers");
    }
    return {};
}

// The first f16 scale or minimum of a stored matrix that is not finite. The K formats keep theirs
// before super-blocks, the others at the end of every block.
Status check_scales(const Weights& weights, const TensorEntry& entry, const uint8_t* data) {
    if (!is_quantized(entry.type)) return check_plain(weights, entry, data);
    const bool k_quant = is_k_quant(entry.type);
    const size_t step = k_quant ? group_bytes(entry.type, kSuperBlocks) : block_bytes(entry.type);
    const size_t end = k_quant ? super_scale_bytes(entry.type) : step;
    const size_t begin = k_quant ? 0 : end - (entry.type == StoredType::q4m ? 64 : 32);
    for (uint64_t at = 0; at < entry.bytes; at += step) {
        for (size_t i = begin; i < end; i += 2) {
            uint16_t half;
            memcpy(&half, data + at + i, sizeof half);
            if ((half & 0x7c00) != 0x7c00) continue;
            const uint64_t offset =
                weights.layout.extents[entry.extent].offset + entry.offset + at + i;
            return field_error(weights.file, tensor_name(weights, entry) + " scale", offset,
                               Text<48>(Hex{half, 4}, ", not a finite number"), "finite binary16");
        }
    }
    return {};
}

Status check_padding(std::string_view file, std::span<const uint8_t> bytes, uint64_t begin,
                     uint64_t end) {
    for (uint64_t i = begin; i < end; i++) {
        if (bytes[i] == 0) continue;
        return field_error(file, "padding", i, uint32_t(bytes[i]), "0");
    }
    return {};
}

// The Merkle leaves of all pieces, and the root over them.
Status verify_digests(const FileLayout& layout, std::string_view file,
                      std::span<const uint8_t> bytes) {
    for (size_t i = 0; i < layout.extents.size(); i++) {
        const Extent& e = layout.extents[i];
        for (uint64_t at = 0, piece = 0; at < e.bytes; at += format::kPieceBytes, piece++) {
            MerkleLeaf leaf;
            leaf.update(bytes.data() + e.offset + at,
                        size_t(std::min(format::kPieceBytes, e.bytes - at)));
            if (leaf.digest() == layout.digests[e.first_piece + piece]) continue;
            return field_error(file, Text<144>(layout.name(i).view(), " piece ", piece, " SHA-256"),
                               e.offset + at, "other bytes", "those of the stored digest");
        }
    }
    const Sha256Digest root = merkle_root(layout.header, layout.extents, layout.digests);
    if (memcmp(root.data(), layout.header.root, root.size()) == 0) return {};
    return field_error(file, "header.root", offsetof(format::FileHeader, root), "another root",
                       "the Merkle root of the digests");
}

}  // namespace

Status verify(std::string_view file, std::span<const uint8_t> bytes) {
    Result<Weights> opened = Weights::open(file, bytes);
    if (!opened.ok()) return opened.status();
    const Weights& weights = opened.value();
    if (Status s = verify_checksums(file, bytes); !s.ok()) return s;
    if (Status s = verify_digests(weights.layout, file, bytes); !s.ok()) return s;
    const std::span<const Extent> extents = weights.layout.extents;
    const Result<Tokenizer> tokenizer = Tokenizer::open(
        file, weights.layout.extent(ExtentKind::tokenizer).offset, weights.tokenizer);
    if (!tokenizer.ok()) return tokenizer.status();
    if (Status s = weights.check_vocabulary(tokenizer.value()); !s.ok()) return s;
    const Result<ChatTemplate> chat =
        ChatTemplate::open(file, weights.layout.extent(ExtentKind::chat).offset, weights.chat);
    if (!chat.ok()) return chat.status();

    uint64_t end = format::head_bytes(extents.size(), weights.layout.sums.size());
    for (const Extent& extent : extents) {
        if (Status s = check_padding(file, bytes, end, extent.offset); !s.ok()) return s;
        end = extent.offset + extent.bytes;
    }
    if (Status s = check_padding(file, bytes, end, bytes.size()); !s.ok()) return s;
    for (const TensorEntry& entry : weights.entries) {
        const uint8_t* data = bytes.data() + extents[entry.extent].offset + entry.offset;
        if (Status s = check_scales(weights, entry, data); !s.ok()) return s;
    }
    return {};
}

}  // namespace axiom::packer
