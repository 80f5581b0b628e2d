// SPDX-License-Identifier: MIT
// The head of a packed file: order and places of thousands of extents, checksums of every piece,
// and a file that arrives in parts.
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "core/hash.h"
#include "core/sha256.h"
#include "model/weights/layout.h"
#include "test/unit/packed_file.h"

using namespace axiom;
using namespace axiom::test;
using namespace axiom::format;

namespace {

constexpr uint64_t kMiB = 1 << 20;

struct Part {
    ExtentKind kind;
    uint64_t bytes;
    uint32_t layer = 0, expert = 0;
};

// The extents before the first layer.
std::vector<Part> metadata(uint64_t bytes = 1) {
    return {{ExtentKind::config, bytes},
            {ExtentKind::tokenizer, bytes},
            {ExtentKind::chat, bytes},
            {ExtentKind::tensors, bytes},
            {ExtentKind::embedding, bytes}};
}

// Layers with as many experts as given, a byte each.
std::vector<Part> model_of(std::span<const uint32_t> n_experts) {
    std::vector<Part> parts = metadata();
    for (uint32_t layer = 0; layer < n_experts.size(); layer++) {
        parts.push_back({ExtentKind::layer, 1, layer});
        for (uint32_t expert = 0; expert < n_experts[layer]; expert++)
            parts.push_back({ExtentKind::expert, 1, layer, expert});
    }
    parts.push_back({ExtentKind::output, 1});
    return parts;
}

// A file of these extents with random bytes; with `head_only`, as much of it as FileLayout reads.
// Written from the description in model/format/format.h, not by the packer.
struct File {
    PackedFile packed;
    uint64_t file_bytes = 0;

    explicit File(const std::vector<Part>& parts, bool head_only = false) {
        uint64_t n_pieces = 0;
        for (const Part& part : parts) n_pieces += (part.bytes + kMiB - 1) / kMiB;
        const uint64_t n_head = 128 + 32 * parts.size() + 40 * n_pieces;
        file_bytes = n_head;
        for (const Part& part : parts) file_bytes = round_up(file_bytes, 4096) + part.bytes;
        file_bytes = round_up(file_bytes, 4096);
        std::vector<uint8_t> zeros(size_t(head_only ? n_head : file_bytes));
        packed = PackedFile(zeros);
        FileHeader& h = packed.header();
        memcpy(h.magic, "AXIOMPK", 8);
        h.version = 2;
        h.n_extents = uint32_t(parts.size());
        h.file_bytes = file_bytes;
        h.n_pieces = n_pieces;
        uint64_t at = n_head;
        uint32_t piece = 0;
        uint64_t state = 7;
        for (size_t i = 0; i < parts.size(); i++) {
            at = round_up(at, 4096);
            packed.extents()[i] = {
                at, parts[i].bytes, parts[i].kind, parts[i].layer, parts[i].expert, piece};
            for (uint64_t j = 0; j < parts[i].bytes && !head_only; j++) {
                state = state * 6364136223846793005u + 1442695040888963407u;
                packed.data()[at + j] = uint8_t(state >> 56);
            }
            at += parts[i].bytes;
            piece += uint32_t((parts[i].bytes + kMiB - 1) / kMiB);
        }
        if (head_only) {
            packed.seal_head();
        } else {
            packed.seal(Seal::digests);
        }
    }
    Result<FileLayout> parse() const {
        return FileLayout::parse("f.axm", packed.span(), file_bytes);
    }
};

// Extents that end at, before and after a piece's end, and some that are smaller than a page.
const File& many_pieces() {
    static const File file({{ExtentKind::config, 448},
                            {ExtentKind::tokenizer, 1},
                            {ExtentKind::chat, 4096},
                            {ExtentKind::tensors, 4097},
                            {ExtentKind::embedding, kMiB + 1},
                            {ExtentKind::layer, kMiB - 1, 0},
                            {ExtentKind::expert, 5000, 0, 0},
                            {ExtentKind::expert, 5001, 0, 1},
                            {ExtentKind::layer, kMiB, 1},
                            {ExtentKind::output, 2 * kMiB + 77}});
    return file;
}
constexpr uint64_t kPiecesOf[] = {1, 1, 1, 1, 2, 1, 1, 1, 1, 3};

// Everything a loader may see of a file: the checks in one go.
Status checked_in_parts(const FileLayout& layout, std::span<const uint8_t> bytes, size_t n_part) {
    ChecksumStream stream("f.axm", layout);
    for (size_t at = 0; at < bytes.size(); at += n_part) {
        const Status s = stream.feed(bytes.subspan(at, std::min(n_part, bytes.size() - at)));
        if (!s.ok()) return s;
    }
    return stream.finish();
}

// A firmware's file, or what is left of it at `fails_at`.
class MemorySource : public ByteSource {
  public:
    explicit MemorySource(std::span<const uint8_t> bytes, uint64_t fails_at = ~uint64_t{0})
        : bytes_(bytes), fails_at_(fails_at) {}
    Status read(uint64_t offset, std::span<uint8_t> out) override {
        largest = std::max(largest, out.size());
        REQUIRE(offset == done);
        if (done + out.size() > fails_at_) return error(Code::io, "the disk is gone");
        REQUIRE(done + out.size() <= bytes_.size());
        std::copy_n(bytes_.begin() + ptrdiff_t(done), out.size(), out.begin());
        done += out.size();
        return {};
    }
    uint64_t done = 0;
    size_t largest = 0;

