// SPDX-License-Identifier: MIT
// Hostile packed files: each is refused with a message that names the field, its offset, what was
// found and what is allowed. Nothing here may crash, and ASan watches.
#include <cstring>
#include <functional>

#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using namespace axiom::format;

namespace {

const AlignedBytes& good_file() {
    static const AlignedBytes file = synthetic_model("tiny", StoredType::q4m);
    return file;
}

FileHeader& header(AlignedBytes& f) {
    return *reinterpret_cast<FileHeader*>(f.data());
}
Extent* extents(AlignedBytes& f) {
    return reinterpret_cast<Extent*>(f.data() + sizeof(FileHeader));
}
Config& config(AlignedBytes& f) {
    return *reinterpret_cast<Config*>(f.data() + extents(f)[0].offset);
}
TensorEntry* entries(AlignedBytes& f) {
    return reinterpret_cast<TensorEntry*>(f.data() + extents(f)[3].offset);
}

// Makes every checksum right again, so that the check behind it is reached.
void reseal(AlignedBytes& f) {
    FileHeader& h = header(f);
    for (uint32_t i = 0; i < h.n_extents && sizeof h + (i + 1) * sizeof(Extent) <= f.size(); i++) {
        Extent& e = extents(f)[i];
        if (e.offset <= f.size() && e.bytes <= f.size() - e.offset)
            e.checksum = Xxh64::of(f.data() + e.offset, e.bytes);
    }
    h.head_checksum = 0;
    const uint64_t head_bytes = sizeof h + uint64_t{h.n_extents} * sizeof(Extent);
    if (head_bytes <= f.size()) h.head_checksum = Xxh64::of(f.data(), head_bytes);
}

std::string open_error(const AlignedBytes& f) {
    const Result<Weights> weights = Weights::open("bad.axm", f.span());
    REQUIRE_FALSE(weights.ok());
    return std::string(weights.status().text());
}

struct Case {
    const char* what;
    std::function<void(AlignedBytes&)> change;
    const char* expected;  // part of the message
};

}  // namespace

TEST_CASE("a good packed file opens and its checksums hold") {
    const Result<Weights> weights = Weights::open("good.axm", good_file().span());
    INFO(weights.status().text());
    REQUIRE(weights.ok());
    REQUIRE(weights.value().config.n_layer == 2);
    REQUIRE(verify_checksums("good.axm", good_file().span()).ok());
}

