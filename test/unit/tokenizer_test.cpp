// SPDX-License-Identifier: MIT
// The tokenizer on small vocabularies: against plain reference loops, and on bytes that lie.
#include "model/text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "model/text/pretokenizer.h"
#include "model/text/tokenizer_layout.h"
#include "model/text/unicode.h"
#include "packer/gguf_builder.h"
#include "test/unit/tokenizer_fixture.h"

using namespace axiom;
using format::TokenizerHeader;
using format::TokenType;

namespace {

constexpr auto kParse = Tokenizer::Specials::parse;
constexpr auto kLiteral = Tokenizer::Specials::literal;

struct Token {
    std::string text;
    TokenType type = TokenType::normal;
    float score = 0;
};

struct SmallVocabulary {
    std::string model = "gpt2", pre = "gpt-2";
    std::vector<Token> tokens;
    std::vector<std::string> merges;
    bool add_space_prefix = false;
    std::map<std::string, uint32_t> ids;  // more keys

    std::vector<uint8_t> gguf() const {
        std::vector<std::string> texts;
        std::vector<int32_t> types;
        std::vector<float> scores;
        for (const Token& t : tokens) {
            texts.push_back(t.text);
            types.push_back(int32_t(t.type));
            scores.push_back(t.score);
        }
        gguf::Builder b;
        b.string("tokenizer.ggml.model", model);
        if (!pre.empty()) b.string("tokenizer.ggml.pre", pre);
        b.strings("tokenizer.ggml.tokens", texts);
        b.integers("tokenizer.ggml.token_type", types);
        if (model == "llama") b.floats("tokenizer.ggml.scores", scores);
        if (model == "gpt2") b.strings("tokenizer.ggml.merges", merges);
        b.boolean("tokenizer.ggml.add_space_prefix", add_space_prefix);
        b.boolean("tokenizer.ggml.add_bos_token", false);
        for (const auto& [key, value] : ids) b.u32("tokenizer.ggml." + key, value);
        return b.build();
    }
    PackedTokenizer pack() const { return PackedTokenizer("small.gguf", gguf()); }
    // What packing says when it refuses.
    std::string refusal() const {
        const std::vector<uint8_t> bytes = gguf();
        const auto file = gguf::File::parse("small.gguf", bytes);
        REQUIRE(file.ok());
        const auto section = packer::build_tokenizer_section(file.value());
        CHECK_FALSE(section.ok());
        return std::string(section.status().text());
    }
};

SmallVocabulary small_bpe() {
    SmallVocabulary v;
    v.tokens = {{"a"},
                {"b"},
                {"c"},
                {"Ġ"},
                {"ab"},
                {"Ġa"},
                {"abc"},
                {"ĠabĠ"},
                {"<end>", TokenType::control},
                {"Ċ"},
                {"é", TokenType::user_defined}};
    v.merges = {"a b", "Ġ a", "ab c"};
    return v;
}

SmallVocabulary small_spm() {
    SmallVocabulary v;
    v.model = "llama";
    v.pre = "";
    v.add_space_prefix = true;
    v.tokens = {{"<unk>", TokenType::unknown},  {"<s>", TokenType::control},
                {"</s>", TokenType::control},   {"<0x0A>", TokenType::byte},
                {"<0xE9>", TokenType::byte},    {"▁", TokenType::normal, -5},
                {"a", TokenType::normal, -6},   {"b", TokenType::normal, -7},
                {"ab", TokenType::normal, -1},  {"▁a", TokenType::normal, -2},
                {"▁ab", TokenType::normal, -3}, {"ba", TokenType::normal, -1}};
    return v;
}

std::vector<std::string> pieces(const PackedTokenizer& packed, const std::vector<TokenId>& ids) {
    std::vector<std::string> out;
    for (const TokenId id : ids) out.emplace_back(packed.tokenizer.piece(id));
    return out;
}

using Pieces = std::vector<std::string>;

std::string random_text(std::mt19937& rng, std::string_view letters, size_t n) {
    std::string text;
    for (size_t i = 0; i < n; i++) text += letters[rng() % letters.size()];
    return text;
}

// Opens changed bytes; returns the error's text, empty if there was none.
std::string open_error(const std::vector<uint8_t>& section) {
    const AlignedBytes bytes(section);
    const auto opened = Tokenizer::open("x.axm", 0x2000, bytes.get());
    return std::string(opened.status().text());
}

template <class T>
std::vector<uint8_t> with(std::vector<uint8_t> section, uint64_t offset, T value) {
    REQUIRE(offset + sizeof value <= section.size());
    std::memcpy(&section[offset], &value, sizeof value);
    return section;
}

void check_refused(const std::vector<uint8_t>& section, std::string_view field) {
    const std::string text = open_error(section);
    INFO(field << ": " << text);
    CHECK(text.starts_with("x.axm: tokenizer"));
    CHECK(text.find(field) != std::string::npos);
    CHECK(text.find(" at offset 0x2") != std::string::npos);
    CHECK(text.find("found ") != std::string::npos);
    CHECK(text.find("allowed ") != std::string::npos);
}

TokenizerHeader header_of(const std::vector<uint8_t>& section) {
    TokenizerHeader h;
    std::memcpy(&h, section.data(), sizeof h);
    return h;
}

// Runs everything a tokenizer can be asked for: what it answers is of no interest, only that it
// does.
void exercise(const Tokenizer& t) {
    const std::string text = "ab <end>a\n\xe9 \xc3\xa9 abc</s>";
    std::vector<uint64_t> scratch(Tokenizer::scratch_bytes(2 * text.size()) / 8 + 1);
    std::vector<TokenId> ids(64);
    const Tokenizer::Segment segments[] = {{text, kParse}, {text, kLiteral}};
    const auto n = t.encode(segments, true, ids,
                            {reinterpret_cast<uint8_t*>(scratch.data()), 8 * scratch.size()});
    if (!n.ok()) return;
    char buffer[format::kMaxTokenBytes];
    for (size_t i = 0; i < n.value(); i++) {
        CHECK(ids[i] < t.n_vocab());
        (void)t.decode(ids[i], buffer, true);
    }
}

}  // namespace

