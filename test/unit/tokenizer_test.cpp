// SPDX-License-Identifier: MIT
// The tokenizer on small vocabularies: against plain reference loops, and on bytes that lie.
#include "model/text/tokenizer.h"

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
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
    std::string name;  // of the model
    bool add_space_prefix = false;
    std::optional<bool> add_bos = false;  // nullopt: no such key
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
        if (!name.empty()) b.string("general.name", name);
        b.string("tokenizer.ggml.model", model);
        if (!pre.empty()) b.string("tokenizer.ggml.pre", pre);
        b.strings("tokenizer.ggml.tokens", texts);
        b.integers("tokenizer.ggml.token_type", types);
        if (model == "llama") b.floats("tokenizer.ggml.scores", scores);
        if (model == "gpt2") b.strings("tokenizer.ggml.merges", merges);
        b.boolean("tokenizer.ggml.add_space_prefix", add_space_prefix);
        if (add_bos) b.boolean("tokenizer.ggml.add_bos_token", *add_bos);
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

Pieces letters_of(const std::string& text) {
    Pieces row;
    for (const char c : text) row.push_back(c == ' ' ? "▁" : std::string(1, c));
    return row;
}

// The plain way: of all neighbours the pair of the lowest rank below 1e9, the leftmost of equals,
// again and again.
Pieces merge_all(Pieces row, auto rank_of) {
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

void check_refused(const std::vector<uint8_t>& section, std::string_view field,
                   std::optional<uint64_t> offset = std::nullopt) {
    const std::string text = open_error(section);
    INFO(field << ": " << text);
    CHECK(text.starts_with("x.axm: tokenizer"));
    CHECK(text.find(field) != std::string::npos);
    const Text<32> at(" at offset ", Hex{0x2000 + offset.value_or(0)});
    CHECK(text.find(offset ? at.view() : " at offset 0x2") != std::string::npos);
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

TEST_CASE("the pair of the highest score merges first, whatever its sign, and zero has none") {
    const auto merged = [](float ab, float bc) {
        SmallVocabulary v = small_spm();
        v.add_space_prefix = false;
        v.tokens.insert(v.tokens.end(), {{"c"}, {"bc", TokenType::normal, bc}});
        for (Token& t : v.tokens) {
            if (t.text == "ab") t.score = ab;
        }
        return pieces(v.pack(), v.pack().encode("abc"));
    };
    const Pieces left = {"ab", "c"}, right = {"a", "bc"};
    CHECK(merged(-1, -2) == left);
    CHECK(merged(-2, -1) == right);
    CHECK(merged(1, 2) == right);
    CHECK(merged(2, 1) == left);
    CHECK(merged(0, 1) == right);
    CHECK(merged(-1, 0) == right);
    CHECK(merged(0, -1) == left);
    CHECK(merged(0.0f, -0.0f) == left);
    CHECK(merged(-0.0f, 0.0f) == left);
    CHECK(merged(-0.0f, 0.5f) == right);
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

TEST_CASE("a special token is not completed by what lies behind the text") {
    SmallVocabulary v = small_bpe();
    v.tokens.push_back({"c\x01", TokenType::control});  // marks follow the text in the scratch
    const PackedTokenizer packed = v.pack();
    CHECK(pieces(packed, packed.encode("ac")) == Pieces{"a", "c"});
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

    for (int i = 0; i < 1500; i++) {
        const std::string text = random_text(rng, "abc", 1 + rng() % 60);
        INFO(text);
        CHECK(pieces(bpe, bpe.encode(text)) ==
              merge_all(letters_of(text), [&](const auto& l, const auto& r) {
                  const auto at = std::find(v.merges.begin(), v.merges.end(), l + " " + r);
                  return at == v.merges.end() ? 1e9 : double(at - v.merges.begin());
              }));
        CHECK(pieces(spm, spm.encode(text)) ==
              merge_all(letters_of(text), [&](const auto& l, const auto& r) {
                  for (const Token& t : v.tokens) {
                      if (t.text == l + r) return -double(t.score);
                  }
                  return 1e9;
              }));
    }
}

TEST_CASE("SentencePiece merges across words exactly where a piece does") {
    for (const bool across : {false, true}) {
        std::mt19937 rng(5);
        SmallVocabulary v = small_spm();
        v.add_space_prefix = false;
        v.tokens = {{"<unk>", TokenType::unknown}, {"a"}, {"b"}, {"▁"}};
        std::set<std::string> known;
        while (v.tokens.size() < 60) {
            std::string text;
            bool word = false, ends_word = false;
            for (size_t n = 2 + rng() % 3; n > 0; n--) {
                const uint32_t letter = uint32_t(rng() % 3);
                ends_word = ends_word || (word && letter == 0);
                word = letter > 0;
                text += letter == 0 ? "▁" : letter == 1 ? "a" : "b";
            }
            if ((ends_word && !across) || !known.insert(text).second) continue;
            v.tokens.push_back({text, TokenType::normal, -float(rng() % 20)});
            if (!across && known.size() == 40) break;
        }
        const PackedTokenizer packed = v.pack();
        for (int i = 0; i < 1000; i++) {
            const std::string text = random_text(rng, "ab ", 1 + rng() % 40);
            INFO(text);
            CHECK(pieces(packed, packed.encode(text)) ==
                  merge_all(letters_of(text), [&](const auto& l, const auto& r) {
                      for (const Token& t : v.tokens) {
                          if (t.text == l + r) return -double(t.score);
                      }
                      return 1e9;
                  }));
        }
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
    // More than a GiB is refused before a byte of it is read.
    const size_t half = (size_t{1} << 29) + 1;
    const Tokenizer::Segment halves[] = {{{"a", half}, kParse}, {{"a", half}, kParse}};
    CHECK(packed.tokenizer.encode(halves, false, out, all).status().code() == Code::unsupported);
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
        {offsetof(TokenizerHeader, pre), format::kPreTokenizers, "pre"},
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
        {offsetof(TokenizerHeader, eog) + 4 * (format::kMaxEog - 1), 0, "eog[31]"},
        {offsetof(TokenizerHeader, add_bos), 1, "add_bos"},
        {offsetof(TokenizerHeader, add_eos), 2, "add_eos"},
        {offsetof(TokenizerHeader, add_space_prefix), 2, "add_space_prefix"},
        {offsetof(TokenizerHeader, ignore_merges), 2, "ignore_merges"},
        {offsetof(TokenizerHeader, string_bytes) + 4, 1, "string_bytes"},
        {offsetof(TokenizerHeader, reserved), 1, "reserved"},
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

    // The error names the place of what was changed.
    const auto check_there = [](const std::vector<uint8_t>& section, uint64_t offset, auto value,
                                const char* field) {
        check_refused(with(section, offset, value), field, offset);
    };
    check_there(bpe, b.string_offset, 1u, "string_offset[0]");
    check_there(bpe, b.string_offset + 8, 0u, "string_offset[2]");
    check_there(bpe, b.string_offset + 8, 0x7fffffffu, "string_offset[2]");
    check_refused(with(bpe, b.string_offset + 4, 0u), "piece 0");  // an empty piece
    check_there(spm, s.string_offset + 4 * header_of(spm).n_vocab,
                uint32_t(header_of(spm).string_bytes - 1), "string_offset[12]");

    check_there(bpe, b.type, uint8_t{0}, "type[0]");
    check_there(bpe, b.type + 3, uint8_t{7}, "type[3]");
    check_there(bpe, b.type + 3, uint8_t{0x81}, "type[3]");  // a word that strips
    CHECK(open_error(with(bpe, b.type + 8, uint8_t{0x83})).empty());

    check_there(bpe, b.by_text, 0xffffffffu, "by_text[0]");
    check_there(bpe, b.by_text + 4, word(bpe, b.by_text), "by_text[1]");
    std::vector<uint8_t> swapped = with(bpe, b.by_text, word(bpe, b.by_text + 4));
    check_there(swapped, b.by_text + 4, word(bpe, b.by_text), "by_text[1]");

    for (size_t f = 0; f < 4; f++) {
        check_there(bpe, b.merges + 4 * f, 0x7fffffffu, "merges[0]");
    }
    check_there(bpe, b.merges + 16, word(bpe, b.merges), "merges[1]");  // unsorted
    check_refused(
        with(with(bpe, b.merges + 16, word(bpe, b.merges)), b.merges + 20, word(bpe, b.merges + 4)),
        "merges[1]", b.merges + 16);  // twice

    const uint32_t nan = 0x7fc00000, infinity = 0xff800000;
    check_there(spm, s.score + 8, nan, "score[2]");
    check_there(spm, s.score, infinity, "score[0]");
    // Pieces of spm are UTF-8 and byte tokens are <0xNN>; words of bpe may be any bytes.
    check_there(spm, s.strings, char(0xff), "piece 0");
    check_there(spm, s.strings + word(spm, s.string_offset + 12), 'x', "piece 3");
    CHECK(open_error(with(bpe, b.strings + word(bpe, b.string_offset + 24), '\xff'))
              .find("tokenizer piece") == std::string::npos);
    check_there(bpe, b.strings + word(bpe, b.string_offset + 32), '\xff', "piece 8");

    // A text may belong to a word and to a special token, not to a third.
    SmallVocabulary alike = small_bpe();
    alike.tokens = {{"a"}, {"b"}, {"c"}};
    alike.merges = {};
    const std::vector<uint8_t> three = tokenizer_section("small.gguf", alike.gguf());
    const TokenizerLayout l(header_of(three));
    const std::vector<uint8_t> two = with(three, l.strings + 1, 'a');
    CHECK(open_error(two).empty());
    check_refused(with(two, l.strings + 2, 'a'), "by_text[2]", l.by_text + 8);
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
    refused([](auto& v) { v.pre = "kimi-k2"; }, "\"kimi-k2\", allowed default gpt-2 ");
    refused([](auto& v) { v.pre = "gpt2"; }, " tekken gpt-4o");
    refused([](auto& v) { v.tokens.clear(); }, "tokens at offset");
    refused([](auto& v) { v.tokens[2].text = "\xff"; }, "tokens[2]");
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

TEST_CASE("the name of a pre-tokenizer decides words, merges and the first token as in llama.cpp") {
    using format::PreTokenizer;
    const struct {
        const char* name;
        PreTokenizer kind;
        bool ignore_merges, add_bos;
    } cases[] = {
        {"", PreTokenizer::default_, false, false},
        {"default", PreTokenizer::default_, false, false},
        {"gpt-2", PreTokenizer::gpt2, false, false},
        {"olmo", PreTokenizer::gpt2, false, false},
        {"mellum", PreTokenizer::gpt2, false, false},
        {"trillion", PreTokenizer::gpt2, false, false},
        {"a.x-4.0", PreTokenizer::gpt2, false, false},
        {"granite-docling", PreTokenizer::gpt2, false, false},
        {"smollm", PreTokenizer::smollm, false, false},
        {"starcoder", PreTokenizer::smollm, false, false},
        {"refact", PreTokenizer::smollm, false, false},
        {"minerva-7b", PreTokenizer::smollm, false, false},
        {"mellum2", PreTokenizer::smollm, false, false},
        {"llama-bpe", PreTokenizer::llama_bpe, true, true},
        {"llama3", PreTokenizer::llama_bpe, true, true},
        {"llama-v3", PreTokenizer::llama_bpe, true, true},
        {"falcon3", PreTokenizer::llama_bpe, true, true},
        {"pixtral", PreTokenizer::llama_bpe, true, true},
        {"midm-2.0", PreTokenizer::llama_bpe, true, true},
        {"smaug-bpe", PreTokenizer::llama_bpe, false, false},
        {"dbrx", PreTokenizer::llama_bpe, false, false},
        {"qwen2", PreTokenizer::qwen2, false, false},
        {"deepseek-r1-qwen", PreTokenizer::qwen2, false, false},
        {"kormo", PreTokenizer::qwen2, false, false},
        {"f2llmv2", PreTokenizer::qwen2, false, false},
        {"megrez", PreTokenizer::qwen2, false, false},
        {"qwen35", PreTokenizer::qwen35, false, false},
        {"tekken", PreTokenizer::tekken, true, true},
        {"gpt-4o", PreTokenizer::gpt4o, false, false},
    };
    for (const auto& c : cases) {
        INFO(c.name);
        SmallVocabulary v = small_bpe();
        v.pre = c.name;
        v.add_bos = std::nullopt;
        v.ids["bos_token_id"] = 0;
        const PackedTokenizer packed = v.pack();
        const TokenizerHeader& h = packed.tokenizer.header();
        CHECK(h.pre == c.kind);
        CHECK(h.ignore_merges == c.ignore_merges);
        CHECK(h.add_bos == c.add_bos);
        v.add_bos = !c.add_bos;
        CHECK(v.pack().tokenizer.header().add_bos == !c.add_bos);
    }
}

TEST_CASE("a vocabulary of SentencePiece starts with BOS unless the file says otherwise") {
    SmallVocabulary v = small_spm();
    v.add_bos = std::nullopt;
    CHECK(v.pack().tokenizer.header().add_bos == 1);
}

TEST_CASE("a word that is a token needs no merges where the pre-tokenizer says so") {
    SmallVocabulary v = small_bpe();
    v.tokens.push_back({"cab"});
    CHECK(pieces(v.pack(), v.pack().encode("cab")) == Pieces{"c", "ab"});
    v.pre = "dbrx";
    CHECK(pieces(v.pack(), v.pack().encode("cab")) == Pieces{"c", "ab"});
    for (const char* pre : {"llama-bpe", "tekken"}) {
        v.pre = pre;
        CHECK(pieces(v.pack(), v.pack().encode("cab")) == Pieces{"cab"});
    }
}

TEST_CASE("ids that the file does not name are llama.cpp's defaults, if they are tokens") {
    const auto header = [](SmallVocabulary v) { return v.pack().tokenizer.header(); };
    SmallVocabulary spm = small_spm();
    CHECK(header(spm).bos == 1);
    CHECK(header(spm).eos == 2);
    CHECK(header(spm).unk == 0);
    spm.ids["eos_token_id"] = 0xffffffff;  // some converters' "none"
    CHECK(header(spm).eos == 2);
    spm.ids["eos_token_id"] = 6;
    CHECK(header(spm).eos == 6);

    SmallVocabulary bpe = small_bpe();
    REQUIRE(bpe.tokens.size() == 11);
    CHECK(header(bpe).bos == format::kNoToken);
    CHECK(header(bpe).eos == format::kNoToken);
    bpe.tokens.push_back({"x"});
    CHECK(header(bpe).bos == 11);
    CHECK(header(bpe).eos == 11);
    CHECK(header(bpe).unk == format::kNoToken);
}

TEST_CASE("tokens without text get llama.cpp's names") {
    SmallVocabulary v = small_bpe();
    v.tokens[2].text = "";
    v.tokens[8].text = "";
    v.merges = {"a b", "Ġ a"};
    const PackedTokenizer packed = v.pack();
    CHECK(packed.tokenizer.piece(2) == "[EMPTY_2]");
    CHECK(packed.encode("a[EMPTY_8]") == std::vector<TokenId>{0, 8});
}

TEST_CASE("tokens that end generation are found by key and by text, and are control tokens") {
    const auto ends = [](const std::vector<Token>& more, std::map<std::string, uint32_t> ids = {}) {
        SmallVocabulary v = small_spm();
        v.tokens[2].text = "<2>";
        v.tokens.insert(v.tokens.end(), more.begin(), more.end());
        v.ids = std::move(ids);
        v.ids["eos_token_id"] = 1;
        const PackedTokenizer packed = v.pack();
        std::string found;
        for (TokenId id = 0; id < v.tokens.size(); id++) {
            const bool control = packed.tokenizer.type(id) == TokenType::control;
            if (!packed.tokenizer.ends_generation(id)) continue;
            found += (found.empty() ? "" : " ") + std::to_string(id) + (control ? "" : " (a word)");
        }
        return found;
    };
    CHECK(ends({}) == "1");
    CHECK(ends({}, {{"eot_token_id", 6}, {"fim_sep_token_id", 7}, {"eom_token_id", 8}}) ==
          "1 6 (a word) 7 (a word) 8 (a word)");
    // Prefix, suffix and middle end nothing, in neither spelling of their keys.
    CHECK(ends({{"<PRE>"}, {"<|fim_suffix|>"}},
               {{"fim_pre_token_id", 6}, {"middle_token_id", 7}}) == "1");
    for (const char* text : {"<|eot_id|>",
                             "<|im_end|>",
                             "<|end|>",
                             "<|return|>",
                             "<|call|>",
                             "<|flush|>",
                             "<|calls|>",
                             "<end_of_turn>",
                             "<|endoftext|>",
                             "</s>",
                             "<|eom_id|>",
                             "<EOT>",
                             "_<EOT>",
                             "[EOT]",
                             "[EOS]",
                             "<|end_of_text|>",
                             "<end_of_utterance>",
                             "<eos>",
                             "<turn|>",
                             "<|tool_response>",
                             "<｜end▁of▁sentence｜>",
                             "[e~[",
                             "<|fim_pad|>",
                             "<fim-pad>",
                             "<fim_pad>",
                             "<PAD>",
                             "[PAD]",
                             "<|fim_repo|>",
                             "<|repo_name|>",
                             "<fim-repo>",
                             "<REPO>",
                             "<reponame>",
                             "<|file_sep|>"}) {
        INFO(text);
        CHECK(ends({{text}}) == "1 12");
    }
    // Harmony's and Solar's <|end|> ends a part of an answer only.
    CHECK(ends({{"<|end|>"}, {"<|return|>"}, {"<|call|>"}}) == "1 13 14");
    CHECK(ends({{"<|end|>"}, {"<|calls|>"}, {"<|flush|>"}}) == "1 13 14");
    CHECK(ends({{"<|end|>"}, {"<|return|>"}, {"<|flush|>"}}) == "1 12 13 14");
    CHECK(ends({{"</s>"}, {"<|tool_response>"}}) == "1 13");
}

TEST_CASE("tokens that mark parts of an answer are shown, and recognised in literal text") {
    SmallVocabulary v = small_bpe();
    v.tokens.insert(v.tokens.end(), {{"<|channel|>", TokenType::control},
                                     {"<|fim_middle|>"},
                                     {"<|end|>"},
                                     {"<|return|>"},
                                     {"<|call|>"}});
    const PackedTokenizer packed = v.pack();
    CHECK(packed.tokenizer.type(11) == TokenType::user_defined);
    CHECK(packed.tokenizer.type(12) == TokenType::control);
    CHECK(packed.tokenizer.type(13) == TokenType::user_defined);
    CHECK(packed.encode("a<|channel|>", kLiteral) == std::vector<TokenId>{0, 11});
    CHECK(packed.decode({11, 13}) == "<|channel|><|end|>");
}

TEST_CASE("the special tokens of a model named Phi-3 drop the white space after them") {
    SmallVocabulary v = small_spm();
    v.tokens.push_back({"<|end|>", TokenType::control});
    v.tokens.push_back({"<|user|>", TokenType::user_defined});
    v.tokens.push_back({" a", TokenType::user_defined});
    const auto encode = [&](std::string_view text) {
        const PackedTokenizer packed = v.pack();
        return pieces(packed, packed.encode(text));
    };
    const Pieces kept = {"<|user|>", "▁", "▁", "<0x0A>", "ab"};
    for (const char* name : {"", "Phi 3", "phi-4"}) {
        v.name = name;
        CHECK(encode("<|user|> \nab") == kept);
    }
    for (const char* name : {"Phi-3 Mini 4k", "microsoft_PHI3"}) {
        v.name = name;
        INFO(name);
        CHECK(encode("<|user|> \t\n\v\f\r ab") == Pieces{"<|user|>", "▁ab"});
        CHECK(encode("<|end|>\n\n<|user|> ") == Pieces{"<|end|>", "<|user|>"});
        CHECK(encode("</s> ab") == Pieces{"</s>", "▁ab"});
        // These three do not, and white space beyond ASCII stays.
        CHECK(encode("<s> b") == Pieces{"<s>", "▁", "▁", "b"});
        CHECK(encode("<unk> b") == Pieces{"<unk>", "▁", "▁", "b"});
        CHECK(encode("<|user|>\xc2\x85"
                     "ab")
                  .size() > 2);
        // A longer token has its text first; a shorter one finds its blank dropped.
        CHECK(encode("<|end|> a") == Pieces{"<|end|>", "▁a"});
    }
    // The white space of another segment goes too: llama.cpp sees one text.
    const PackedTokenizer packed = v.pack();
    const Tokenizer::Segment segments[] = {{"<|end|>", kParse}, {" \nab", kLiteral}};
    CHECK(pieces(packed, packed.encode(segments)) == Pieces{"<|end|>", "▁ab"});
    CHECK(packed.tokenizer.strips_right(12));
    CHECK_FALSE(packed.tokenizer.strips_right(1));
    CHECK_FALSE(packed.tokenizer.strips_right(6));
}

TEST_CASE("Gemma's runs of newlines and blanks are taken before anything merges") {
    SmallVocabulary v = small_spm();
    v.add_space_prefix = false;
    v.tokens.insert(v.tokens.end(), {{"\n\n", TokenType::user_defined},
                                     {"\n\n\n", TokenType::user_defined},
                                     {"  ", TokenType::user_defined},
                                     {"<b>", TokenType::user_defined}});
    const PackedTokenizer packed = v.pack();
    for (const auto specials : {kParse, kLiteral}) {
        CHECK(pieces(packed, packed.encode("ab\n\n\n\nab", specials)) ==
              Pieces{"ab", "\n\n\n", "<0x0A>", "ab"});
        CHECK(pieces(packed, packed.encode("a   a<b>a", specials)) ==
              Pieces{"a", "  ", "▁a", "<b>", "a"});
    }
    CHECK(packed.decode(packed.encode("ab\n\n  a")) == "ab\n\n  a");
}

TEST_CASE("words are those of each kind's regular expression") {
    using format::PreTokenizer;
    const auto words = [](PreTokenizer kind, std::string_view text) {
        WordScanner scanner(kind, text);
        std::string joined;
        for (std::string_view word; scanner.next(&word);) joined += std::string(word) + "|";
        return joined;
    };
    const struct {
        const char* text;
        const char* expected[format::kPreTokenizers];  // in the order of PreTokenizer
    } cases[] = {
        // Contractions: case, place, and what they leave.
        {"it's IT'S",
         {"it|'|s| IT|'|S|", "it|'s| IT|'|S|", "it|'s| IT|'|S|", "it|'s| IT|'S|", "it|'s| IT|'S|",
          "it|'s| IT|'S|", "it|'s| IT|'S|", "it's| IT'S|"}},
        {"we'LLama 'lx",
         {"we|'|LLama| |'|lx|", "we|'|LLama| '|lx|", "we|'|LLama| '|lx|", "we|'LL|ama| '|lx|",
          "we|'LL|ama| '|lx|", "we|'LL|ama| '|lx|", "we|'LLama| '|lx|", "we'LL|ama| '|lx|"}},
        // What may stand before letters.
        {"-a\tb\nc d",
         {"-|a|\t|b|\n|c| d|", "-|a|\t|b|\n|c| d|", "-|a|\t|b|\n|c| d|", "-a|\tb|\n|c| d|",
          "-a|\tb|\n|c| d|", "-a|\tb|\n|c| d|", "-a|\tb|\n|c| d|", "-a|\tb|\n|c| d|"}},
        // Numbers and the blank before them.
        {"a 12345 ٣x",
         {"a| |123|45| |٣|x|", "a| 12345| ٣|x|", "a| |1|2|3|4|5| |٣|x|", "a| |123|45| |٣|x|",
          "a| |1|2|3|4|5| |٣|x|", "a| |1|2|3|4|5| |٣|x|", "a| |1|2|3|4|5| |٣|x|",
          "a| |123|45| |٣|x|"}},
        // Symbols and what they take along.
        {" !?\r\n/x",
         {" |!?|\r\n|/|x|", " !?|\r|\n|/|x|", " !?|\r|\n|/|x|", " !?\r\n|/x|", " !?\r\n|/x|",
          " !?\r\n|/x|", " !?\r\n/|x|", " !?\r\n/|x|"}},
        // Newlines in white space, and the blank left to the next word.
        {"a \n  \n  b  ",
         {"a| \n  \n | b|  |", "a| \n  \n | b|  |", "a| \n  \n | b|  |", "a| \n  \n| | b|  |",
          "a| \n  \n| | b|  |", "a| \n  \n| | b|  |", "a| \n  \n| | b|  |", "a| \n  \n| | b|  |"}},
        // Marks are letters for one kind only.
        {"e\u0301a\u0301.",
         {"e|\u0301|a|\u0301|.|", "e|\u0301|a|\u0301.|", "e|\u0301|a|\u0301.|",
          "e|\u0301a|\u0301.|", "e|\u0301a|\u0301.|", "e\u0301a\u0301|.|", "e|\u0301a|\u0301.|",
          "e|\u0301a|\u0301.|"}},
        // By case: capitals before small letters; letters beyond ASCII are both.
        {"fooBAR HTTPServer ÉAB ABÉCD aÉb",
         {"fooBAR| HTTPServer| ÉAB| ABÉCD| aÉb|", "fooBAR| HTTPServer| ÉAB| ABÉCD| aÉb|",
          "fooBAR| HTTPServer| ÉAB| ABÉCD| aÉb|", "fooBAR| HTTPServer| ÉAB| ABÉCD| aÉb|",
          "fooBAR| HTTPServer| ÉAB| ABÉCD| aÉb|", "fooBAR| HTTPServer| ÉAB| ABÉCD| aÉb|",
          "foo|BAR| HTTPServer| É|AB| ABÉ|CD| aÉb|", "foo|BAR| HTTPServer| É|AB| ABÉ|CD| aÉb|"}},
        {"aBé zBé aA aZ",
         {"aBé| zBé| aA| aZ|", "aBé| zBé| aA| aZ|", "aBé| zBé| aA| aZ|", "aBé| zBé| aA| aZ|",
          "aBé| zBé| aA| aZ|", "aBé| zBé| aA| aZ|", "a|Bé| z|Bé| a|A| a|Z|",
          "a|Bé| z|Bé| a|A| a|Z|"}},
    };
    for (const auto& c : cases) {
        for (uint32_t kind = 0; kind < format::kPreTokenizers; kind++) {
            INFO(c.text << " as " << pre_tokenizer_name(PreTokenizer(kind)));
            CHECK(words(PreTokenizer(kind), c.text) == c.expected[kind]);
        }
    }
    CHECK(pre_tokenizer_name(PreTokenizer(format::kPreTokenizers)) == "unknown");
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
        const bool scalar = c < 0xd800 || c > 0xdfff;
        if (back.value != c || back.n_bytes != text.size() || is_utf8(text) != scalar) {
            INFO(c);
            CHECK(back.value == c);
            CHECK(back.n_bytes == text.size());
            CHECK(is_utf8(text) == scalar);
        }
    }
    for (const std::string_view bad : {"\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xff",
                                       "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc3("}) {
        CHECK(decode_utf8(bad, 0).value == kReplacementChar);
        CHECK(decode_utf8(bad, 0).n_bytes == 1);
        CHECK_FALSE(is_utf8(bad));
    }
    CHECK(decode_utf8("\xc1\x81", 0).value == 'A');  // overlong
    // What lies behind the text is not looked at.
    for (const std::string_view whole : {"xé", "x€", "x😀"}) {
        for (size_t n = 2; n < whole.size(); n++) {
            CHECK(decode_utf8({whole.data(), n}, 1).value == kReplacementChar);
        }
    }
    CHECK_FALSE(is_utf8("\xc1\x81"));
    CHECK_FALSE(is_utf8("\xe0\x80\x80"));
    CHECK(is_utf8(""));
}

TEST_CASE("character classes are those of Unicode 15.1") {
    size_t n[6] = {};
    for (uint32_t c = 0; c <= 0x10ffff; c++) n[size_t(char_class(c))]++;
    // Counted over UnicodeData.txt 15.1: general categories L, N, P and M, and White_Space.
    CHECK(n[size_t(CharClass::letter)] == 136726);
    CHECK(n[size_t(CharClass::number)] == 1831);
    CHECK(n[size_t(CharClass::punctuation)] == 842);
    CHECK(n[size_t(CharClass::space)] == 25);
    CHECK(n[size_t(CharClass::mark)] == 2450);
    CHECK(char_class('a') == CharClass::letter);
    CHECK(char_class(0x323af) == CharClass::letter);
    CHECK(char_class(0x2ebf0) == CharClass::letter);  // CJK extension I, new in 15.1
    CHECK(char_class(0x0301) == CharClass::mark);
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
        for (uint32_t kind = 0; kind < format::kPreTokenizers; kind++) {
            WordScanner words(format::PreTokenizer(kind), text);
            std::string joined;
            size_t n_empty = 0;
            for (std::string_view word; words.next(&word); joined += word) n_empty += word.empty();
            CHECK(joined == text);
            CHECK(n_empty == 0);
        }
    }
}