  private:
    std::span<const uint8_t> bytes_;
    uint64_t fails_at_;
};

struct Progress {
    std::vector<uint64_t> calls;
    static void note(void* context, uint64_t done_bytes) {
        static_cast<Progress*>(context)->calls.push_back(done_bytes);
    }
};

// `to` receives the file; the progress goes to waste.
Status load(const PackedFile& file, MemorySource& source, AlignedBytes& to) {
    Progress progress;
    return load_packed("f.axm", file.size(), source, to.span(), Progress::note, &progress);
}

std::string text_of(const Status& s) {
    return std::string(s.text());
}

}  // namespace

TEST_CASE("pieces of 1 MiB: as many as it takes, the last one shorter") {
    CHECK(n_pieces_of(0) == 0);
    CHECK(n_pieces_of(1) == 1);
    CHECK(n_pieces_of(kMiB - 1) == 1);
    CHECK(n_pieces_of(kMiB) == 1);
    CHECK(n_pieces_of(kMiB + 1) == 2);
    CHECK(n_pieces_of(~uint64_t{0}) == (uint64_t{1} << 44));
    CHECK(head_bytes(8, 9) == 128 + 8 * 32 + 9 * 8 + 9 * 32);
    CHECK(head_bytes(kMaxExtents, kMaxPieces) == 128 + (uint64_t{1} << 23) + 671088640);
}

TEST_CASE("extents are found by kind, layer and expert, however many experts a layer has") {
    const std::vector<uint32_t> few = {128, 0, 7};
    std::vector<uint32_t> many(100, 128);  // Qwen3-235B has 94 layers of 128
    many[99] = 1;
    many[50] = 0;
    for (const std::vector<uint32_t>& n_experts : {few, many}) {
        const std::vector<Part> parts = model_of(n_experts);
        const File file(parts, true);
        const Result<FileLayout> parsed = file.parse();
        INFO(parsed.status().text());
        REQUIRE(parsed.ok());
        const FileLayout& layout = parsed.value();
        CHECK(layout.n_layers() == n_experts.size());
        REQUIRE(layout.extents.size() == parts.size());
        for (uint32_t i = 0; i < parts.size(); i++) {
            const uint32_t found = layout.find(parts[i].kind, parts[i].layer, parts[i].expert);
            if (found != i) CHECK(found == i);
        }
        for (size_t layer = 0; layer < n_experts.size(); layer++) {
            const size_t n = n_experts[layer];
            CHECK(layout.find(ExtentKind::expert, layer, n) == kNone);
            CHECK(layout.find(ExtentKind::expert, layer, 100000) == kNone);
            CHECK(layout.find(ExtentKind::expert, layer, 0xffffffff) == kNone);
            CHECK(layout.find(ExtentKind::expert, layer, uint64_t{1} << 32) == kNone);
        }
        CHECK(layout.find(ExtentKind::layer, n_experts.size()) == kNone);
        CHECK(layout.find(ExtentKind::expert, n_experts.size(), 0) == kNone);
        CHECK(layout.extent(ExtentKind::config).offset == layout.extents[0].offset);
        CHECK(layout.extent(ExtentKind::embedding).offset == layout.extents[4].offset);
        CHECK(layout.extent(ExtentKind::output).offset == layout.extents.back().offset);
        CHECK_THROWS(layout.extent(ExtentKind::layer));
        CHECK_THROWS(layout.extent(ExtentKind::expert));
    }
    CHECK(model_of(many).size() == 6 + 100 + 98 * 128 + 1);  // above 12,000
}

