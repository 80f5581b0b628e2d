// SPDX-License-Identifier: MIT
// Hostile packed files: each is refused with a message that names the field, its offset, what was
// found and what is allowed. Nothing here may crash, and ASan watches. Wrong configurations have
// their own test (check_config_test.cpp), heads and checksums as well (layout_test.cpp).
#include <cstring>
#include <functional>

#include "model/weights/weights.h"
#include "test/unit/packed_file.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;
using namespace axiom::format;

namespace {

const AlignedBytes& good_file() {
    static const AlignedBytes file = synthetic_model("tiny", StoredType::q4m);
    return file;
}

std::string open_error(const PackedFile& f) {
    const Result<Weights> weights = Weights::open("bad.axm", f.span());
    REQUIRE_FALSE(weights.ok());
    return std::string(weights.status().text());
}

struct Case {
    const char* what;
    std::function<void(PackedFile&)> change;
    const char* expected;  // part of the message
    bool sealed = true;    // checksums made right after the change
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
        {"magic", [](PackedFile& f) { f.header().magic[0] = 'x'; },
         "bad.axm: header.magic at offset 0x0: found \"xXIOMPK\\x00\", allowed \"AXIOMPK\\x00\""},
        {"the magic's last byte", [](PackedFile& f) { f.header().magic[7] = '2'; },
         "bad.axm: header.magic at offset 0x0: found \"AXIOMPK2\", allowed \"AXIOMPK\\x00\""},
        {"GGUF", [](PackedFile& f) { memcpy(f.header().magic, "GGUF", 4); },
         "this is a GGUF file: pack it"},
        {"newer version", [](PackedFile& f) { f.header().version = 3; },
         "header.version at offset 0x8: found 3, allowed 2"},
        {"version 1 with the command that packs again",
         [](PackedFile& f) { f.header().version = 1; },
         "header.version at offset 0x8: found 1, allowed 2 (pack the model again: axiom-pack "
         "MODEL.gguf -o MODEL.axm)"},
        {"no extents", [](PackedFile& f) { f.header().n_extents = 0; },
         "header.n_extents at offset 0xc: found 0, allowed 7..262144"},
        {"no layer", [](PackedFile& f) { f.header().n_extents = 6; },
         "header.n_extents at offset 0xc: found 6, allowed 7..262144"},
        {"n_layers huge", [](PackedFile& f) { f.header().n_extents = ~0u; },
         "found 4294967295, allowed 7..262144"},
        {"one extent above the limit", [](PackedFile& f) { f.header().n_extents = 262145; },
         "header.n_extents at offset 0xc: found 262145, allowed 7..262144"},
        {"fewer pieces than extents", [](PackedFile& f) { f.header().n_pieces = 7; },
         "header.n_pieces at offset 0x18: found 7, allowed 8..16777216"},
        {"pieces above the limit", [](PackedFile& f) { f.header().n_pieces = (1 << 24) + 1; },
         "header.n_pieces at offset 0x18: found 16777217, allowed 8..16777216"},
        {"more pieces than the file has room for",
         [](PackedFile& f) { f.header().n_pieces = 1 << 24; },
         "header.n_pieces at offset 0x18: found 16777216, allowed tables inside the file of "},
        {"a reserved word of the header", [](PackedFile& f) { f.header().reserved[6] = 0x20; },
         "header.reserved at offset 0x78: found 0x20, allowed 0"},
        {"file size", [](PackedFile& f) { f.header().file_bytes += 4096; },
         "header.file_bytes at offset 0x10"},
        {"head checksum", [](PackedFile& f) { f.header().head_checksum ^= 1; },
         "header.head_checksum at offset 0x20", false},
        {"head bit", [](PackedFile& f) { f.sums()[2] ^= 1; }, "header.head_checksum", false},
        {"a bit of the last digest", [](PackedFile& f) { f.digests()[7][31] ^= 1; },
         "header.head_checksum", false},
        {"a bit of the root", [](PackedFile& f) { f.header().root[31] ^= 1; },
         "header.head_checksum", false},
        {"n_pieces one too many", [](PackedFile& f) { f.header().n_pieces = 9; },
         "header.n_pieces at offset 0x18: found 9, allowed 8 (of 1 MiB in all extents)"},
        {"first_piece one too large", [](PackedFile& f) { f.extents()[6].first_piece++; },
         "extent[6].first_piece at offset 0x15c: found 7, allowed 6"},
        {"first_piece one too small", [](PackedFile& f) { f.extents()[6].first_piece--; },
         "extent[6].first_piece at offset 0x15c: found 5, allowed 6"},
        {"overlapping extents",
         [](PackedFile& f) { f.extents()[6].offset = f.extents()[5].offset; },
         "extent[6].offset at offset 0x140: found "},
        {"a page left out between extents",
         [](PackedFile& f) { f.extents()[6].offset += kExtentAlignment; },
         "(right after the one before, 4 KiB-aligned)"},
        {"extent outside", [](PackedFile& f) { f.extents()[7].bytes = f.size(); },
         "extent[7].bytes at offset 0x168: found "},
        {"extent overflow", [](PackedFile& f) { f.extents()[5].bytes = ~uint64_t{0} - 100; },
         "extent[5].bytes at offset 0x128: found 18446744073709551515, allowed 1.."},
        {"extent offset overflow", [](PackedFile& f) { f.extents()[5].offset = ~uint64_t{4095}; },
         "extent[5].offset at offset 0x120: found 18446744073709547520"},
        {"extent empty", [](PackedFile& f) { f.extents()[1].bytes = 0; },
         "extent[1].bytes at offset 0xa8: found 0, allowed 1.."},
        {"extent kind", [](PackedFile& f) { f.extents()[1].kind = ExtentKind::chat; },
         "extent[1].kind at offset 0xb0: found 2 (chat), allowed 1 (tokenizer)"},
        {"n_head zero", [](PackedFile& f) { f.layers()[0].n_head = 0; },
         "config.layer[0].n_head at offset 0x1144: found 0, allowed 1..1024"},
        {"n_head_kv", [](PackedFile& f) { f.layers()[1].n_head_kv = 3; },
         "config.layer[1].n_head_kv at offset 0x11c8: found 3, allowed a divisor of n_head = 4"},
        {"n_layer", [](PackedFile& f) { f.config().n_layer = 1000000; },
         "config.n_layer at offset 0x1008: found 1000000, allowed 2 (the number of layer extents)"},
        {"n_layer mismatch", [](PackedFile& f) { f.config().n_layer = 3; },
         "found 3, allowed 2 (the number of layer extents)"},
        {"n_embd", [](PackedFile& f) { f.config().n_embd = 63; }, "config.n_embd"},
        {"n_vocab zero", [](PackedFile& f) { f.config().n_vocab = 0; }, "config.n_vocab"},
        {"n_ff huge", [](PackedFile& f) { f.layers()[0].n_ff = ~0u; }, "config.layer[0].n_ff"},
        {"rope odd", [](PackedFile& f) { f.config().rope[0].n_dims = 3; }, "config.rope[0].n_dims"},
        {"eps NaN", [](PackedFile& f) { f.config().rms_eps = NAN; }, "config.rms_eps"},
        {"a configuration that is too short for its own struct",
         [](PackedFile& f) { f.extents()[0].bytes = sizeof(Config) - 1; },
         "extent[0] (config at 0x1000, 319 bytes).bytes at offset 0x88: found 319, allowed 320"},
        {"a configuration one layer short",
         [](PackedFile& f) { f.extents()[0].bytes -= sizeof(LayerConfig); },
         "extent[0] (config at 0x1000, 448 bytes).bytes at offset 0x88: found 448, allowed 576"},
        {"a table of one tensor less",
         [](PackedFile& f) { f.extents()[3].bytes -= sizeof(TensorEntry); },
         ".bytes at offset 0xe8: found 1344, allowed 1408 (22 tensors)"},
        {"a tied model with an output matrix", [](PackedFile& f) { f.config().tied_output = 1; },
         ".bytes at offset 0xe8: found 1408, allowed 1344 (21 tensors)"},
        {"experts that no extent holds",
         [](PackedFile& f) {
             LayerConfig& l = f.layers()[1];
             f.config().n_expert_used = 1;
             l.n_expert = 2, l.n_ff_expert = l.n_ff, l.n_ff = 0;
             l.tensors = (l.tensors & ~kDenseRoles) | kExpertRoles;
         },
         "config.layer[1].n_expert at offset 0x11d8: found 2, allowed 0 (its extents of experts)"},
        {"tensor role", [](PackedFile& f) { f.entries()[3].role = Role::attn_k; },
         "tensor[3] (attn_q.weight).role"},
        {"tensor role past the last", [](PackedFile& f) { f.entries()[3].role = Role(kNRoles); },
         "found unknown, allowed attn_q.weight"},
        {"tensor type", [](PackedFile& f) { f.entries()[3].type = StoredType(77); },
         "tensor[3] (attn_q.weight).type at offset"},
        {"tensor type past the last", [](PackedFile& f) { f.entries()[3].type = StoredType(9); },
         "found 9, allowed 2 (q4), 3 (q4m), 4 (q8), 5 (q5), 6 (q4k), 7 (q5k) or 8 (q6k)"},
        {"a plain type for a matrix", [](PackedFile& f) { f.entries()[3].type = StoredType::f32; },
         "tensor[3] (attn_q.weight).type at offset"},
        {"a quantized type for a norm", [](PackedFile& f) { f.entries()[2].type = StoredType::q8; },
         "found 4, allowed 0 (f32)"},
        {"a wider type for a norm", [](PackedFile& f) { f.entries()[2].type = StoredType::f64; },
         "found 1, allowed 0 (f32)"},
        {"a narrower type for rotary frequencies",
         [](PackedFile& f) { f.entries()[1].type = StoredType::f32; },
         "tensor[1] (rope_freqs.weight).type at offset"},
        {"a K format over 64 columns", [](PackedFile& f) { f.entries()[3].type = StoredType::q4k; },
         "found 64, allowed a multiple of 256 for q4k"},
        {"a K format of the embedding",
         [](PackedFile& f) { f.entries()[0].type = StoredType::q6k; },
         "tensor[0] (token_embd.weight).n_cols at offset"},
        {"tensor rows", [](PackedFile& f) { f.entries()[3].n_rows = uint64_t{1} << 62; },
         "tensor[3] (attn_q.weight).n_rows"},
        {"tensor columns", [](PackedFile& f) { f.entries()[3].n_cols = 32; },
         "tensor[3] (attn_q.weight).n_cols"},
        {"tensor bytes", [](PackedFile& f) { f.entries()[3].bytes -= 1; },
         "tensor[3] (attn_q.weight).bytes"},
        {"tensor offset", [](PackedFile& f) { f.entries()[3].offset = ~uint64_t{63}; },
         "tensor[3] (attn_q.weight).offset"},
        {"tensor overlap", [](PackedFile& f) { f.entries()[4].offset = f.entries()[3].offset; },
         "tensor[4] (attn_k.weight).offset"},
        {"tensor misaligned", [](PackedFile& f) { f.entries()[3].offset += 1; },
         "tensor[3] (attn_q.weight).offset"},
        {"the last tensor of an extent one step outside",
         [](PackedFile& f) { f.entries()[0].offset += kTensorAlignment; },
         "tensor[1] (rope_freqs.weight).offset"},
        {"a tensor's reserved word", [](PackedFile& f) { f.entries()[20].reserved = 1; },
         "tensor[20] (output_norm.weight).reserved at offset"},
        {"tensor extent", [](PackedFile& f) { f.entries()[3].extent = 900; },
         "tensor[3] (attn_q.weight).extent"},
    };
    for (const Case& c : cases) {
        PackedFile f(good_file().span());
        c.change(f);
        if (c.sealed) f.seal();
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
    const PackedFile f(good_file().span());
    const Result<Weights> weights = Weights::open("bad.axm", f.span());
    REQUIRE(weights.ok());
    const uint64_t tokenizer_at = f.extents()[1].offset;
    const Result<Tokenizer> tokenizer =
        Tokenizer::open("bad.axm", tokenizer_at, weights.value().tokenizer);
    REQUIRE(tokenizer.ok());
    CHECK(weights.value().check_vocabulary(tokenizer.value()).ok());
    Weights fewer = weights.value();
    fewer.config.n_vocab--;
    const Status s = fewer.check_vocabulary(tokenizer.value());
    CHECK_FALSE(s.ok());
    CHECK(std::string(s.text()).find("bad.axm: tokenizer n_vocab at offset 0x") == 0);
    const size_t n = weights.value().config.n_vocab;
    CHECK(std::string(s.text()).find("found " + std::to_string(n) + ", allowed " +
                                     std::to_string(n - 1) + " (config.n_vocab)") !=
          std::string::npos);
}

TEST_CASE("a packed file cut short anywhere is refused") {
    const std::span<const uint8_t> whole = good_file().span();
    // Every length in the head, then both sides of every page, which is where extents begin and
    // end.
    const size_t n_head = size_t(head_bytes(8, 8));
    for (size_t n = 0; n < whole.size(); n += n < n_head         ? 1
                                              : n % 4096 == 4095 ? 1
                                                                 : 4095 - n % 4096) {
        const PackedFile f(whole.first(n));
        INFO(n << " bytes");
        CHECK(open_error(f).find("bad.axm: ") == 0);
    }
}

TEST_CASE("any single wrong byte in the metadata is an error or harmless, never a crash") {
    // With checksums made right again, so that the validators themselves are on trial.
    const std::span<const uint8_t> whole = good_file().span();
    const size_t end = size_t(PackedFile(whole).extents()[4].offset);
    for (size_t at = 8; at < end; at++) {
        if (whole[at] == 0 && at % 8 != 0)
            continue;  // padding and high bytes: one in eight is enough
        PackedFile f(whole);
        f.data()[at] ^= 0xff;
        f.seal();
        const Result<Weights> weights = Weights::open("bad.axm", f.span());
        if (!weights.ok()) CHECK(std::string(weights.status().text()).find("bad.axm: ") == 0);
    }
}