TEST_CASE("each wrong field of a packed file is refused by name, offset, found and allowed") {
    const Case cases[] = {
        {"magic", [](AlignedBytes& f) { header(f).magic[0] = 'x'; },
         "bad.axm: header.magic at offset 0x0: found \"xXIOMPK\\x00\", allowed \"AXIOMPK\\x00\""},
        {"GGUF", [](AlignedBytes& f) { memcpy(header(f).magic, "GGUF", 4); },
         "this is a GGUF file: pack it"},
        {"newer version", [](AlignedBytes& f) { header(f).version = 2; },
         "header.version at offset 0x8: found 2, allowed 1"},
        {"no extents", [](AlignedBytes& f) { header(f).n_extents = 0; },
         "header.n_extents at offset 0xc: found 0, allowed 7..1030"},
        {"n_layers huge", [](AlignedBytes& f) { header(f).n_extents = ~0u; },
         "found 4294967295, allowed 7..1030"},
        {"file size", [](AlignedBytes& f) { header(f).file_bytes += 4096; },
         "header.file_bytes at offset 0x10"},
        {"head checksum", [](AlignedBytes& f) { header(f).head_checksum ^= 1; },
         "header.head_checksum at offset 0x18"},
        {"head bit", [](AlignedBytes& f) { extents(f)[2].checksum ^= 1; }, "header.head_checksum"},
        {"overlapping extents",
         [](AlignedBytes& f) {
             extents(f)[6].offset = extents(f)[5].offset;
             reseal(f);
         },
         "extent[6] (layer).offset"},
        {"extent outside",
         [](AlignedBytes& f) {
             extents(f)[7].bytes = f.size();
             reseal(f);
         },
         "extent[7] (output).bytes"},
        {"extent overflow",
         [](AlignedBytes& f) {
             extents(f)[5].bytes = ~uint64_t{0} - 100;
             reseal(f);
         },
         "extent[5] (layer).bytes at offset 0xe8: found 18446744073709551515"},
        {"extent offset overflow",
         [](AlignedBytes& f) {
             extents(f)[5].offset = ~uint64_t{4095};
             reseal(f);
         },
         "extent[5] (layer).offset"},
        {"extent empty",
         [](AlignedBytes& f) {
             extents(f)[1].bytes = 0;
             reseal(f);
         },
         "extent[1] (tokenizer).bytes"},
        {"extent kind",
         [](AlignedBytes& f) {
             extents(f)[1].kind = ExtentKind::chat;
             reseal(f);
         },
         "extent[1] (tokenizer).kind"},
        {"n_head zero",
         [](AlignedBytes& f) {
             config(f).n_head = 0;
             reseal(f);
         },
         "config.n_head at offset 0x100c: found 0, allowed 1..1024"},
        {"n_head_kv",
         [](AlignedBytes& f) {
             config(f).n_head_kv = 3;
             reseal(f);
         },
         "config.n_head_kv"},
        {"n_layer",
         [](AlignedBytes& f) {
             config(f).n_layer = 1000000;
             reseal(f);
         },
         "config.n_layer at offset 0x1008: found 1000000, allowed 1..1024"},
        {"n_layer mismatch",
         [](AlignedBytes& f) {
             config(f).n_layer = 3;
             reseal(f);
         },
         "the number of layer extents"},
        {"n_embd",
         [](AlignedBytes& f) {
             config(f).n_embd = 63;
             reseal(f);
         },
         "config.n_embd"},
        {"n_vocab zero",
         [](AlignedBytes& f) {
             config(f).n_vocab = 0;
             reseal(f);
         },
         "config.n_vocab"},
        {"n_ff huge",
         [](AlignedBytes& f) {
             config(f).n_ff = ~0u;
             reseal(f);
         },
         "config.n_ff"},
        {"rope odd",
         [](AlignedBytes& f) {
             config(f).rope_dim = 3;
             reseal(f);
         },
         "config.rope_dim"},
        {"eps NaN",
         [](AlignedBytes& f) {
             config(f).rms_eps = NAN;
             reseal(f);
         },
         "config.rms_eps"},
        {"architecture",
         [](AlignedBytes& f) {
             strcpy(config(f).architecture, "mamba");
             reseal(f);
         },
         "config.architecture"},
        {"tensor role",
         [](AlignedBytes& f) {
             entries(f)[3].role = Role::attn_k;
             reseal(f);
         },
         "tensor[3] (attn_q).role"},
        {"tensor type",
         [](AlignedBytes& f) {
             entries(f)[3].type = StoredType(77);
             reseal(f);
         },
         "tensor[3] (attn_q).type at offset"},
        {"tensor type past the last",
         [](AlignedBytes& f) {
             entries(f)[3].type = StoredType(9);
             reseal(f);
         },
         "found 9, allowed 2 (q4), 3 (q4m), 4 (q8), 5 (q5), 6 (q4k), 7 (q5k) or 8 (q6k)"},
        {"a plain type for a matrix",
         [](AlignedBytes& f) {
             entries(f)[3].type = StoredType::f32;
             reseal(f);
         },
         "tensor[3] (attn_q).type at offset"},
        {"a K format over 64 columns",
         [](AlignedBytes& f) {
             entries(f)[3].type = StoredType::q4k;
             reseal(f);
         },
         "found 64, allowed a multiple of 256 for q4k"},
        {"a K format of the embedding",
         [](AlignedBytes& f) {
             entries(f)[0].type = StoredType::q6k;
             reseal(f);
         },
         "tensor[0] (token_embd).n_cols at offset"},
        {"tensor rows",
         [](AlignedBytes& f) {
             entries(f)[3].n_rows = uint64_t{1} << 62;
             reseal(f);
         },
         "tensor[3] (attn_q).n_rows"},
        {"tensor bytes",
         [](AlignedBytes& f) {
             entries(f)[3].bytes -= 1;
             reseal(f);
         },
         "tensor[3] (attn_q).bytes"},
        {"tensor offset",
         [](AlignedBytes& f) {
             entries(f)[3].offset = ~uint64_t{63};
             reseal(f);
         },
         "tensor[3] (attn_q).offset"},
        {"tensor overlap",
         [](AlignedBytes& f) {
             entries(f)[4].offset = entries(f)[3].offset;
             reseal(f);
         },
         "tensor[4] (attn_k).offset"},
        {"tensor misaligned",
         [](AlignedBytes& f) {
             entries(f)[3].offset += 1;
             reseal(f);
         },
         "tensor[3] (attn_q).offset"},
        {"tensor extent",
         [](AlignedBytes& f) {
             entries(f)[3].extent = 900;
             reseal(f);
         },
         "tensor[3] (attn_q).extent"},
    };
    for (const Case& c : cases) {
        AlignedBytes f(good_file().span());
        c.change(f);
        INFO(c.what);
        const std::string message = open_error(f);
        INFO(message);
        CHECK(message.find("bad.axm: ") == 0);
        CHECK(message.find(c.expected) != std::string::npos);
        for (const char* part : {" at offset 0x", ": found ", ", allowed "})
            CHECK(message.find(part) != std::string::npos);
    }
}

