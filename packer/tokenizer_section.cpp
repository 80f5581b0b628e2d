// SPDX-License-Identifier: MIT
// tokenizer.ggml.* of a GGUF -> the tokenizer extent. Defaults, special tokens found by their text
// and end-of-generation tokens are llama.cpp's (src/llama-vocab.cpp in llama-cpp-python 0.3.36).
#include <algorithm>
#include <cstring>
#include <deque>
#include <numeric>
#include <set>
#include <span>
#include <unordered_map>

#include "model/format/format.h"
#include "model/format/tokenizer_section.h"
#include "model/text/tokenizer_layout.h"
#include "model/text/unicode.h"
#include "packer/sections.h"

namespace axiom::packer {

namespace {

using format::kNoToken;
using format::MergeEntry;
using format::PreTokenizer;
using format::TokenizerHeader;
using format::TokenType;
using format::Vocab;
using Strings = std::vector<std::string_view>;
using IdByText = std::unordered_map<std::string_view, uint32_t>;

// tokenizer.ggml.pre of the families that are read here, and what llama.cpp makes of each: the
// expressions, whether a word that is a token needs no merges, and whether BOS is added unless the
// file says otherwise.
constexpr struct {
    std::string_view name;
    PreTokenizer kind;
    bool ignore_merges = false, add_bos = false;
} kPreTokenizerNames[] = {
    {"default", PreTokenizer::default_},
    {"gpt-2", PreTokenizer::gpt2},
    {"olmo", PreTokenizer::gpt2},
    {"mellum", PreTokenizer::gpt2},
    {"trillion", PreTokenizer::gpt2},
    {"a.x-4.0", PreTokenizer::gpt2},
    {"granite-docling", PreTokenizer::gpt2},
    {"smollm", PreTokenizer::smollm},
    {"starcoder", PreTokenizer::smollm},
    {"refact", PreTokenizer::smollm},
    {"minerva-7b", PreTokenizer::smollm},
    {"mellum2", PreTokenizer::smollm},
    {"llama-bpe", PreTokenizer::llama_bpe, true, true},
    {"llama3", PreTokenizer::llama_bpe, true, true},
    {"llama-v3", PreTokenizer::llama_bpe, true, true},
    {"falcon3", PreTokenizer::llama_bpe, true, true},
    {"pixtral", PreTokenizer::llama_bpe, true, true},
    {"midm-2.0", PreTokenizer::llama_bpe, true, true},
    {"smaug-bpe", PreTokenizer::llama_bpe},
    {"dbrx", PreTokenizer::llama_bpe},
    {"qwen2", PreTokenizer::qwen2},
    {"deepseek-r1-qwen", PreTokenizer::qwen2},
    {"kormo", PreTokenizer::qwen2},
    {"f2llmv2", PreTokenizer::qwen2},
    {"megrez", PreTokenizer::qwen2},
    {"qwen35", PreTokenizer::qwen35},
    {"tekken", PreTokenizer::tekken, true, true},
    {"gpt-4o", PreTokenizer::gpt4o},
};

uint64_t offset_of(const gguf::File& file, std::string_view key) {
    const gguf::Value* value = file.find(key);
    return value ? value->offset : 0;
}

// GPT-2's byte alphabet: printable Latin-1 stands for itself, the other bytes for U+0100 and up.
class ByteAlphabet {
  public:
    ByteAlphabet() {
        std::fill(std::begin(byte_of_), std::end(byte_of_), -1);
        int n_moved = 0;
        for (int byte = 0; byte < 256; byte++) {
            const bool itself = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte != 0xad);
            byte_of_[itself ? byte : 256 + n_moved++] = byte;
        }
    }
    // The bytes that `text` spells; false if a character is not of the alphabet.
    bool undo(std::string_view text, std::string* bytes) const {
        bytes->clear();
        for (size_t at = 0; at < text.size();) {
            const CodePoint c = decode_utf8(text, at);
            if (c.value >= std::size(byte_of_) || byte_of_[c.value] < 0) return false;
            bytes->push_back(char(byte_of_[c.value]));
            at += c.n_bytes;
        }
        return true;
    }