TEST_CASE("an extent is named by its number, kind, place and size") {
    const FileLayout layout = many_pieces().parse().value();
    const auto name = [&](size_t i) { return std::string(layout.name(i).view()); };
    CHECK(name(0) == "extent[0] (config at 0x1000, 448 bytes)");
    CHECK(name(5) == "extent[5] (layer 0 at 0x107000, 1048575 bytes)");
    CHECK(name(7) == "extent[7] (expert 1 of layer 0 at 0x209000, 5001 bytes)");
    CHECK(name(9) == "extent[9] (output at 0x30b000, 2097229 bytes)");
    CHECK(FileLayout::field_offset(2, offsetof(Extent, layer)) == 128 + 64 + 20);
    CHECK(std::string(extent_kind_name(ExtentKind::chat)) == "chat");
    CHECK(std::string(extent_kind_name(ExtentKind(8))) == "unknown");
}

TEST_CASE("extents out of order, missing or twice are refused by field and place") {
    using Parts = std::vector<Part>;
    struct Case {
        const char* what;
        std::function<void(Parts&)> change;
        const char* expected;
    };
    const std::vector<uint32_t> n_experts = {2, 0, 1};
    // config 0 .. embedding 4, layer 0: 5, its experts: 6 and 7, layer 1: 8, layer 2: 9, its
    // expert: 10, output: 11
    const auto erase = [](size_t i) {
        return [i](Parts& p) { p.erase(p.begin() + ptrdiff_t(i)); };
    };
    const auto swap = [](size_t i, size_t j) {
        return [i, j](Parts& p) { std::swap(p[i], p[j]); };
    };
    const Case cases[] = {
        {"config second", swap(0, 1),
         "extent[0].kind at offset 0x90: found 1 (tokenizer), "
         "allowed 0 (config)"},
        {"tokenizer and chat swapped", swap(1, 2),
         "extent[1].kind at offset 0xb0: found 2 (chat), allowed 1 (tokenizer)"},
        {"no chat", erase(2), "extent[2].kind at offset 0xd0: found 3 (tensors), allowed 2 (chat)"},
        {"no embedding", erase(4),
         "extent[4].kind at offset 0x110: found 5 (layer), allowed 4 (embedding)"},
        {"experts before their layer", swap(5, 6),
         "extent[5].kind at offset 0x130: found 6 (expert), allowed 5 (layer)"},
        {"the first expert missing", erase(6),
         "extent[6].expert at offset 0x158: found 1, allowed 0"},
        {"experts swapped", swap(6, 7), "extent[6].expert at offset 0x158: found 1, allowed 0"},
        {"an expert twice", [](Parts& p) { p[7].expert = 0; },
         "extent[7].expert at offset 0x178: found 0, allowed 1"},
        {"an expert left out", [](Parts& p) { p[7].expert = 2; },
         "extent[7].expert at offset 0x178: found 2, allowed 1"},
        {"another layer's expert", [](Parts& p) { p[7].layer = 1; },
         "extent[7].layer at offset 0x174: found 1, allowed 0"},
        {"an expert of the layer before", [](Parts& p) { p[10].layer = 1; },
         "extent[10].layer at offset 0x1d4: found 1, allowed 2"},
        {"a layer left out", erase(8), "extent[8].layer at offset 0x194: found 2, allowed 1"},
        {"layers swapped", swap(8, 9), "extent[8].layer at offset 0x194: found 2, allowed 1"},
        {"a layer twice", [](Parts& p) { p[8].layer = 0; },
         "extent[8].layer at offset 0x194: found 0, allowed 1"},
        {"layers that begin with 1", [](Parts& p) { p[5].layer = 1; },
         "extent[5].layer at offset 0x134: found 1, allowed 0"},
        {"a layer with an expert's number", [](Parts& p) { p[8].expert = 1; },
         "extent[8].expert at offset 0x198: found 1, allowed 0"},
        {"a tokenizer with a layer's number", [](Parts& p) { p[1].layer = 3; },
         "extent[1].layer at offset 0xb4: found 3, allowed 0"},
        {"an output with a layer's number", [](Parts& p) { p[11].layer = 3; },
         "extent[11].layer at offset 0x1f4: found 3, allowed 0"},
        {"no output", erase(11),
         "extent[10].kind at offset 0x1d0: found 6 (expert), allowed 7 (output)"},
        {"an output among the layers",
         [](Parts& p) {
             p[9] = {ExtentKind::output, 1};
         },
         "extent[9].kind at offset 0x1b0: found 7 (output), allowed 5 (layer)"},
        {"an unknown kind", [](Parts& p) { p[8].kind = ExtentKind(99); },
         "extent[8].kind at offset 0x190: found 99 (unknown), allowed 5 (layer)"},
        {"a second embedding",
         [](Parts& p) {
             p[5] = {ExtentKind::embedding, 1};
         },
         "extent[5].kind at offset 0x130: found 4 (embedding), allowed 5 (layer)"},
    };
    for (const Case& c : cases) {
        INFO(c.what);
        Parts parts = model_of(n_experts);
        REQUIRE(File(parts, true).parse().ok());
        c.change(parts);
        const Status s = File(parts, true).parse().status();
        CHECK(text_of(s) == std::string("f.axm: ") + c.expected);
    }
}

