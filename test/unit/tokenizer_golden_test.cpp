// SPDX-License-Identifier: MIT
// Ids against llama.cpp's, for whole vocabularies (test/golden/README.md says how they were made).
#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "core/hash.h"
#include "test/unit/read_file.h"
#include "test/unit/tokenizer_fixture.h"

using namespace axiom;

namespace {

std::string build_path(const std::string& name) {
    const char* directory = std::getenv("AXIOM_BUILD_DIR");
    return std::string(directory ? directory : "build") + "/" + name;
}

// In test/golden/tokens, without the newlines.
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

std::string hash_text(uint64_t digest) {
    return std::string(Text<20>(HexDigits{digest, 16}).view());
}

// The text that mixed_text.py writes, in the pieces that it is compared in.
std::vector<std::string> mixed_chunks() {
    constexpr size_t kChunkBytes = 4096;
    const std::string text = read_file(build_path("vocab/mixed_text.bin"));
    REQUIRE(text.size() >= 1 << 20);
    REQUIRE(text.size() % kChunkBytes == 0);
    REQUIRE(hash_text(Xxh64::of(text.data(), text.size())) == golden_lines("mixed_text.xxh64")[0]);
    std::vector<std::string> chunks;
    for (size_t i = 0; i < text.size(); i += kChunkBytes) {
        chunks.push_back(text.substr(i, kChunkBytes));
    }
    return chunks;
}

PackedTokenizer load(const std::string& path) {
    const std::string gguf = read_file(path);
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

// A line of the golden file: count and hash of the ids with special tokens parsed, and without
// where these differ.
std::string ids_line(const PackedTokenizer& packed, const std::string& text) {
    const auto summary = [](const std::vector<TokenId>& ids) {
        Xxh64 hash;
        if (!ids.empty()) hash.update(ids.data(), ids.size() * sizeof ids[0]);
        return std::to_string(ids.size()) + " " + hash_text(hash.digest());
    };
    const std::vector<TokenId> parsed = packed.encode(text);
    const std::vector<TokenId> literal = packed.encode(text, Tokenizer::Specials::literal);
    return summary(parsed) + (parsed == literal ? "" : " " + summary(literal));
}

std::string number_or_none(uint32_t id) {
    return id == format::kNoToken ? "-1" : std::to_string(id);
}

// What the first three lines of a golden file say of the vocabulary as a whole.
std::vector<std::string> facts(const Tokenizer& t) {
    const format::TokenizerHeader& h = t.header();
    std::string ends;
    Xxh64 shown, plain;
    for (TokenId id = 0; id < t.n_vocab(); id++) {
        if (t.ends_generation(id)) ends += " " + std::to_string(id);
        for (const bool show_control : {true, false}) {
            char buffer[format::kMaxTokenBytes];
            const std::string_view piece = t.decode(id, buffer, show_control);
            const uint32_t n_bytes = uint32_t(piece.size());
            Xxh64& hash = show_control ? shown : plain;
            hash.update(&n_bytes, sizeof n_bytes);
            if (n_bytes > 0) hash.update(piece.data(), n_bytes);
        }
    }
    return {"bos " + number_or_none(h.bos) + " eos " + number_or_none(h.eos) + " add_bos " +
                std::to_string(h.add_bos) + " add_eos " + std::to_string(h.add_eos),
            "eog" + ends, "pieces " + hash_text(shown.digest()) + " " + hash_text(plain.digest())};
}

std::string vocab_path(const std::string& name) {
    return build_path(name == "smollm2" ? "models/default.gguf" : "vocab/" + name + ".gguf");
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

struct Golden {
    const char* name;  // of the vocabulary, see test/golden/README.md
    const char* families;
    format::Vocab kind;
    format::PreTokenizer pre;
};

constexpr format::Vocab kBpe = format::Vocab::bpe, kSpm = format::Vocab::spm;
using format::PreTokenizer;

constexpr Golden kVocabularies[] = {
    {"smollm2", "SmolLM and SmolLM2", kBpe, PreTokenizer::smollm},
    {"llama-spm", "Llama 1 and 2, TinyLlama", kSpm, PreTokenizer::default_},
    {"mistral", "Mistral 7B, Mixtral", kSpm, PreTokenizer::default_},
    {"phi-3", "Phi-3 and Phi-3.5", kSpm, PreTokenizer::default_},
    {"gemma3", "Gemma 3; Gemma 2 has the same kind", kSpm, PreTokenizer::default_},
    {"llama-bpe", "Llama 3 to 3.3, DeepSeek-R1-Distill-Llama", kBpe, PreTokenizer::llama_bpe},
    {"smaug-bpe", "SmolLM3", kBpe, PreTokenizer::llama_bpe},
    {"gpt-2", "GPT-2", kBpe, PreTokenizer::gpt2},
    {"default", "files that name no pre-tokenizer", kBpe, PreTokenizer::default_},
    {"refact", "Granite 3", kBpe, PreTokenizer::smollm},
    {"starcoder", "StarCoder 2 and Granite Code", kBpe, PreTokenizer::smollm},
    {"qwen2", "Qwen2, Qwen2.5, DeepSeek-R1-Distill-Qwen", kBpe, PreTokenizer::qwen2},
    {"qwen3", "Qwen3 and Qwen3-MoE", kBpe, PreTokenizer::qwen2},
    {"qwen35", "Qwen3.5", kBpe, PreTokenizer::qwen35},
    {"tekken", "Mistral Nemo and Mistral Small 3", kBpe, PreTokenizer::tekken},
    {"cl100k", "Phi-4, OLMo 2 and OLMo 3, Granite 4", kBpe, PreTokenizer::llama_bpe},
    {"o200k", "Phi-4-mini", kBpe, PreTokenizer::gpt4o},
};

}  // namespace

TEST_CASE("token ids equal llama.cpp's for the vocabulary of every family") {
    const std::vector<std::string> strings = golden_strings(), chunks = mixed_chunks();
    REQUIRE(strings.size() >= 200);
    for (const Golden& golden : kVocabularies) {
        DYNAMIC_SECTION(golden.name << ": " << golden.families) {
            const PackedTokenizer packed = load(vocab_path(golden.name));
            const std::vector<std::string> lines = golden_lines(golden.name + std::string(".txt"));
            const std::vector<std::string> found = facts(packed.tokenizer);
            REQUIRE(lines.size() == found.size() + strings.size() + chunks.size());
            CHECK(packed.tokenizer.header().kind == golden.kind);
            CHECK(packed.tokenizer.header().pre == golden.pre);
            const auto* line = lines.data();
            for (const std::string& fact : found) CHECK(fact == *line++);
            for (size_t i = 0; i < strings.size(); i++) {
                INFO("string " << i << ": " << readable(strings[i]) << ": "
                               << decimal(packed.encode(strings[i])));
                CHECK(ids_line(packed, strings[i]) == *line++);
            }
            for (size_t i = 0; i < chunks.size(); i++) {
                INFO("chunk " << i << " of the mixed text");
                CHECK(ids_line(packed, chunks[i]) == *line++);
            }
        }
    }
}

TEST_CASE("segments that are read alike are one text") {
    for (const char* name : {"smollm2", "llama-spm", "phi-3", "qwen2"}) {
        INFO(name);
        check_segments(load(vocab_path(name)));
    }
}

TEST_CASE("the beginning-of-sequence token is added once, where the vocabulary wants one") {
    const Tokenizer::Segment hi{"Hi", Tokenizer::Specials::parse};
    const PackedTokenizer spm = load(vocab_path("llama-spm")),
                          llama3 = load(vocab_path("llama-bpe"));
    const PackedTokenizer smollm = load(vocab_path("smollm2"));
    CHECK(decimal(spm.encode({&hi, 1}, true)) == "1 6324");
    CHECK(decimal(llama3.encode({&hi, 1}, true)) == "128000 13347");
    CHECK(smollm.encode({&hi, 1}, true) == smollm.encode({&hi, 1}, false));
    CHECK(decimal(spm.encode(std::span<const Tokenizer::Segment>(), true)) == "1");
}

TEST_CASE("a person's text cannot spell a control token") {
    const PackedTokenizer packed = load(vocab_path("smollm2"));
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
    const PackedTokenizer smollm = load(vocab_path("smollm2")), spm = load(vocab_path("llama-spm"));
    const PackedTokenizer llama3 = load(vocab_path("llama-bpe")), gpt2 = load(vocab_path("gpt-2"));
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
    for (const std::string& path : {vocab_path("smollm2"), vocab_path("llama-spm")}) {
        const PackedTokenizer packed = load(path);
        const Tokenizer& t = packed.tokenizer;
        size_t n_wrong = 0;
        for (TokenId id = 0; id < t.n_vocab(); id++) n_wrong += t.find(t.piece(id)) != id;
        CHECK(n_wrong == 0);
    }
}
