// SPDX-License-Identifier: MIT
// What `axiom-pack --verify` finds: damage by its checksum, forgery by its digest, and numbers that
// are none. And what it rests on: the digests that the packer writes, which do not depend on
// threads.
#include <cmath>
#include <string>
#include <vector>

#include "packer/synthetic.h"
#include "packer/verify.h"
#include "test/unit/packed_file.h"
#include "test/unit/read_file.h"
#include "test/unit/tiny_gguf.h"

using namespace axiom;
using namespace axiom::packer;
using namespace axiom::test;
using namespace axiom::format;

namespace {

constexpr uint64_t kMiB = 1 << 20;

// Extents of three pieces, of two and of one; experts among them.
const std::vector<uint8_t>& source() {
    static const std::vector<uint8_t> bytes = [] {
        TinyModel model;
        model.n_vocab = 9000;  // 2.4 MB in q8
        model.n_ff = 1536;     // 1.25 MB an expert
        model.n_experts = 2;
        model.n_experts_used = 1;
        model.type = gguf::TensorType::q8_0;
        return model.build();
    }();
    return bytes;
}
const PackedFile& good() {
    static const PackedFile file = [] {
        const Packed packed(source(), {});
        return PackedFile(packed.file.bytes());
    }();
    return file;
}

std::string verified(const PackedFile& f) {
    return std::string(verify("x.axm", f.span()).text());
}

std::string offset_text(uint64_t offset) {
    return " at offset " + std::string(Text<24>(Hex{offset}).view()) + ": found ";
}

// RFC 9162, section 2.1.1.
Sha256Digest root_of(std::span<const Sha256Digest> leaves) {
    if (leaves.size() == 1) return leaves[0];
    size_t k = 1;
    while (2 * k < leaves.size()) k *= 2;
    return merkle_node(root_of(leaves.first(k)), root_of(leaves.subspan(k)));
}

}  // namespace

TEST_CASE("sums, digests, root and id are those of the bytes, by definition") {
    const PackedFile f(good().span());
    const FileHeader h = f.header();
    CHECK(verified(f) == "");
    std::vector<Sha256Digest> leaves;
    {
        std::vector<uint8_t> head(1, 0);  // a leaf begins with a zero
        FileHeader zeroed = h;
        zeroed.head_checksum = 0;
        memset(zeroed.root, 0, sizeof zeroed.root);
        const auto* const bytes = reinterpret_cast<const uint8_t*>(&zeroed);
        head.insert(head.end(), bytes, bytes + 128);
        head.insert(head.end(), f.data() + 128, f.data() + 128 + 32 * h.n_extents);
        leaves.push_back(Sha256::of(head.data(), head.size()));
    }
    size_t n_pieces = 0;
    for (size_t i = 0; i < h.n_extents; i++) {
        const Extent e = f.extents()[i];
        CHECK(e.first_piece == n_pieces);
        for (uint64_t at = 0; at < e.bytes; at += kMiB, n_pieces++) {
            const size_t n = size_t(std::min(kMiB, e.bytes - at));
            const uint8_t* const piece = f.data() + e.offset + at;
            CHECK(f.sums()[n_pieces] == Xxh64::of(piece, n));
            std::vector<uint8_t> leaf(1, 0);
            leaf.insert(leaf.end(), piece, piece + n);
            leaves.push_back(Sha256::of(leaf.data(), leaf.size()));
            CHECK(f.digests()[n_pieces] == leaves.back());
        }
    }
    CHECK(n_pieces == h.n_pieces);
    CHECK(n_pieces_of(f.extents()[4].bytes) == 3);
    CHECK(n_pieces_of(f.extents()[6].bytes) == 2);
    const Sha256Digest root = root_of(leaves);
    CHECK(memcmp(h.root, root.data(), 32) == 0);
    for (const uint64_t word : h.reserved) CHECK(word == 0);
}

TEST_CASE("two packings give the same bytes, with any number of threads") {
    const auto packed = [](const Plan& plan, unsigned n_threads) {
        const TemporaryFolder folder;
        WriteOptions options;
        options.n_threads = n_threads;
        const Status s = write_packed(plan, folder.file("x.axm"), options, nullptr);
        INFO(s.text());
        REQUIRE(s.ok());
        return read_file(folder.file("x.axm"));
    };
    const gguf::File file = gguf::File::parse("in.gguf", source()).value();
    const Result<Plan> plan = plan_from_gguf(file, {});
    REQUIRE(plan.ok());
    const std::string once(reinterpret_cast<const char*>(good().data()), good().size());
    for (const unsigned n_threads : {0u, 1u, 2u, 3u, 8u}) {
        CAPTURE(n_threads);
        CHECK(packed(plan.value(), n_threads) == once);
    }
    // One weight more or less is another id.
    TinyModel model;
    model.n_vocab = 41;
    const Packed a(model.build(), {});
    model.n_vocab = 42;
    const Packed b(model.build(), {});
    CHECK(memcmp(a.weights.layout.id().data(), b.weights.layout.id().data(), 16) != 0);
}