TEST_CASE("extents lie one after another on pages, inside the file and up to its end") {
    const std::vector<uint32_t> n_experts = {1};
    struct Case {
        const char* what;
        std::function<void(File&)> change;
        const char* expected;  // part of the message
    };
    // Extent i lies at 0x1000 * (i + 1) and is a byte long; output is the 8th.
    const Case cases[] = {
        {"over the head", [](File& f) { f.packed.extents()[0].offset = 0; },
         "extent[0].offset at offset 0x80: found 0, allowed 4096 "
         "(right after the one before, 4 KiB-aligned)"},
        {"not aligned", [](File& f) { f.packed.extents()[3].offset += 64; },
         "extent[3].offset at offset 0xe0: found 16448, allowed 16384 "},
        {"over the one before", [](File& f) { f.packed.extents()[3].offset -= 4096; },
         "extent[3].offset at offset 0xe0: found 12288, allowed 16384 "},
        {"after a page of nothing", [](File& f) { f.packed.extents()[3].offset += 4096; },
         "extent[3].offset at offset 0xe0: found 20480, allowed 16384 "},
        {"larger than a page, over the next", [](File& f) { f.packed.extents()[3].bytes = 4097; },
         "extent[4].offset at offset 0x100: found 20480, allowed 24576 "},
        {"up to the file's end and beyond", [](File& f) { f.packed.extents()[7].bytes = 4097; },
         "extent[7].bytes at offset 0x168: found 4097, allowed 1..4096 (inside the file)"},
        {"a page short of the file's end",
         [](File& f) {
             f.packed.header().file_bytes += 4096;
             f.file_bytes += 4096;
         },
         "header.file_bytes at offset 0x10: found 40960, allowed 36864 "
         "(where the last extent ends)"},
        {"a file that ends between pages",
         [](File& f) {
             f.packed.header().file_bytes -= 4095;
             f.file_bytes -= 4095;
         },
         "header.file_bytes at offset 0x10: found 32769, allowed 36864 "},
        {"an extent that begins where the file ends",
         [](File& f) {
             f.packed.header().file_bytes -= 4096;
             f.file_bytes -= 4096;
         },
         "extent[7].bytes at offset 0x168: found 1, allowed 1..0 (inside the file)"},
        {"an extent that begins behind the file's end",
         [](File& f) {
             f.packed.header().file_bytes -= 4097;
             f.file_bytes -= 4097;
         },
         "extent[7].bytes at offset 0x168: found 1, allowed 1..0 (inside the file)"},
        {"a file size that is not the header's", [](File& f) { f.file_bytes++; },
         "header.file_bytes at offset 0x10: found 36864, allowed the file's size, 36865"},
    };
    for (const Case& c : cases) {
        INFO(c.what);
        File f(model_of(n_experts), true);
        REQUIRE(f.file_bytes == 36864);
        c.change(f);
        f.packed.seal_head();
        const std::string text = text_of(f.parse().status());
        INFO(text);
        CHECK(text.find(std::string("f.axm: ") + c.expected) == 0);
    }
    // The largest last extent, which ends where the file does.
    File full(model_of(n_experts), true);
    full.packed.extents()[7].bytes = 4096;
    full.packed.seal_head();
    CHECK(full.parse().ok());
}