TEST_CASE("byte-level merges go by rank, and within a word only") {
    const PackedTokenizer packed = small_bpe().pack();
    CHECK(pieces(packed, packed.encode("abc")) == Pieces{"abc"});
    CHECK(pieces(packed, packed.encode("ab abc")) == Pieces{"ab", " ", "abc"});
    CHECK(pieces(packed, packed.encode("ac a")) == Pieces{"a", "c", " a"});
    CHECK(pieces(packed, packed.encode("cab\n\na")) == Pieces{"c", "ab", "\n", "\n", "a"});
}

TEST_CASE("bytes that a byte-level vocabulary lacks are dropped") {
    const PackedTokenizer packed = small_bpe().pack();
    CHECK(pieces(packed, packed.encode("axb")) == Pieces{"a", "b"});
    CHECK(packed.encode("xyz").empty());
}

TEST_CASE("SentencePiece merges go by score, the leftmost first, and fall back to bytes") {
    const PackedTokenizer packed = small_spm().pack();
    CHECK(pieces(packed, packed.encode("ab")) == Pieces{"▁ab"});
    CHECK(pieces(packed, packed.encode("bab")) == Pieces{"▁", "ba", "b"});
    CHECK(pieces(packed, packed.encode("aba")) == Pieces{"▁ab", "a"});
    CHECK(pieces(packed, packed.encode("a\nb")) == Pieces{"▁a", "<0x0A>", "b"});
    CHECK(pieces(packed, packed.encode("a\xe9")) == Pieces{"▁a", "<0xE9>"});
    CHECK(pieces(packed, packed.encode("a?")) == Pieces{"▁a", "<unk>"});
    CHECK(packed.decode(packed.encode("ab a\nb")) == " ab a\nb");
}

TEST_CASE("the blank that SentencePiece puts first also follows special tokens") {
    const PackedTokenizer packed = small_spm().pack();
    CHECK(pieces(packed, packed.encode("a<s>a</s>")) == Pieces{"▁a", "<s>", "▁a", "</s>"});
    CHECK(packed.encode("").empty());
}