TEST_CASE("damage is found by the piece's XXH64, a forger who repairs it by its SHA-256") {
    const FileLayout layout = FileLayout::parse("x.axm", good().span(), good().size()).value();
    size_t n = 0;
    for (size_t i = size_t(ExtentKind::embedding); i < layout.extents.size(); i++) {
        const Extent& e = layout.extents[i];
        for (uint64_t piece = 0; piece < n_pieces_of(e.bytes); piece++, n++) {
            const uint64_t begin = e.offset + piece * kMiB;
            const uint64_t size = std::min(kMiB, e.bytes - piece * kMiB);
            const std::string place =
                "x.axm: " + std::string(layout.name(i).view()) + " piece " + std::to_string(piece);
            PackedFile f(good().span());
            // The last byte of a piece, whose highest bit but one is no sign of an exponent.
            f.data()[begin + size - 1] ^= n % 2 == 0 ? 1 : 4;
            CHECK(verified(f).find(place + " checksum" + offset_text(begin)) == 0);
            f.seal(Seal::sums);
            CHECK(verified(f) == place + " SHA-256" + offset_text(begin) +
                                     "other bytes, allowed those of the stored digest");
        }
    }
    CHECK(n == 3 + 1 + 2 * 2 + 1);
}

TEST_CASE("a digest or a root that was changed is found, with every XXH64 repaired") {
    const FileLayout layout = FileLayout::parse("x.axm", good().span(), good().size()).value();
    for (size_t i = 0; i < layout.extents.size(); i++) {
        PackedFile f(good().span());
        f.digests()[layout.extents[i].first_piece][i % 32] ^= 0x80;
        f.seal_head();
        CHECK(verified(f) == "x.axm: " + std::string(layout.name(i).view()) + " piece 0 SHA-256" +
                                 offset_text(layout.extents[i].offset) +
                                 "other bytes, allowed those of the stored digest");
    }
    const std::string other_root =
        "x.axm: header.root at offset 0x28: found another root, allowed the Merkle root of the "
        "digests";
    for (const size_t byte : {0, 15, 16, 31}) {
        PackedFile f(good().span());
        f.header().root[byte] ^= 1;
        f.seal_head();
        CHECK(verified(f) == other_root);
    }
    // Bytes and digests changed in step, the root left as it was: as a signature would have it.
    PackedFile f(good().span());
    uint8_t root[32];
    memcpy(root, f.header().root, sizeof root);
    f.data()[f.extents()[5].offset + 1] ^= 1;
    f.seal(Seal::digests);
    CHECK(memcmp(root, f.header().root, sizeof root) != 0);
    CHECK(verified(f) == "");  // another file, with an id of its own
    memcpy(f.header().root, root, sizeof root);
    f.seal_head();
    CHECK(verified(f) == other_root);
    // An extent that ends a byte later, over a byte of padding: the table is under the root.
    PackedFile longer(good().span());
    longer.extents()[4].bytes++;
    longer.seal(Seal::digests);
    CHECK(verified(longer) == "");
    memcpy(longer.header().root, root, sizeof root);
    longer.seal_head();
    CHECK(verified(longer) == other_root);
}

TEST_CASE("padding anywhere is zeros: behind the head, between extents, at the end") {
    const PackedFile whole(good().span());
    const FileHeader h = whole.header();
    const auto found = [&](uint64_t at) {
        PackedFile f(good().span());
        f.data()[at] = 9;
        return verified(f);
    };
    const auto expected = [](uint64_t at) {
        return "x.axm: padding" + offset_text(at) + "9, allowed 0";
    };
    const uint64_t head = format::head_bytes(h.n_extents, h.n_pieces);
    CHECK(found(head) == expected(head));
    CHECK(found(4095) == expected(4095));
    for (const size_t i : {0, 3, 5, 8}) {
        const uint64_t end = whole.extents()[i].offset + whole.extents()[i].bytes;
        if (end % 4096 == 0) continue;
        CHECK(found(end) == expected(end));
        CHECK(found(round_up(end, 4096) - 1) == expected(round_up(end, 4096) - 1));
    }
}

TEST_CASE("plain tensors hold finite numbers only") {
    const Packed packed(source(), {});
    const auto with = [&](const std::string& name, size_t at, auto value) {
        const TensorEntry& e = packed.entry(name);
        const uint64_t place =
            packed.weights.layout.extents[e.extent].offset + e.offset + at * sizeof value;
        PackedFile f(good().span());
        memcpy(f.data() + place, &value, sizeof value);
        f.seal(Seal::digests);
        return std::pair(verified(f), offset_text(place));
    };
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
        const std::string found = std::string(Text<24>(Fixed{double(bad), 0}).view());
        const auto [norm, place] = with("blk.0.attn_norm.weight", 255, bad);
        CHECK(norm == "x.axm: blk.0.attn_norm.weight" + place + found + ", allowed finite numbers");
        const auto [router, at] = with("blk.0.ffn_gate_inp.weight", 0, bad);
        CHECK(router ==
              "x.axm: blk.0.ffn_gate_inp.weight" + at + found + ", allowed finite numbers");
        const auto [freqs, where] = with("rope_freqs.weight", 31, double(bad));
        CHECK(freqs == "x.axm: rope_freqs.weight" + where + found + ", allowed finite numbers");
    }
    CHECK(with("blk.0.attn_norm.weight", 255, 3e38f).first == "");
    CHECK(with("rope_freqs.weight", 0, 1e300).first == "");
}