TEST_CASE("head_bytes knows the length of the head by its first 128 bytes, or what is wrong") {
    const File& file = many_pieces();
    const std::span<const uint8_t> bytes = file.packed.span();
    const auto head = [&](size_t n_known, uint64_t actual) {
        return FileLayout::head_bytes("f.axm", bytes.first(n_known), actual);
    };
    REQUIRE(head(128, file.file_bytes).ok());
    CHECK(head(128, file.file_bytes).value() == 128 + 10 * 32 + 13 * 40);
    CHECK(text_of(head(127, 127).status()) ==
          "f.axm: file size at offset 0x0: found 127, allowed at least 128 (an .axm header)");
    CHECK(text_of(head(0, 0).status()) ==
          "f.axm: file size at offset 0x0: found 0, allowed at least 128 (an .axm header)");
    CHECK(text_of(head(128, 127).status()).find("f.axm: file size") == 0);
    CHECK(text_of(head(128, file.file_bytes - 1).status()).find("f.axm: header.file_bytes") == 0);

    // A file of version 1 may be shorter than a header of version 2: its version is named first.
    const uint8_t version_1[16] = {'A', 'X', 'I', 'O', 'M', 'P', 'K', 0, 1};
    CHECK(text_of(FileLayout::head_bytes("f.axm", std::span(version_1).first(12), 12).status()) ==
          "f.axm: header.version at offset 0x8: found 1, allowed 2 "
          "(pack the model again: axiom-pack MODEL.gguf -o MODEL.axm)");
    CHECK(text_of(FileLayout::head_bytes("f.axm", std::span(version_1).first(11), 11).status())
              .find("f.axm: file size") == 0);
    // So is another file's magic.
    const uint8_t other[8] = {'G', 'G', 'U', 'F', 3, 0, 0, 0};
    CHECK(text_of(FileLayout::head_bytes("f.axm", other, 8).status()) ==
          "f.axm: header.magic at offset 0x0: found \"GGUF\\x03\\x00\\x00\\x00\", allowed "
          "\"AXIOMPK\\x00\" (this is a GGUF file: pack it with axiom-pack)");
    CHECK(text_of(FileLayout::head_bytes("f.axm", std::span(other).first(7), 7).status())
              .find("f.axm: file size") == 0);

    // Tables that end exactly where the file does are looked at, one byte more are not.
    FileHeader h = file.packed.header();
    h.file_bytes = format::head_bytes(h.n_extents, h.n_pieces);
    const std::span<const uint8_t> patched(reinterpret_cast<const uint8_t*>(&h), sizeof h);
    CHECK(FileLayout::head_bytes("f.axm", patched, h.file_bytes).ok());
    h.file_bytes--;
    CHECK(text_of(FileLayout::head_bytes("f.axm", patched, h.file_bytes).status()) ==
          "f.axm: header.n_pieces at offset 0x18: found 13, allowed tables inside the file of 967");
}