TEST_CASE("special tokens are taken longest first") {
    SmallVocabulary v = small_bpe();
    v.tokens = {{"a"},
                {"b"},
                {"c"},
                {"aa", TokenType::user_defined},
                {"abcab", TokenType::user_defined},
                {"bca", TokenType::control},
                {"ca", TokenType::user_defined},
                {"cabc", TokenType::unknown},
                {"caaaa", TokenType::user_defined}};
    v.merges = {};
    const PackedTokenizer packed = v.pack();

    // The plain way: each token in turn, longest first, cuts every free stretch of text.
    const auto reference = [&](const std::string& text, bool parse) {
        std::vector<TokenId> owner(text.size(), format::kNoToken);
        std::vector<bool> begins(text.size());
        std::vector<TokenId> order;
        for (TokenId id = 3; id < v.tokens.size(); id++) {
            if (parse || v.tokens[id].type == TokenType::user_defined) order.push_back(id);
        }
        std::stable_sort(order.begin(), order.end(), [&](TokenId x, TokenId y) {
            return v.tokens[x].text.size() > v.tokens[y].text.size();
        });
        for (const TokenId id : order) {
            const std::string& token = v.tokens[id].text;
            for (size_t at = 0; (at = text.find(token, at)) != std::string::npos;) {
                const auto first = owner.begin() + ptrdiff_t(at),
                           last = first + ptrdiff_t(token.size());
                if (std::any_of(first, last, [](TokenId o) { return o != format::kNoToken; })) {
                    at++;
                    continue;
                }
                std::fill(first, last, id);
                begins[at] = true;
                at += token.size();
            }
        }
        std::vector<TokenId> ids;
        for (size_t i = 0; i < text.size(); i++) {
            if (owner[i] == format::kNoToken)
                ids.push_back(packed.tokenizer.find(text.substr(i, 1)));
            if (begins[i]) ids.push_back(owner[i]);
        }
        return ids;
    };
    std::mt19937 rng(1);
    for (int i = 0; i < 3000; i++) {
        const std::string text = random_text(rng, "aaabbc", 1 + rng() % 30);
        INFO(text);
        CHECK(packed.encode(text) == reference(text, true));
        CHECK(packed.encode(text, kLiteral) == reference(text, false));
    }
}

TEST_CASE("merging through the heap equals merging the best pair again and again") {
    std::mt19937 rng(7);
    SmallVocabulary v;
    v.tokens = {{"a"}, {"b"}, {"c"}};
    std::set<std::string> known = {"a", "b", "c"};
    while (v.merges.size() < 60) {
        const std::string left = v.tokens[rng() % v.tokens.size()].text;
        const std::string right = v.tokens[rng() % v.tokens.size()].text;
        const std::string merge = left + " " + right;
        if (left.size() + right.size() > 9 || std::count(v.merges.begin(), v.merges.end(), merge)) {
            continue;
        }
        if (known.insert(left + right).second) {
            v.tokens.push_back({left + right, TokenType::normal, -float(rng() % 20)});
        }
        v.merges.push_back(merge);
    }
    const PackedTokenizer bpe = v.pack();
    v.model = "llama";
    v.pre = "";
    v.tokens.push_back({"▁"});
    const PackedTokenizer spm = v.pack();

    const auto merge_all = [&](const std::string& text, auto rank_of) {
        Pieces row;
        for (const char c : text) row.emplace_back(1, c);
        for (;;) {
            size_t best = row.size();
            double best_rank = 1e9;
            for (size_t i = 0; i + 1 < row.size(); i++) {
                const double rank = rank_of(row[i], row[i + 1]);
                if (rank < best_rank) best_rank = rank, best = i;
            }
            if (best == row.size()) return row;
            row[best] += row[best + 1];
            row.erase(row.begin() + ptrdiff_t(best) + 1);
        }
    };
    for (int i = 0; i < 1500; i++) {
        const std::string text = random_text(rng, "abc", 1 + rng() % 60);
        INFO(text);
        CHECK(pieces(bpe, bpe.encode(text)) == merge_all(text, [&](const auto& l, const auto& r) {
                  const auto at = std::find(v.merges.begin(), v.merges.end(), l + " " + r);
                  return at == v.merges.end() ? 1e9 : double(at - v.merges.begin());
              }));
        CHECK(pieces(spm, spm.encode(text)) == merge_all(text, [&](const auto& l, const auto& r) {
                  for (const Token& t : v.tokens) {
                      if (t.text == l + r) return -double(t.score);
                  }
                  return 1e9;
              }));
    }
}