  private:
    int byte_of_[256 + 68];
};

struct Vocabulary {
    TokenizerHeader header{};
    bool default_add_bos = false;
    std::vector<std::string> pieces;
    std::vector<TokenType> types;
    std::vector<bool> strips_right;
    std::vector<float> scores;
    std::vector<MergeEntry> merges;
};

TokenizerHeader empty_header(Vocab kind) {
    TokenizerHeader h{};
    h.kind = kind;
    h.bos = h.eos = h.eot = h.unk = kNoToken;
    std::fill(std::begin(h.eog), std::end(h.eog), kNoToken);
    return h;
}

// The texts of all tokens: present, UTF-8, not too long, no two alike. Empty ones are replaced by
// llama.cpp's name for them, which lives in `made`.
Status read_texts(const gguf::File& file, Strings* stored, std::deque<std::string>* made,
                  IdByText* ids) {
    constexpr std::string_view key = "tokenizer.ggml.tokens";
    const uint64_t offset = offset_of(file, key);
    Strings& texts = *stored;
    if (texts.empty() || texts.size() > format::kMaxVocab) {
        return field_error(file.name(), key, offset, Text<32>(texts.size(), " tokens").view(),
                           Text<32>("1 to ", format::kMaxVocab).view());
    }
    for (size_t id = 0; id < texts.size(); id++) {
        if (texts[id].empty()) {
            texts[id] = made->emplace_back("[EMPTY_" + std::to_string(id) + "]");
        }
        const std::string_view text = texts[id];
        const auto wrong = [&](const auto& found, std::string_view allowed) {
            return field_error(file.name(), Text<64>(key, "[", id, "]").view(), offset, found,
                               allowed);
        };
        if (text.size() > format::kMaxTokenBytes) {
            return wrong(Text<32>(text.size(), " bytes").view(),
                         Text<32>("up to ", format::kMaxTokenBytes).view());
        }
        if (!is_utf8(text)) return wrong(Quoted{text}, "UTF-8");
        const auto [other, is_new] = ids->emplace(text, uint32_t(id));
        if (!is_new) {
            return wrong(Quoted{text},
                         Text<64>("a text other than that of token ", other->second).view());
        }
    }
    return {};
}

Status read_types(const gguf::File& file, size_t n_vocab, std::vector<TokenType>* types) {
    constexpr std::string_view key = "tokenizer.ggml.token_type";
    const Result<std::vector<int64_t>> stored = file.integers(key);
    if (!stored.ok()) return stored.status();
    if (!file.find(key)) {
        types->assign(n_vocab, TokenType::normal);
        return {};
    }
    if (stored.value().size() != n_vocab) {
        return field_error(file.name(), key, offset_of(file, key),
                           Text<32>(stored.value().size(), " types").view(),
                           Text<48>(n_vocab, ", one for each token").view());
    }
    for (size_t id = 0; id < n_vocab; id++) {
        const int64_t t = stored.value()[id];
        // 0, "undefined", is a token without text, which is what unused ones are.
        if (t < 0 || t > int64_t(TokenType::byte)) {
            return field_error(file.name(), Text<64>(key, "[", id, "]").view(),
                               offset_of(file, key), t, "0 to 6");
        }
        types->push_back(t == 0 ? TokenType::unused : TokenType(t));
    }
    return {};
}

// A token id of the file; `missing` where the key is absent and `missing` is a token.
Status read_id(const gguf::File& file, std::string_view key, size_t n_vocab, uint32_t missing,
               uint32_t* id) {
    *id = missing < n_vocab ? missing : kNoToken;
    if (!file.find(key)) return {};
    const Result<uint64_t> stored = file.u64(key);
    if (!stored.ok()) return stored.status();
    // Some converters write -1 for a missing key.
    if (stored.value() == kNoToken) return {};
    if (stored.value() >= n_vocab) {
        return field_error(file.name(), key, offset_of(file, key), stored.value(),
                           Text<48>("below the number of tokens ", n_vocab).view());
    }
    *id = uint32_t(stored.value());
    return {};
}

// Tokens with a role that llama.cpp knows by key or, failing that, by text; of several such texts
// the first that is a token counts here (in llama.cpp the hash of the texts decides). Those found
// by text are control tokens, whatever the file says.
struct Role {
    std::string_view key, old_key;
    bool ends_generation;
    std::vector<std::string_view> texts;
};
const Role kEndOfTurn = {
    "tokenizer.ggml.eot_token_id",
    "",
    true,
    {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>", "<|end_of_text|>",
     "<EOT>", "_<EOT>", "[EOT]", "<｜end▁of▁sentence｜>", "<end_of_utterance>"}};
const Role kOtherRoles[] = {
    {"tokenizer.ggml.eom_token_id", "", true, {"<|eom_id|>"}},
    // Fill in the middle.
    {"tokenizer.ggml.fim_pre_token_id",
     "tokenizer.ggml.prefix_token_id",
     false,
     {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>", "<｜fim▁begin｜>", "<PRE>", "▁<PRE>",
      "<|code_prefix|>", "<|prefix|>"}},
    {"tokenizer.ggml.fim_suf_token_id",
     "tokenizer.ggml.suffix_token_id",
     false,
     {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>", "<｜fim▁hole｜>", "<SUF>", "▁<SUF>",
      "<|code_suffix|>", "<|suffix|>"}},
    {"tokenizer.ggml.fim_mid_token_id",
     "tokenizer.ggml.middle_token_id",
     false,
     {"<|fim_middle|>", "<fim-middle>", "<fim_middle>", "<｜fim▁end｜>", "<MID>", "▁<MID>",
      "<|code_middle|>", "<|middle|>"}},
    {"tokenizer.ggml.fim_pad_token_id",
     "",
     true,
     {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
    {"tokenizer.ggml.fim_rep_token_id",
     "",
     true,
     {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
    {"tokenizer.ggml.fim_sep_token_id", "", true, {"<|file_sep|>"}},
};
// Always end generation and are control tokens.
const std::string_view kEndTexts[] = {"<|eot_id|>",
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
                                      "[e~["};
static_assert(format::kMaxEog >= 2 + std::size(kOtherRoles) + std::size(kEndTexts));

Status find_role(const gguf::File& file, const Role& role, const IdByText& ids, Vocabulary* v,
                 uint32_t* id) {
    if (Status s = read_id(file, role.key, v->types.size(), kNoToken, id); !s.ok()) return s;
    if (!role.old_key.empty()) {
        if (Status s = read_id(file, role.old_key, v->types.size(), *id, id); !s.ok()) return s;
    }
    for (size_t i = 0; *id == kNoToken && i < role.texts.size(); i++) {
        const auto found = ids.find(role.texts[i]);
        if (found == ids.end()) continue;
        *id = found->second;
        v->types[*id] = TokenType::control;
    }
    return {};
}

Status read_special_ids(const gguf::File& file, Vocabulary* v) {
    TokenizerHeader& h = v->header;
    const bool spm = h.kind == Vocab::spm;
    const struct {
        std::string_view key;
        uint32_t missing;
        uint32_t* id;
    } keys[] = {{"tokenizer.ggml.bos_token_id", spm ? 1u : 11u, &h.bos},
                {"tokenizer.ggml.eos_token_id", spm ? 2u : 11u, &h.eos},
                {"tokenizer.ggml.unknown_token_id", spm ? 0 : kNoToken, &h.unk}};
    for (const auto& k : keys) {
        if (Status s = read_id(file, k.key, v->types.size(), k.missing, k.id); !s.ok()) return s;
    }
    return {};
}

// gpt-oss and Solar mark parts of an answer with some tokens that look like others' ends, and Gemma
// 4's </s> is a word.
void exempt_from_ends(const IdByText& ids, std::set<uint32_t>* ends, Vocabulary* v) {
    for (const std::string_view text :
         {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"}) {
        const auto found = ids.find(text);
        if (found != ids.end()) v->types[found->second] = TokenType::user_defined;
    }
    const auto is_end = [&](std::string_view text) {
        const auto found = ids.find(text);
        return found != ids.end() && ends->count(found->second) > 0;
    };
    const auto exempt = [&](std::string_view text, TokenType type) {
        ends->erase(ids.at(text));
        v->types[ids.at(text)] = type;
    };
    const bool calls = is_end("<|call|>") || is_end("<|calls|>");
    const bool harmony = is_end("<|return|>") && calls;
    const bool solar = is_end("<|flush|>") && calls;
    if ((harmony || solar) && is_end("<|end|>")) exempt("<|end|>", TokenType::user_defined);
    if (is_end("<|tool_response>") && is_end("</s>")) exempt("</s>", TokenType::normal);
}

Status find_ends(const gguf::File& file, const IdByText& ids, Vocabulary* v) {
    TokenizerHeader& h = v->header;
    if (Status s = find_role(file, kEndOfTurn, ids, v, &h.eot); !s.ok()) return s;
    std::set<uint32_t> ends = {h.eos, h.eot};
    for (const Role& role : kOtherRoles) {
        uint32_t id;
        if (Status s = find_role(file, role, ids, v, &id); !s.ok()) return s;
        if (role.ends_generation) ends.insert(id);
    }
    for (const std::string_view text : kEndTexts) {
        const auto found = ids.find(text);
        if (found == ids.end()) continue;
        v->types[found->second] = TokenType::control;
        ends.insert(found->second);
    }
    ends.erase(kNoToken);
    exempt_from_ends(ids, &ends, v);
    std::copy(ends.begin(), ends.end(), h.eog);
    h.n_eog = uint32_t(ends.size());
    return {};
}

// llama.cpp knows by the model's name that the special tokens of Phi-3 strip to the right, all but
// three; no key of the file says it.
Status read_strips(const gguf::File& file, const IdByText& ids, Vocabulary* v) {
    v->strips_right.assign(v->types.size(), false);
    const Result<std::string_view> stored = file.string("general.name", "");
    if (!stored.ok()) return stored.status();
    std::string name(stored.value());
    for (char& c : name) c = c >= 'A' && c <= 'Z' ? char(c | 0x20) : c;
    if (name.find("phi-3") == std::string::npos && name.find("phi3") == std::string::npos) {
        return {};
    }
    for (size_t id = 0; id < v->types.size(); id++) v->strips_right[id] = is_special(v->types[id]);
    for (const std::string_view text : {"<unk>", "<s>", "<|endoftext|>"}) {
        const auto found = ids.find(text);
        if (found != ids.end()) v->strips_right[found->second] = false;
    }
    return {};
}

Status read_flags(const gguf::File& file, bool add_bos, TokenizerHeader* h) {
    const bool spm = h->kind == Vocab::spm;
    const struct {
        std::string_view key;
        bool missing;
        uint32_t id;
        uint32_t* flag;
    } keys[] = {{"tokenizer.ggml.add_bos_token", add_bos, h->bos, &h->add_bos},
                {"tokenizer.ggml.add_eos_token", false, h->eos, &h->add_eos},
                {"tokenizer.ggml.add_space_prefix", spm, 0, &h->add_space_prefix}};
    for (const auto& k : keys) {
        const Result<bool> stored = file.boolean(k.key, k.missing);
        if (!stored.ok()) return stored.status();
        if (stored.value() && k.id == kNoToken) {
            return field_error(file.name(), k.key, offset_of(file, k.key), "true",
                               "false, as the file names no such token");
        }
        *k.flag = stored.value();
    }
    return {};
}

Status read_scores(const gguf::File& file, size_t n_vocab, std::vector<float>* scores) {
    constexpr std::string_view key = "tokenizer.ggml.scores";
    Result<std::vector<float>> stored = file.floats(key);
    if (!stored.ok()) return stored.status();
    if (!file.find(key)) {
        scores->assign(n_vocab, 0.0f);
        return {};
    }
    *scores = std::move(stored.value());
    if (scores->size() != n_vocab) {
        return field_error(file.name(), key, offset_of(file, key),
                           Text<32>(scores->size(), " scores").view(),
                           Text<48>(n_vocab, ", one for each token").view());
    }
    for (size_t id = 0; id < n_vocab; id++) {
        // Not a number and the infinities are the values that differ from themselves, less
        // themselves.
        if ((*scores)[id] - (*scores)[id] == 0.0f) continue;
        return field_error(file.name(), Text<64>(key, "[", id, "]").view(), offset_of(file, key),
                           double((*scores)[id]), "a finite number");
    }
    return {};
}

// "left right", in order of rank; of a pair given twice the first counts. Pieces that are no tokens
// could still pass through a longer merge in llama.cpp; no trained vocabulary has them, and they
// are refused.
Status read_merges(const gguf::File& file, const IdByText& ids, std::vector<MergeEntry>* merges) {
    constexpr std::string_view key = "tokenizer.ggml.merges";
    const uint64_t offset = offset_of(file, key);
    const Result<Strings> stored = file.strings(key);
    if (!stored.ok()) return stored.status();
    if (!file.find(key)) {
        return error(Code::bad_format, file.name(), ": ", key,
                     ": missing, a gpt2 tokenizer needs it");
    }
    if (stored.value().size() > format::kMaxMerges) {
        return field_error(file.name(), key, offset,
                           Text<32>(stored.value().size(), " merges").view(),
                           Text<32>("up to ", format::kMaxMerges).view());
    }
    std::string joined;
    for (size_t rank = 0; rank < stored.value().size(); rank++) {
        const std::string_view text = stored.value()[rank];
        const auto wrong = [&](std::string_view allowed) {
            return field_error(file.name(), Text<64>(key, "[", rank, "]").view(), offset,
                               Quoted{text}, allowed);
        };
        const size_t blank = text.find(' ', 1);
        if (blank == std::string_view::npos) return wrong("two pieces with a blank between");
        const std::string_view left = text.substr(0, blank), right = text.substr(blank + 1);
        joined.assign(left).append(right);
        const auto l = ids.find(left), r = ids.find(right), m = ids.find(joined);
        if (l == ids.end() || r == ids.end() || m == ids.end()) {
            return wrong("pieces that are tokens, alone and joined");
        }
        merges->push_back({l->second, r->second, uint32_t(rank), m->second});
    }
    const auto pair_of = [](const MergeEntry& m) { return uint64_t{m.left} << 32 | m.right; };
    std::stable_sort(merges->begin(), merges->end(), [&](const MergeEntry& a, const MergeEntry& b) {
        return pair_of(a) < pair_of(b);
    });
    merges->erase(std::unique(merges->begin(), merges->end(),
                              [&](const MergeEntry& a, const MergeEntry& b) {
                                  return pair_of(a) == pair_of(b);
                              }),
                  merges->end());
    return {};
}

// Special tokens stay as they are written; words are spelt in the byte alphabet. A word with other
// characters is one that merges cannot reach: it becomes TokenType::byte (model/text/tokenizer.h).
void undo_byte_alphabet(const Strings& texts, Vocabulary* v) {
    const ByteAlphabet alphabet;
    std::string bytes;
    for (size_t id = 0; id < texts.size(); id++) {
        TokenType& type = v->types[id];
        if (type == TokenType::byte)
            type = TokenType::unused;  // bpe has none; llama.cpp prints nothing
        if (is_special(type)) {
            v->pieces.emplace_back(texts[id]);
        } else if (alphabet.undo(texts[id], &bytes)) {
            v->pieces.push_back(bytes);
        } else {
            v->pieces.emplace_back(texts[id]);
            type = TokenType::byte;
        }
    }
}

Status check_pieces(const gguf::File& file, const Vocabulary& v) {
    for (size_t id = 0; id < v.pieces.size(); id++) {
        const std::string_view piece = v.pieces[id];
        const auto wrong = [&](const auto& found, std::string_view allowed) {
            return field_error(file.name(), Text<64>("tokenizer.ggml.tokens[", id, "]").view(),
                               offset_of(file, "tokenizer.ggml.tokens"), found, allowed);
        };
        if (is_special(v.types[id]) && piece.size() > kMaxSpecialBytes) {
            return wrong(Text<48>("a special token of ", piece.size(), " bytes").view(),
                         Text<32>("up to ", kMaxSpecialBytes).view());
        }
        const auto is_hex = [](char c) {
            return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F') || (c >= 'a' && c <= 'f');
        };
        if (v.header.kind == Vocab::spm && v.types[id] == TokenType::byte &&
            !(piece.size() == 6 && piece.starts_with("<0x") && is_hex(piece[3]) &&
              is_hex(piece[4]) && piece[5] == '>')) {
            return wrong(Quoted{piece}, "<0xNN> for a byte token");
        }
    }
    return {};
}

std::vector<uint8_t> serialize(Vocabulary& v) {
    TokenizerHeader& h = v.header;
    h.n_vocab = uint32_t(v.pieces.size());
    h.n_merges = uint32_t(v.merges.size());
    std::vector<uint32_t> string_offset = {0};
    std::string strings;
    for (const std::string& piece : v.pieces) {
        strings += piece;
        string_offset.push_back(uint32_t(strings.size()));
    }
    h.string_bytes = strings.size();
    std::vector<uint32_t> by_text(h.n_vocab);
    std::iota(by_text.begin(), by_text.end(), 0u);
    // std::string compares as memcmp does, shorter first.
    std::sort(by_text.begin(), by_text.end(), [&](uint32_t a, uint32_t b) {
        const int order = v.pieces[a].compare(v.pieces[b]);
        return order < 0 || (order == 0 && a < b);
    });

    const TokenizerLayout layout(h);
    std::vector<uint8_t> out(layout.end);
    const auto put = [&](uint64_t offset, const void* data, size_t n_bytes) {
        if (n_bytes) std::memcpy(&out[offset], data, n_bytes);
    };
    put(0, &h, sizeof h);
    put(layout.string_offset, string_offset.data(), 4 * string_offset.size());
    put(layout.by_text, by_text.data(), 4 * by_text.size());
    put(layout.score, v.scores.data(), 4 * v.scores.size());
    for (size_t id = 0; id < v.types.size(); id++) {
        out[layout.type + id] =
            uint8_t(uint8_t(v.types[id]) | (v.strips_right[id] ? format::kStripsRight : 0));
    }
    put(layout.merges, v.merges.data(), sizeof(MergeEntry) * v.merges.size());
    put(layout.strings, strings.data(), strings.size());
    return out;
}

Status read_pre_tokenizer(const gguf::File& file, Vocabulary* v) {
    TokenizerHeader& h = v->header;
    if (h.kind == Vocab::spm) {
        v->default_add_bos = true;
        return {};
    }
    constexpr std::string_view key = "tokenizer.ggml.pre";
    const Result<std::string_view> stored = file.string(key, "");
    if (!stored.ok()) return stored.status();
    const std::string_view name = stored.value().empty() ? "default" : stored.value();
    std::string allowed;
    for (const auto& known : kPreTokenizerNames) {
        if (known.name == name) {
            h.pre = known.kind;
            h.ignore_merges = known.ignore_merges;
            v->default_add_bos = known.add_bos;
            return {};
        }
        allowed.append(allowed.empty() ? "" : " ").append(known.name);
    }
    return error(Code::unsupported, file.name(), ": ", key, " at offset ",
                 Hex{offset_of(file, key)}, ": found ", Quoted{name}, ", allowed ", allowed);
}

Status read_vocabulary(const gguf::File& file, Vocabulary* v) {
    TokenizerHeader& h = v->header;
    if (Status s = read_pre_tokenizer(file, v); !s.ok()) return s;
    Result<Strings> stored = file.strings("tokenizer.ggml.tokens");
    if (!stored.ok()) return stored.status();
    Strings& texts = stored.value();
    std::deque<std::string> made;
    IdByText ids;
    if (Status s = read_texts(file, &texts, &made, &ids); !s.ok()) return s;
    if (Status s = read_types(file, texts.size(), &v->types); !s.ok()) return s;
    if (Status s = read_special_ids(file, v); !s.ok()) return s;
    if (Status s = find_ends(file, ids, v); !s.ok()) return s;
    if (Status s = read_strips(file, ids, v); !s.ok()) return s;
    if (Status s = read_flags(file, v->default_add_bos, &h); !s.ok()) return s;
    if (h.kind == Vocab::spm) {
        v->pieces.assign(texts.begin(), texts.end());
        if (Status s = read_scores(file, texts.size(), &v->scores); !s.ok()) return s;
    } else {
        if (Status s = read_merges(file, ids, &v->merges); !s.ok()) return s;
        undo_byte_alphabet(texts, v);
    }
    return check_pieces(file, *v);
}

}  // namespace

Result<std::vector<uint8_t>> build_tokenizer_section(const gguf::File& file) {
    constexpr std::string_view key = "tokenizer.ggml.model";
    const Result<std::string_view> model = file.string(key, "none");
    if (!model.ok()) return model.status();
    Vocabulary v;
    if (model.value() == "none" || model.value() == "no_vocab") {
        v.header = empty_header(Vocab::none);
    } else if (model.value() == "gpt2" || model.value() == "llama") {
        v.header = empty_header(model.value() == "gpt2" ? Vocab::bpe : Vocab::spm);
        if (Status s = read_vocabulary(file, &v); !s.ok()) return s;
    } else {
        return error(Code::unsupported, file.name(), ": ", key, " at offset ",
                     Hex{offset_of(file, key)}, ": found ", Quoted{model.value()},
                     ", allowed gpt2 (byte-level BPE), llama (SentencePiece), none");
    }
    return serialize(v);
}

}  // namespace axiom::packer