TEST_CASE("whole pieces pass their check, and one flipped bit anywhere in any piece fails it") {
    const File& file = many_pieces();
    CHECK(verify_checksums("f.axm", file.packed.span()).ok());
    PackedFile damaged(file.packed.span());
    const FileLayout layout = FileLayout::parse("f.axm", damaged.span(), damaged.size()).value();
    AlignedBytes to(damaged.size());
    size_t turn = 0;
    for (size_t i = 0; i < layout.extents.size(); i++) {
        const Extent e = layout.extents[i];
        REQUIRE(n_pieces_of(e.bytes) == kPiecesOf[i]);
        for (uint64_t piece = 0; piece < kPiecesOf[i]; piece++) {
            const uint64_t begin = e.offset + piece * kMiB;
            const size_t n = size_t(std::min(kMiB, e.bytes - piece * kMiB));
            const std::span<uint8_t> bytes = damaged.span().subspan(size_t(begin), n);
            CHECK(check_piece("f.axm", layout, i, piece, bytes).ok());
            for (const size_t at : {size_t{0}, n / 2, n - 1}) {
                const uint8_t bit = uint8_t(1 << turn++ % 8);
                bytes[at] ^= bit;
                INFO("extent " << i << " piece " << piece << " byte " << at);
                const std::string expected =
                    "f.axm: " + std::string(layout.name(i).view()) + " piece " +
                    std::to_string(piece) + " checksum at offset " +
                    std::string(Text<24>(Hex{begin}).view()) + ": found " +
                    std::string(Text<24>(Hex{Xxh64::of(bytes.data(), n), 16}).view()) +
                    ", allowed " +
                    std::string(Text<24>(Hex{layout.sums[e.first_piece + piece], 16}).view()) +
                    " (stored: the data are damaged)";
                CHECK(text_of(check_piece("f.axm", layout, i, piece, bytes)) == expected);
                CHECK(text_of(verify_checksums("f.axm", damaged.span())) == expected);
                CHECK(text_of(checked_in_parts(layout, damaged.span(), 12345)) == expected);
                MemorySource source(damaged.span());
                CHECK(text_of(load(damaged, source, to)) == expected);
                bytes[at] ^= bit;
            }
        }
    }
    CHECK(turn == 13 * 3);
    CHECK(verify_checksums("f.axm", damaged.span()).ok());
}

TEST_CASE("a stream of checksums takes parts of any size, and no part of the padding counts") {
    const File& file = many_pieces();
    PackedFile copy(file.packed.span());
    const FileLayout layout = FileLayout::parse("f.axm", copy.span(), copy.size()).value();
    for (const size_t n_part : {size_t{1000}, size_t{4095}, size_t{4096}, size_t{4097},
                                size_t{kMiB - 1}, size_t{kMiB}, size_t{kMiB + 1}, copy.size()}) {
        CAPTURE(n_part);
        CHECK(checked_in_parts(layout, copy.span(), n_part).ok());
    }
    // Padding is looked at by `axiom-pack --verify` alone.
    const Extent& e = layout.extents[3];
    copy.data()[e.offset + e.bytes] = 1;
    CHECK(checked_in_parts(layout, copy.span(), 1000).ok());
    copy.data()[copy.size() - 1] = 1;
    CHECK(checked_in_parts(layout, copy.span(), 1000).ok());
    copy.data()[e.offset + e.bytes - 1] ^= 1;
    CHECK_FALSE(checked_in_parts(layout, copy.span(), 1000).ok());
}