TEST_CASE("a word of a million bytes is tokenized") {
    std::string text;
    for (int i = 0; i < 500000; i++) text += "ab";
    const PackedTokenizer bpe = small_bpe().pack();
    CHECK(bpe.encode(text).size() == 500000);
    const PackedTokenizer spm = small_spm().pack();
    CHECK(spm.encode(text).size() == 500000);
    CHECK(bpe.encode(std::string(1000000, '<')).empty());
}

TEST_CASE("room that is too small is an error with both numbers") {
    const PackedTokenizer packed = small_bpe().pack();
    const Tokenizer::Segment segment{"acacac", kParse};
    std::vector<uint64_t> scratch(Tokenizer::scratch_bytes(6) / 8 + 1);
    const std::span<uint8_t> all(reinterpret_cast<uint8_t*>(scratch.data()),
                                 Tokenizer::scratch_bytes(6));
    std::vector<TokenId> out(8, 77);
    const auto few = packed.tokenizer.encode({&segment, 1}, false, {out.data(), 5}, all);
    CHECK(few.status().code() == Code::no_memory);
    CHECK(few.status().text() == "the text is 6 tokens, there is room for 5");
    CHECK(out[5] == 77);
    const auto tight = packed.tokenizer.encode({&segment, 1}, false, {out.data(), 6}, all);
    CHECK(tight.ok());
    const auto no_scratch =
        packed.tokenizer.encode({&segment, 1}, false, out, all.first(all.size() - 1));
    CHECK(no_scratch.status().code() == Code::no_memory);
}

TEST_CASE("a file without vocabulary gives a tokenizer that says so") {
    gguf::Builder builder;
    builder.string("general.architecture", "llama");
    const auto bytes = builder.build();
    const PackedTokenizer packed("none.gguf", bytes);
    CHECK(packed.tokenizer.n_vocab() == 0);
    char buffer[format::kMaxTokenBytes];
    CHECK(packed.tokenizer.decode(0, buffer).empty());
    const Tokenizer::Segment segment{"a", kParse};
    CHECK(packed.tokenizer.encode({&segment, 1}, true, {}, {}).status().code() ==
          Code::unsupported);
    CHECK(Tokenizer().n_vocab() == 0);
}

TEST_CASE("a tokenizer extent cut off at any byte is refused") {
    for (const SmallVocabulary& v : {small_bpe(), small_spm()}) {
        const std::vector<uint8_t> section = tokenizer_section("small.gguf", v.gguf());
        CHECK(open_error(section).empty());
        for (size_t n = 0; n < section.size(); n++) {
            check_refused({section.begin(), section.begin() + ptrdiff_t(n)}, "extent size");
        }
        std::vector<uint8_t> longer = section;
        longer.push_back(0);
        check_refused(longer, "extent size");
    }
}

