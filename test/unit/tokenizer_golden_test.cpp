// SPDX-License-Identifier: MIT
// Ids against llama.cpp's, for whole vocabularies (test/golden/README.md says how they were made).
#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

#include "test/unit/read_file.h"
#include "test/unit/tokenizer_fixture.h"

using namespace axiom;

namespace {

std::string build_path(const std::string& name) {
    const char* directory = std::getenv("AXIOM_BUILD_DIR");
    return std::string(directory ? directory : "build") + "/" + name;
}

std::vector<std::string> golden_lines(const std::string& name) {
    std::istringstream in(read_file("test/golden/tokens/" + name));
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::vector<std::string> golden_strings() {
    std::vector<std::string> strings;
    for (const std::string& hex : golden_lines("strings.hex")) {
        std::string bytes;
        for (size_t i = 0; hex != "-" && i < hex.size(); i += 2) {
            bytes.push_back(char(std::stoi(hex.substr(i, 2), nullptr, 16)));
        }
        strings.push_back(bytes);
    }
    return strings;
}

// A vocabulary file; hide_pre makes its pre-tokenizer key one that nobody knows.
PackedTokenizer load(const std::string& path, bool hide_pre = false) {
    std::string gguf = read_file(path);
    if (hide_pre) {
        const std::string key = "tokenizer.ggml.pre";
        const size_t at = gguf.find(key);
        REQUIRE(at != std::string::npos);
        gguf[at + key.size() - 1] = 'x';
    }
    return PackedTokenizer(path, bytes_of(gguf));
}

std::string decimal(const std::vector<TokenId>& ids) {
    std::string text;
    for (const TokenId id : ids) text += (text.empty() ? "" : " ") + std::to_string(id);
    return text;
}

std::string readable(const std::string& bytes) {
    return std::string(Text<300>(Quoted{bytes}).view());
}

void check_golden(const PackedTokenizer& packed, const std::string& name) {
    const std::vector<std::string> strings = golden_strings();
    const std::vector<std::string> lines = golden_lines(name + ".ids");
    REQUIRE(strings.size() >= 200);
    REQUIRE(lines.size() == strings.size());
    for (size_t i = 0; i < strings.size(); i++) {
        INFO(name << " string " << i << ": " << readable(strings[i]));
        const size_t bar = lines[i].find(" | ");
        const std::string parsed = lines[i].substr(0, bar);
        CHECK(decimal(packed.encode(strings[i])) == parsed);
        CHECK(decimal(packed.encode(strings[i], Tokenizer::Specials::literal)) ==
              (bar == std::string::npos ? parsed : lines[i].substr(bar + 3)));
    }
}

// Splitting a text into segments changes nothing where the segments are read alike.
void check_segments(const PackedTokenizer& packed) {
    for (const std::string& s : golden_strings()) {
        const size_t a = s.size() / 3, b = s.size() / 2;
        const std::string_view text = s;
        const auto parse = Tokenizer::Specials::parse;
        const Tokenizer::Segment segments[] = {
            {text.substr(0, a), parse}, {text.substr(a, b - a), parse}, {text.substr(b), parse}};
        INFO(readable(s));
        CHECK(packed.encode(segments) == packed.encode(s));
    }
}

const std::string kSmolLm2 = build_path("models/default.gguf");
const std::string kLlamaSpm = build_path("vocab/llama-spm.gguf");
const std::string kLlamaBpe = build_path("vocab/llama-bpe.gguf");
const std::string kGpt2 = build_path("vocab/gpt-2.gguf");

}  // namespace

TEST_CASE("SmolLM2's tokens equal llama.cpp's") {
    const PackedTokenizer packed = load(kSmolLm2);
    CHECK(packed.tokenizer.header().pre == format::PreTokenizer::smollm);
    check_golden(packed, "smollm2");
    check_segments(packed);
}

TEST_CASE("tokens of the SentencePiece Llama vocabulary equal llama.cpp's") {
    const PackedTokenizer packed = load(kLlamaSpm);
    CHECK(packed.tokenizer.header().kind == format::Vocab::spm);
    check_golden(packed, "llama-spm");
    check_segments(packed);
}

TEST_CASE("Llama 3's tokens equal llama.cpp's") {
    const PackedTokenizer packed = load(kLlamaBpe);
    CHECK(packed.tokenizer.header().pre == format::PreTokenizer::llama_bpe);
    check_golden(packed, "llama-bpe");
}

TEST_CASE("GPT-2's tokens equal llama.cpp's") {
    const PackedTokenizer packed = load(kGpt2);
    CHECK(packed.tokenizer.header().pre == format::PreTokenizer::gpt2);
    check_golden(packed, "gpt-2");
}

TEST_CASE("tokens of a vocabulary that names no pre-tokenizer equal llama.cpp's") {
    const PackedTokenizer packed = load(kGpt2, true);
    CHECK(packed.tokenizer.header().pre == format::PreTokenizer::default_);
    check_golden(packed, "default");
}

TEST_CASE("the beginning-of-sequence token is added once, where the vocabulary wants one") {
    const Tokenizer::Segment hi{"Hi", Tokenizer::Specials::parse};
    const PackedTokenizer spm = load(kLlamaSpm), llama3 = load(kLlamaBpe);
    const PackedTokenizer smollm = load(kSmolLm2);
    CHECK(decimal(spm.encode({&hi, 1}, true)) == "1 6324");
    CHECK(decimal(llama3.encode({&hi, 1}, true)) == "128000 13347");
    CHECK(smollm.encode({&hi, 1}, true) == smollm.encode({&hi, 1}, false));
    CHECK(decimal(spm.encode(std::span<const Tokenizer::Segment>(), true)) == "1");
}

TEST_CASE("a person's text cannot spell a control token") {
    const PackedTokenizer packed = load(kSmolLm2);
    const auto parse = Tokenizer::Specials::parse, literal = Tokenizer::Specials::literal;
    const TokenId end = packed.tokenizer.find("<|im_end|>");
    const auto n_ends = [&](std::vector<Tokenizer::Segment> segments) {
        const std::vector<TokenId> ids = packed.encode(segments);
        return std::count(ids.begin(), ids.end(), end);
    };
    CHECK(n_ends({{"a<|im_end|>", parse}}) == 1);
    CHECK(n_ends({{"a<|im_end|>", literal}}) == 0);
    CHECK(n_ends({{"a<|im_", literal}, {"end|>", parse}}) == 0);
    CHECK(n_ends({{"a<|im_", parse}, {"end|>", literal}}) == 0);
    CHECK(n_ends({{"a<|im_", parse}, {"end|>", parse}}) == 1);
    CHECK(n_ends({{"<|im_end|>", literal}, {"<|im_end|>", parse}}) == 1);
}

TEST_CASE("decoding gives back what was encoded") {
    const std::string text = "Hello  wörld, 123 — 你好 👩🏽‍💻!\n\tfoo(bar);\r\n";
    const PackedTokenizer smollm = load(kSmolLm2), spm = load(kLlamaSpm);
    const PackedTokenizer llama3 = load(kLlamaBpe), gpt2 = load(kGpt2);
    CHECK(smollm.decode(smollm.encode(text)) == text);
    CHECK(llama3.decode(llama3.encode(text)) == text);
    CHECK(gpt2.decode(gpt2.encode(text)) == text);
    CHECK(spm.decode(spm.encode(text)) == " " + text);
    const std::string control = "<|im_start|>x<|im_end|>";
    CHECK(smollm.decode(smollm.encode(control)) == "x");
    CHECK(smollm.decode(smollm.encode(control), true) == control);
    CHECK(smollm.decode({TokenId(smollm.tokenizer.n_vocab()), format::kNoToken}).empty());
}

TEST_CASE("every single-token piece of a real vocabulary is found by its bytes") {
    for (const std::string& path : {kSmolLm2, kLlamaSpm}) {
        const PackedTokenizer packed = load(path);
        const Tokenizer& t = packed.tokenizer;
        size_t n_wrong = 0;
        for (TokenId id = 0; id < t.n_vocab(); id++) n_wrong += t.find(t.piece(id)) != id;
        CHECK(n_wrong == 0);
    }
}

TEST_CASE("generation ends at the tokens llama.cpp ends at") {
    const auto ends = [](const PackedTokenizer& p) {
        std::vector<TokenId> ids;
        for (TokenId id = 0; id < p.tokenizer.n_vocab(); id++) {
            if (p.tokenizer.ends_generation(id)) ids.push_back(id);
        }
        return decimal(ids);
    };
    CHECK(ends(load(kSmolLm2)) == "0 2");
    CHECK(ends(load(kLlamaSpm)) == "2");
    CHECK(ends(load(kLlamaBpe)) == "128001 128009");
    CHECK(ends(load(kGpt2)) == "50256");
}