TEST_CASE("a small file fed byte by byte is checked as one fed whole") {
    const std::vector<uint32_t> n_experts = {2, 0};
    const File file(model_of(n_experts));
    const FileLayout layout = file.parse().value();
    CHECK(checked_in_parts(layout, file.packed.span(), 1).ok());
    for (size_t i = 0; i < layout.extents.size(); i++) {
        PackedFile damaged(file.packed.span());
        damaged.data()[layout.extents[i].offset] ^= 0x80;
        const std::string text = text_of(checked_in_parts(layout, damaged.span(), 1));
        CHECK(text.find("f.axm: " + std::string(layout.name(i).view()) + " piece 0 checksum") == 0);
    }
}

TEST_CASE("a stream of checksums that ends early is not a verified file") {
    const File& file = many_pieces();
    const FileLayout layout = file.parse().value();
    const std::span<const uint8_t> whole = file.packed.span();
    const Extent& last = layout.extents.back();
    const size_t end = size_t(last.offset + last.bytes);
    const auto fed = [&](size_t n) {
        ChecksumStream stream("f.axm", layout);
        REQUIRE(stream.feed(whole.first(n)).ok());
        return stream.finish();
    };
    CHECK(text_of(fed(end - 1)) ==
          "f.axm: extent[9].bytes at offset 0x1a8: found 2097229, allowed what the file holds; it "
          "ended at " +
              std::to_string(end - 1));
    CHECK(text_of(fed(0)) ==
          "f.axm: extent[0].bytes at offset 0x88: found 448, allowed what the "
          "file holds; it ended at 0");
    CHECK(text_of(fed(size_t(layout.extents[5].offset))).find("f.axm: extent[5].bytes") == 0);
    CHECK(fed(end).ok());
    CHECK(fed(whole.size()).ok());
}

TEST_CASE("a file is loaded whole, in order and in parts, and the progress ends at its size") {
    const PackedFile& file = many_pieces().packed;
    MemorySource source(file.span());
    AlignedBytes to(file.size() + 64);
    Progress progress;
    const Status s =
        load_packed("f.axm", file.size(), source, to.span(), Progress::note, &progress);
    INFO(s.text());
    REQUIRE(s.ok());
    CHECK(source.done == file.size());
    CHECK(source.largest == 2 << 20);
    CHECK(memcmp(to.data(), file.data(), file.size()) == 0);
    // The header, the tables behind it, then 2 MiB at a time.
    const uint64_t head = format::head_bytes(10, 13);
    std::vector<uint64_t> expected = {128, head};
    while (expected.back() < file.size())
        expected.push_back(std::min<uint64_t>(expected.back() + (2 << 20), file.size()));
    CHECK(progress.calls == expected);

    AlignedBytes short_of_one(file.size() - 1);
    MemorySource again(file.span());
    CHECK_THROWS(load(file, again, short_of_one));
}

TEST_CASE("a read that fails ends the load with its own error, wherever it happens") {
    const PackedFile& file = many_pieces().packed;
    AlignedBytes to(file.size());
    for (const uint64_t at : {uint64_t{0}, uint64_t{127}, uint64_t{128}, uint64_t{900},
                              uint64_t{5000}, uint64_t{3 << 20}, uint64_t{file.size() - 1}}) {
        CAPTURE(at);
        MemorySource source(file.span(), at);
        const Status s = load(file, source, to);
        CHECK(s.code() == Code::io);
        CHECK(s.text() == "the disk is gone");
        CHECK(source.done <= at);
    }
    MemorySource whole(file.span(), file.size());
    CHECK(load(file, whole, to).ok());
}