TEST_CASE("wrong header fields of a tokenizer extent are refused by name") {
    const std::vector<uint8_t> section = tokenizer_section("small.gguf", small_bpe().gguf());
    const uint32_t n_vocab = header_of(section).n_vocab;
    const struct {
        size_t offset;
        uint32_t value;
        const char* field;
    } cases[] = {
        {offsetof(TokenizerHeader, kind), 3, "kind"},
        {offsetof(TokenizerHeader, kind), 2, "n_vocab"},
        {offsetof(TokenizerHeader, kind), 1, "n_merges"},
        {offsetof(TokenizerHeader, pre), 4, "pre"},
        {offsetof(TokenizerHeader, n_vocab), 0, "n_vocab"},
        {offsetof(TokenizerHeader, n_vocab), format::kMaxVocab + 1, "n_vocab"},
        {offsetof(TokenizerHeader, n_vocab), n_vocab + 9, "extent size"},
        {offsetof(TokenizerHeader, n_merges), 0xffffffff, "n_merges"},
        {offsetof(TokenizerHeader, n_merges), 4, "extent size"},
        {offsetof(TokenizerHeader, bos), n_vocab, "bos"},
        {offsetof(TokenizerHeader, eos), 0xfffffffe, "eos"},
        {offsetof(TokenizerHeader, eot), n_vocab, "eot"},
        {offsetof(TokenizerHeader, unk), n_vocab, "unk"},
        {offsetof(TokenizerHeader, n_eog), format::kMaxEog + 1, "n_eog"},
        {offsetof(TokenizerHeader, n_eog), 2, "eog[1]"},
        {offsetof(TokenizerHeader, eog), n_vocab, "eog[0]"},
        {offsetof(TokenizerHeader, eog) + 60, 0, "eog[15]"},
        {offsetof(TokenizerHeader, add_bos), 1, "add_bos"},
        {offsetof(TokenizerHeader, add_eos), 2, "add_eos"},
        {offsetof(TokenizerHeader, add_space_prefix), 2, "add_space_prefix"},
        {offsetof(TokenizerHeader, string_bytes) + 4, 1, "string_bytes"},
        {offsetof(TokenizerHeader, reserved), 1, "reserved"},
        {offsetof(TokenizerHeader, reserved) + 4, 1, "reserved"},
    };
    // <end> is the one token that ends generation: the vocabulary names it so.
    SmallVocabulary v = small_bpe();
    v.ids["eot_token_id"] = 8;
    const std::vector<uint8_t> with_end = tokenizer_section("small.gguf", v.gguf());
    REQUIRE(header_of(with_end).n_eog == 1);
    for (const auto& c : cases) check_refused(with(with_end, c.offset, c.value), c.field);
}

TEST_CASE("wrong arrays of a tokenizer extent are refused by name") {
    const std::vector<uint8_t> bpe = tokenizer_section("small.gguf", small_bpe().gguf());
    const std::vector<uint8_t> spm = tokenizer_section("small.gguf", small_spm().gguf());
    const TokenizerLayout b(header_of(bpe)), s(header_of(spm));
    const auto word = [](const std::vector<uint8_t>& section, uint64_t offset) {
        uint32_t value;
        std::memcpy(&value, &section[offset], 4);
        return value;
    };

    check_refused(with(bpe, b.string_offset, 1u), "string_offset[0]");
    check_refused(with(bpe, b.string_offset + 8, 0u), "string_offset[2]");
    check_refused(with(bpe, b.string_offset + 8, 0x7fffffffu), "string_offset[2]");
    check_refused(with(bpe, b.string_offset + 4, 0u), "piece 0");  // an empty piece
    check_refused(with(spm, s.string_offset + 4 * header_of(spm).n_vocab,
                       uint32_t(header_of(spm).string_bytes - 1)),
                  "string_offset[12]");

    check_refused(with(bpe, b.type, uint8_t{0}), "type[0]");
    check_refused(with(bpe, b.type + 3, uint8_t{7}), "type[3]");

    check_refused(with(bpe, b.by_text, 0xffffffffu), "by_text[0]");
    check_refused(with(bpe, b.by_text + 4, word(bpe, b.by_text)), "by_text[1]");
    std::vector<uint8_t> swapped = with(bpe, b.by_text, word(bpe, b.by_text + 4));
    check_refused(with(swapped, b.by_text + 4, word(bpe, b.by_text)), "by_text[1]");

    for (size_t f = 0; f < 4; f++) {
        check_refused(with(bpe, b.merges + 4 * f, 0x7fffffffu), "merges[0]");
    }
    check_refused(with(bpe, b.merges + 16, word(bpe, b.merges)), "merges[1]");  // unsorted
    check_refused(
        with(with(bpe, b.merges + 16, word(bpe, b.merges)), b.merges + 20, word(bpe, b.merges + 4)),
        "merges[1]");  // twice

    const uint32_t nan = 0x7fc00000, infinity = 0xff800000;
    check_refused(with(spm, s.score + 8, nan), "score[2]");
    check_refused(with(spm, s.score, infinity), "score[0]");
    // Pieces of spm are UTF-8 and byte tokens are <0xNN>; words of bpe may be any bytes.
    check_refused(with(spm, s.strings, char(0xff)), "piece 0");
    check_refused(with(spm, s.strings + word(spm, s.string_offset + 12), 'x'), "piece 3");
    CHECK(open_error(with(bpe, b.strings + word(bpe, b.string_offset + 24), '\xff'))
              .find("tokenizer piece") == std::string::npos);
    check_refused(with(bpe, b.strings + word(bpe, b.string_offset + 32), '\xff'), "piece 8");
}

