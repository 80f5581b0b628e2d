// SPDX-License-Identifier: MIT
// Fuzz target: the tokenizer. An input that begins with a tokenizer header is an extent of the size
// it claims, then text for it; any input is also text for two small valid vocabularies.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <string_view>
#include <vector>

#include "core/round.h"
#include "model/text/tokenizer.h"
#include "model/text/tokenizer_layout.h"

using namespace axiom;
using format::MergeEntry;
using format::TokenizerHeader;
using format::TokenType;
using format::Vocab;

namespace {

void require(bool condition) {
    if (!condition) abort();
}

// Exactly n bytes at an 8-byte aligned address, so that a byte too far is seen.
struct Aligned {
    explicit Aligned(size_t n) : data(static_cast<uint8_t*>(aligned_alloc(64, round_up(n, 64)))) {
        start = data + round_up(n, 64) - round_up(n, 8);
    }
    ~Aligned() { free(data); }
    Aligned(const Aligned&) = delete;
    Aligned& operator=(const Aligned&) = delete;

    uint8_t* data;
    uint8_t* start;
};

// Short texts reach every path; long ones only take time.
void encode_and_decode(const Tokenizer& t, std::string_view text) {
    text = text.substr(0, 300);
    const auto parse = Tokenizer::Specials::parse, literal = Tokenizer::Specials::literal;
    const size_t half = text.size() / 2;
    const Tokenizer::Segment segments[] = {{text.substr(0, half), parse},
                                           {text.substr(half), literal}};
    Aligned scratch(round_up(Tokenizer::scratch_bytes(text.size()), 64));
    const std::span<uint8_t> scratch_bytes(scratch.start, Tokenizer::scratch_bytes(text.size()));

    std::vector<TokenId> ids(4 * text.size() + 5);
    const Result<size_t> n = t.encode(segments, true, ids, scratch_bytes);
    if (!n.ok()) {
        require(n.status().code() == Code::unsupported && t.n_vocab() == 0);
        return;
    }
    char buffer[format::kMaxTokenBytes];
    for (size_t i = 0; i < n.value(); i++) {
        require(ids[i] < t.n_vocab());
        const std::string_view piece = t.decode(ids[i], buffer, i % 2 == 0);
        require(piece.size() <= format::kMaxTokenBytes);
        (void)t.ends_generation(ids[i]);
    }
    // One place less is refused, and what fits is the same.
    if (n.value() == 0) return;
    std::vector<TokenId> fewer(n.value() - 1);
    require(!t.encode(segments, true, fewer, scratch_bytes).ok());
    require(std::equal(fewer.begin(), fewer.end(), ids.begin()));
}

constexpr TokenType kStripping = TokenType(uint8_t(TokenType::control) | format::kStripsRight);

struct Piece {
    std::string_view text;
    TokenType type;
    float score;
};

std::vector<uint64_t> make_extent(TokenizerHeader h, std::vector<Piece> pieces,
                                  std::vector<MergeEntry> merges) {
    h.n_vocab = uint32_t(pieces.size());
    h.n_merges = uint32_t(merges.size());
    h.eot = format::kNoToken;
    std::fill(std::begin(h.eog), std::end(h.eog), format::kNoToken);
    for (const Piece& p : pieces) h.string_bytes += p.text.size();
    std::vector<uint32_t> order(pieces.size());
    for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return pieces[a].text < pieces[b].text; });

    const TokenizerLayout layout(h);
    std::vector<uint64_t> words(layout.end / 8 + 1);
    uint8_t* out = reinterpret_cast<uint8_t*>(words.data());
    memcpy(out, &h, sizeof h);
    uint32_t begin = 0;
    for (size_t i = 0; i < pieces.size(); i++) {
        memcpy(out + layout.strings + begin, pieces[i].text.data(), pieces[i].text.size());
        begin += uint32_t(pieces[i].text.size());
        memcpy(out + layout.string_offset + 4 * (i + 1), &begin, 4);
        memcpy(out + layout.by_text + 4 * i, &order[i], 4);
        if (h.kind == Vocab::spm) memcpy(out + layout.score + 4 * i, &pieces[i].score, 4);
        out[layout.type + i] = uint8_t(pieces[i].type);
    }
    for (size_t i = 0; i < merges.size(); i++) {
        memcpy(out + layout.merges + sizeof(MergeEntry) * i, &merges[i], sizeof(MergeEntry));
    }
    return words;
}