TEST_CASE("a file that is not ours, or has a damaged head, is not read beyond it") {
    AlignedBytes to(many_pieces().packed.size());
    PackedFile file(many_pieces().packed.span());
    file.header().magic[0] = 'x';
    MemorySource other(file.span());
    CHECK(text_of(load(file, other, to)).find("f.axm: header.magic") == 0);
    CHECK(other.done == 128);
    file.header().magic[0] = 'A';
    file.sums()[0] ^= 1;
    MemorySource damaged(file.span());
    CHECK(text_of(load(file, damaged, to)).find("f.axm: header.head_checksum") == 0);
    CHECK(damaged.done == format::head_bytes(10, 13));
    const PackedFile nothing;
    MemorySource empty(nothing.span());
    CHECK(text_of(load(nothing, empty, to)) ==
          "f.axm: file size at offset 0x0: found 0, allowed at least 128 (an .axm header)");
    CHECK(empty.done == 0);
}

TEST_CASE("a damaged piece ends the load within 2 MiB of it") {
    PackedFile file(many_pieces().packed.span());
    file.data()[file.extents()[0].offset] ^= 1;
    AlignedBytes to(file.size());
    MemorySource source(file.span());
    CHECK_FALSE(load(file, source, to).ok());
    CHECK(source.done <= format::head_bytes(10, 13) + (2 << 20));
}

TEST_CASE("the root vouches for header, extent table and every digest, but not for the sums") {
    const PackedFile& file = many_pieces().packed;
    const FileLayout layout = many_pieces().parse().value();
    const Sha256Digest good = merkle_root(layout.header, layout.extents, layout.digests);
    CHECK(memcmp(good.data(), layout.header.root, 32) == 0);
    CHECK(layout.id().size() == 16);
    CHECK(memcmp(layout.id().data(), good.data(), 16) == 0);

    const auto root_of = [](const PackedFile& f) {
        return merkle_root(f.header(), {f.extents(), f.header().n_extents},
                           {f.digests(), size_t(f.header().n_pieces)});
    };
    // Every byte of header, extent table and digests; the root itself and the head's checksum are
    // left out, and so are the sums.
    const size_t sums_begin = 128 + 10 * 32, sums_end = sums_begin + 13 * 8;
    for (size_t at = 0; at < format::head_bytes(10, 13); at++) {
        const bool counts =
            at >= offsetof(FileHeader, n_extents) && at < offsetof(FileHeader, file_bytes);
        if (counts ||
            (at >= offsetof(FileHeader, n_pieces) && at < offsetof(FileHeader, head_checksum)))
            continue;  // they say how much is hashed
        PackedFile changed(file.span());
        changed.data()[at] ^= 0x40;
        const bool left_out =
            (at >= offsetof(FileHeader, head_checksum) && at < offsetof(FileHeader, reserved)) ||
            (at >= sums_begin && at < sums_end);
        CAPTURE(at);
        CHECK((root_of(changed) == good) == left_out);
    }
    FileHeader other = layout.header;
    other.n_pieces++;
    CHECK(merkle_root(other, layout.extents, layout.digests) != good);
    other = layout.header;
    other.n_extents++;
    CHECK(merkle_root(other, layout.extents, layout.digests) != good);
}

TEST_CASE("the head's checksum is over everything before the padding but itself") {
    const PackedFile& file = many_pieces().packed;
    const FileLayout layout = many_pieces().parse().value();
    std::vector<uint8_t> head(file.data(), file.data() + format::head_bytes(10, 13));
    memset(head.data() + offsetof(FileHeader, head_checksum), 0, 8);
    const uint64_t expected = Xxh64::of(head.data(), head.size());
    CHECK(layout.header.head_checksum == expected);
    CHECK(head_checksum(layout.header, layout.extents, layout.sums, layout.digests) == expected);
    for (size_t at = 0; at < head.size(); at++) {
        PackedFile changed(file.span());
        changed.data()[at] ^= 1;
        CAPTURE(at);
        const Status s = FileLayout::parse("f.axm", changed.span(), changed.size()).status();
        CHECK_FALSE(s.ok());
        if (at >= offsetof(FileHeader, head_checksum) && at < offsetof(FileHeader, reserved))
            CHECK(text_of(s).find("f.axm: header.head_checksum at offset 0x20") == 0);
    }
}