TEST_CASE("whatever byte of a tokenizer extent is changed, nothing breaks") {
    for (const SmallVocabulary& v : {small_bpe(), small_spm()}) {
        const std::vector<uint8_t> section = tokenizer_section("small.gguf", v.gguf());
        size_t n_opened = 0;
        for (size_t i = 0; i < section.size(); i++) {
            for (const int change : {0x01, 0x80, 0xff}) {
                const AlignedBytes bytes(with(section, i, uint8_t(section[i] ^ change)));
                const auto opened = Tokenizer::open("x.axm", 0, bytes.get());
                if (!opened.ok()) continue;
                n_opened++;
                exercise(opened.value());
            }
        }
        CHECK(n_opened > 0);
    }
}

TEST_CASE("a GGUF vocabulary that cannot be packed is refused by name") {
    const auto refused = [](auto change, std::string_view named) {
        SmallVocabulary v = small_bpe();
        change(v);
        const std::string text = v.refusal();
        INFO(text);
        CHECK(text.starts_with("small.gguf: tokenizer.ggml."));
        CHECK(text.find(named) != std::string::npos);
        CHECK(text.find("allowed ") != std::string::npos);
    };
    refused([](auto& v) { v.model = "t5"; }, "\"t5\"");
    refused([](auto& v) { v.pre = "qwen2"; }, "\"qwen2\"");
    refused([](auto& v) { v.tokens.clear(); }, "tokens at offset");
    refused([](auto& v) { v.tokens[2].text = "\xff"; }, "tokens[2]");
    refused([](auto& v) { v.tokens[2].text = ""; }, "tokens[2]");
    refused([](auto& v) { v.tokens[2].text = "a"; }, "tokens[2]");
    refused([](auto& v) { v.tokens[2].text = std::string(1025, 'x'); }, "1025 bytes");
    refused([](auto& v) { v.tokens[8].text = std::string(257, 'x'); }, "257 bytes");
    refused([](auto& v) { v.tokens[2].type = TokenType(7); }, "token_type[2]");
    refused([](auto& v) { v.merges[1] = "ab"; }, "merges[1]");
    refused([](auto& v) { v.merges[1] = "x a"; }, "merges[1]");
    refused([](auto& v) { v.merges[1] = "a a"; }, "merges[1]");
    refused([](auto& v) { v.ids["bos_token_id"] = 11; }, "bos_token_id");
    refused([](auto& v) { v.ids["eot_token_id"] = 11; }, "eot_token_id");
    refused(
        [](auto& v) {
            v = small_spm();
            v.tokens[3].text = "<0xGG>";
        },
        "tokens[3]");
    refused(
        [](auto& v) {
            v = small_spm();
            v.tokens[6].score = std::numeric_limits<float>::infinity();
        },
        "scores[6]");
}

TEST_CASE("every known name of a pre-tokenizer gives its kind") {
    const auto kind = [](const char* name) {
        SmallVocabulary v = small_bpe();
        v.pre = name;
        v.ids["bos_token_id"] = 0;
        return v.pack().tokenizer.header().pre;
    };
    for (const char* name : {"", "default"}) CHECK(kind(name) == format::PreTokenizer::default_);
    for (const char* name : {"gpt-2", "gpt2"}) CHECK(kind(name) == format::PreTokenizer::gpt2);
    CHECK(kind("smollm") == format::PreTokenizer::smollm);
    for (const char* name : {"llama-bpe", "llama3", "llama-v3"}) {
        CHECK(kind(name) == format::PreTokenizer::llama_bpe);
    }
}