TEST_CASE("a vocabulary that is not the embedding's is refused, whatever the extents say alone") {
    AlignedBytes f(good_file().span());
    const Result<Weights> weights = Weights::open("bad.axm", f.span());
    REQUIRE(weights.ok());
    const Result<Tokenizer> tokenizer =
        Tokenizer::open("bad.axm", extents(f)[1].offset, weights.value().tokenizer);
    REQUIRE(tokenizer.ok());
    CHECK(weights.value().check_vocabulary(tokenizer.value()).ok());
    Weights fewer = weights.value();
    fewer.config.n_vocab--;
    const Status s = fewer.check_vocabulary(tokenizer.value());
    CHECK_FALSE(s.ok());
    CHECK(std::string(s.text()).find("bad.axm: tokenizer n_vocab at offset 0x") == 0);
}

TEST_CASE("a packed file cut short anywhere is refused") {
    const std::span<const uint8_t> whole = good_file().span();
    // Every length in the head, then both sides of every page, which is where extents begin and
    // end.
    for (size_t n = 0; n < whole.size(); n += n < 512            ? 1
                                              : n % 4096 == 4095 ? 1
                                                                 : 4095 - n % 4096) {
        const AlignedBytes f(whole.first(n));
        INFO(n << " bytes");
        CHECK(open_error(f).find("bad.axm: ") == 0);
    }
}

TEST_CASE("one flipped bit in any extent fails its checksum, fed in any pieces") {
    for (uint32_t i = 0; i < 8; i++) {
        AlignedBytes f(good_file().span());
        const Extent& e = extents(f)[i];
        f.data()[e.offset + e.bytes / 2] ^= 0x10;
        for (const size_t piece : {size_t{1000}, size_t{4096}, f.size()}) {
            const Result<FileLayout> layout = FileLayout::parse("bad.axm", f.span(), f.size());
            REQUIRE(layout.ok());
            ChecksumStream stream("bad.axm", layout.value());
            Status s;
            for (size_t at = 0; at < f.size() && s.ok(); at += piece) {
                s = stream.feed(f.span().subspan(at, std::min(piece, f.size() - at)));
            }
            INFO("extent " << i << " in pieces of " << piece << ": " << s.text());
            CHECK_FALSE(s.ok());
            CHECK(std::string(s.text()).find("extent[" + std::to_string(i) + "]") !=
                  std::string::npos);
        }
    }
}

TEST_CASE("a stream of checksums that ends early is not a verified file") {
    const std::span<const uint8_t> whole = good_file().span();
    const Result<FileLayout> layout = FileLayout::parse("bad.axm", whole, whole.size());
    REQUIRE(layout.ok());
    ChecksumStream stream("bad.axm", layout.value());
    REQUIRE(stream.feed(whole.first(whole.size() - 8192)).ok());
    REQUIRE_FALSE(stream.finish().ok());
}

TEST_CASE("any single wrong byte in the metadata is an error or harmless, never a crash") {
    // With checksums made right again, so that the validators themselves are on trial.
    const std::span<const uint8_t> whole = good_file().span();
    AlignedBytes probe(whole);
    const size_t end = size_t(extents(probe)[4].offset);
    for (size_t at = 8; at < end; at++) {
        if (whole[at] == 0 && at % 8 != 0)
            continue;  // padding and high bytes: one in eight is enough
        AlignedBytes f(whole);
        f.data()[at] ^= 0xff;
        reseal(f);
        const Result<Weights> weights = Weights::open("bad.axm", f.span());
        if (!weights.ok()) CHECK(std::string(weights.status().text()).find("bad.axm: ") == 0);
    }
}