Tokenizer open_valid(const std::vector<uint64_t>& words) {
    TokenizerHeader h;
    memcpy(&h, words.data(), sizeof h);
    const Result<Tokenizer> t = Tokenizer::open(
        "valid", 0, {reinterpret_cast<const uint8_t*>(words.data()), TokenizerLayout(h).end});
    require(t.ok());
    return t.value();
}

const Tokenizer& small_bpe(format::PreTokenizer pre) {
    static std::vector<uint64_t> words[format::kPreTokenizers];
    static Tokenizer tokenizers[format::kPreTokenizers];
    const size_t i = size_t(pre);
    if (words[i].empty()) {
        TokenizerHeader h{};
        h.kind = Vocab::bpe;
        h.pre = pre;
        h.bos = h.eos = 0;
        h.unk = format::kNoToken;
        h.ignore_merges = i % 2;
        constexpr TokenType normal = TokenType::normal;
        words[i] = make_extent(h,
                               {{"<|im_end|>", TokenType::control, 0},
                                {"a", normal, 0},
                                {"b", normal, 0},
                                {" ", normal, 0},
                                {"ab", normal, 0},
                                {" ab", normal, 0},
                                {"\xef", normal, 0},
                                {"\xbf", normal, 0},
                                {"aa", normal, 0},
                                {"  ", TokenType::user_defined, 0},
                                {"<|", TokenType::user_defined, 0},
                                {"1", normal, 0}},
                               {{1, 1, 2, 8}, {1, 2, 0, 4}, {3, 4, 1, 5}});
        tokenizers[i] = open_valid(words[i]);
    }
    return tokenizers[i];
}

const Tokenizer& small_spm() {
    static std::vector<uint64_t> words;
    static Tokenizer tokenizer;
    if (words.empty()) {
        TokenizerHeader h{};
        h.kind = Vocab::spm;
        h.bos = 1;
        h.eos = 2;
        h.add_bos = h.add_space_prefix = 1;
        constexpr TokenType normal = TokenType::normal;
        words = make_extent(h,
                            {{"<unk>", TokenType::unknown, 0},
                             {"<s>", TokenType::control, 0},
                             {"</s>", kStripping, 0},
                             {"<0xFF>", TokenType::byte, 0},
                             {"\xe2\x96\x81", normal, -3},
                             {"a", normal, -4},
                             {"b", normal, -5},
                             {"ab", normal, -1},
                             {"\xe2\x96\x81"
                              "a",
                              normal, -2},
                             {"aa", normal, -1},
                             {"<s", normal, -6}},
                            {});
        tokenizer = open_valid(words);
    }
    return tokenizer;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size >= sizeof(TokenizerHeader)) {
        TokenizerHeader h;
        memcpy(&h, data, sizeof h);
        size_t n_extent = size;
        if (h.n_vocab <= format::kMaxVocab && h.n_merges <= format::kMaxMerges &&
            h.string_bytes <= size) {
            n_extent = std::min<size_t>(size, TokenizerLayout(h).end);
        }
        Aligned extent(n_extent);
        memcpy(extent.start, data, n_extent);  // at least a header
        const Result<Tokenizer> t = Tokenizer::open("f.axm", 0x1000, {extent.start, n_extent});
        if (t.ok()) {
            encode_and_decode(t.value(),
                              {reinterpret_cast<const char*>(data) + n_extent, size - n_extent});
        } else {
            require(t.status().text().starts_with("f.axm: tokenizer"));
        }
    }
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    for (uint32_t pre = 0; pre < format::kPreTokenizers; pre++) {
        encode_and_decode(small_bpe(format::PreTokenizer(pre)), text);
    }
    encode_and_decode(small_spm(), text);
    return 0;
}