TEST_CASE("a word of Llama 3's that is a token needs no merges") {
    SmallVocabulary v = small_bpe();
    v.tokens.push_back({"cab"});
    CHECK(pieces(v.pack(), v.pack().encode("cab")) == Pieces{"c", "ab"});
    v.pre = "llama-bpe";
    CHECK(pieces(v.pack(), v.pack().encode("cab")) == Pieces{"cab"});
}

TEST_CASE("texts outside the byte alphabet are printed but never yielded") {
    SmallVocabulary v = small_bpe();
    v.pre = "llama-bpe";
    v.tokens.push_back({"日"});
    const PackedTokenizer packed = v.pack();
    CHECK(packed.decode({TokenId(v.tokens.size() - 1)}) == "日");
    CHECK(packed.encode("日").empty());
    // A special token of the same bytes as a word stays apart from it.
    SmallVocabulary twin = small_bpe();
    twin.pre = "llama-bpe";
    twin.tokens.push_back({"  ", TokenType::control});
    twin.tokens.push_back({"ĠĠ"});
    const PackedTokenizer both = twin.pack();
    CHECK(both.encode("  ") == std::vector<TokenId>{11});
    CHECK(both.encode("  ", kLiteral) == std::vector<TokenId>{12});
}

TEST_CASE("UTF-8 is decoded as leniently as llama.cpp does, and judged strictly") {
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char buffer[4];
        const std::string_view text(buffer, encode_utf8(c, buffer));
        const CodePoint back = decode_utf8(text, 0);
        if (back.value != c || back.n_bytes != text.size() ||
            is_utf8(text) != (c < 0xd800 || c > 0xdfff)) {
            INFO(c);
            CHECK(back.value == c);
            CHECK(is_utf8(text));
        }
    }
    for (const std::string_view bad : {"\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xff",
                                       "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc3("}) {
        CHECK(decode_utf8(bad, 0).value == kReplacementChar);
        CHECK(decode_utf8(bad, 0).n_bytes == 1);
        CHECK_FALSE(is_utf8(bad));
    }
    CHECK(decode_utf8("\xc1\x81", 0).value == 'A');  // overlong
    CHECK_FALSE(is_utf8("\xc1\x81"));
    CHECK_FALSE(is_utf8("\xe0\x80\x80"));
    CHECK(is_utf8(""));
}

TEST_CASE("character classes are those of Unicode 15.1") {
    size_t n[5] = {};
    for (uint32_t c = 0; c <= 0x10ffff; c++) n[size_t(char_class(c))]++;
    // Counted over UnicodeData.txt 15.1: general categories L, N and P, and White_Space.
    CHECK(n[size_t(CharClass::letter)] == 136726);
    CHECK(n[size_t(CharClass::number)] == 1831);
    CHECK(n[size_t(CharClass::punctuation)] == 842);
    CHECK(n[size_t(CharClass::space)] == 25);
    CHECK(char_class('a') == CharClass::letter);
    CHECK(char_class(0x323af) == CharClass::letter);
    CHECK(char_class(0x2ebf0) == CharClass::letter);  // CJK extension I, new in 15.1
    CHECK(char_class(0x0301) == CharClass::other);
    CHECK(char_class(0xbd) == CharClass::number);
    CHECK(char_class(0x200b) == CharClass::other);
    CHECK(char_class(0x110000) == CharClass::other);
}

TEST_CASE("words concatenate to the text, whatever it is") {
    std::mt19937 rng(3);
    for (int i = 0; i < 2000; i++) {
        std::string text;
        for (size_t k = rng() % 40; k > 0; k--) {
            const uint32_t ranges[] = {0x80, 0x80, 0x300, 0x3100, 0x110000};
            char buffer[4];
            text.append(buffer, encode_utf8(uint32_t(rng() % ranges[rng() % 5]), buffer));
        }
        for (uint32_t kind = 0; kind < 4; kind++) {
            WordScanner words(format::PreTokenizer(kind), text);
            std::string joined;
            size_t n_empty = 0;
            for (std::string_view word; words.next(&word); joined += word) n_empty += word.empty();
            CHECK(joined == text);
            CHECK(n_empty == 0);
        }
    }
}
