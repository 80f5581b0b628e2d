// SPDX-License-Identifier: MIT
// tokenizer.ggml.* of a GGUF -> the tokenizer extent. Defaults, special tokens found by their text
// and end-of-generation tokens are llama.cpp's (src/llama-vocab.cpp of February 2025).
#include <algorithm>
#include <cstring>
#include <numeric>
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

// Spellings of tokenizer.ggml.pre whose regular expressions and flags are the same as ours.
constexpr struct {
    std::string_view name;
    PreTokenizer kind;
} kPreTokenizers[] = {
    {"default", PreTokenizer::default_},
    {"gpt-2", PreTokenizer::gpt2},
    {"gpt2", PreTokenizer::gpt2},
    {"phi-2", PreTokenizer::gpt2},
    {"gigachat", PreTokenizer::gpt2},
    {"roberta-bpe", PreTokenizer::gpt2},
    {"mpt", PreTokenizer::gpt2},
    {"olmo", PreTokenizer::gpt2},
    {"jais", PreTokenizer::gpt2},
    {"smollm", PreTokenizer::smollm},
    {"starcoder", PreTokenizer::smollm},
    {"refact", PreTokenizer::smollm},
    {"command-r", PreTokenizer::smollm},
    {"codeshell", PreTokenizer::smollm},
    {"exaone", PreTokenizer::smollm},
    {"minerva-7b", PreTokenizer::smollm},
    {"llama-bpe", PreTokenizer::llama_bpe},
    {"llama3", PreTokenizer::llama_bpe},
    {"llama-v3", PreTokenizer::llama_bpe},
    {"falcon3", PreTokenizer::llama_bpe},
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
    std::vector<std::string> pieces;
    std::vector<TokenType> types;
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

// The texts of all tokens: present, UTF-8, not too long, no two alike.
Status read_texts(const gguf::File& file, const Strings& texts, IdByText* ids) {
    constexpr std::string_view key = "tokenizer.ggml.tokens";
    const uint64_t offset = offset_of(file, key);
    if (texts.empty() || texts.size() > format::kMaxVocab) {
        return field_error(file.name(), key, offset, Text<32>(texts.size(), " tokens").view(),
                           Text<32>("1 to ", format::kMaxVocab).view());
    }
    for (size_t id = 0; id < texts.size(); id++) {
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
        if (text.empty()) continue;
        const auto [other, is_new] = ids->emplace(text, uint32_t(id));
        if (!is_new) {
            return wrong(Quoted{text},
                         Text<64>("a text other than that of token ", other->second).view());
        }
    }
    return {};
}

Status read_types(const gguf::File& file, const Strings& texts, std::vector<TokenType>* types) {
    constexpr std::string_view key = "tokenizer.ggml.token_type";
    const Result<std::vector<int64_t>> stored = file.integers(key);
    if (!stored.ok()) return stored.status();
    if (!file.find(key)) {
        types->assign(texts.size(), TokenType::normal);
        return {};
    }
    if (stored.value().size() != texts.size()) {
        return field_error(file.name(), key, offset_of(file, key),
                           Text<32>(stored.value().size(), " types").view(),
                           Text<48>(texts.size(), ", one for each token").view());
    }
    for (size_t id = 0; id < texts.size(); id++) {
        const int64_t t = stored.value()[id];
        // 0, "undefined", is a token without text, which is what unused ones are.
        if (t < 0 || t > int64_t(TokenType::byte)) {
            return field_error(file.name(), Text<64>(key, "[", id, "]").view(),
                               offset_of(file, key), t, "0 to 6");
        }
        const TokenType type = t == 0 ? TokenType::unused : TokenType(t);
        if (texts[id].empty() && type != TokenType::control && type != TokenType::unused) {
            return field_error(file.name(), Text<64>("tokenizer.ggml.tokens[", id, "]").view(),
                               offset_of(file, "tokenizer.ggml.tokens"), "an empty text",
                               "at least one byte, except for control and unused tokens");
        }
        types->push_back(type);
    }
    return {};
}

// A token id of the file; `missing` where the key is absent.
Status read_id(const gguf::File& file, std::string_view key, size_t n_vocab, uint32_t missing,
               uint32_t* id) {
    *id = missing < n_vocab ? missing : kNoToken;
    if (!file.find(key)) return {};
    const Result<uint64_t> stored = file.u64(key);
    if (!stored.ok()) return stored.status();
    // Converters write 0xffffffff (-1) for "none".
    if (stored.value() == kNoToken) {
        *id = kNoToken;
        return {};
    }
    if (stored.value() >= n_vocab) {
        return field_error(file.name(), key, offset_of(file, key), stored.value(),
                           Text<48>("below the number of tokens ", n_vocab).view());
    }
    *id = uint32_t(stored.value());
    return {};
}

// Tokens with a role that llama.cpp knows by key or, failing that, by text. Those found by text are
// control tokens, whatever the file says.
struct Role {
    std::string_view key;
    std::vector<std::string_view> texts;
};
const Role kEndOfTurn = {"tokenizer.ggml.eot_token_id",
                         {"<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|endoftext|>",
                          "<EOT>", "<｜end▁of▁sentence｜>"}};
const Role kEndOfMessage = {"tokenizer.ggml.eom_token_id", {"<|eom_id|>"}};
// Fill-in-the-middle tokens; the last three end generation too.
const Role kFimPrefix = {"tokenizer.ggml.fim_pre_token_id",
                         {"<|fim_prefix|>", "<fim-prefix>", "<｜fim▁begin｜>", "<PRE>"}};
const Role kFimSuffix = {"tokenizer.ggml.fim_suf_token_id",
                         {"<|fim_suffix|>", "<fim-suffix>", "<｜fim▁hole｜>", "<SUF>"}};
const Role kFimMiddle = {"tokenizer.ggml.fim_mid_token_id",
                         {"<|fim_middle|>", "<fim-middle>", "<｜fim▁end｜>", "<MID>"}};
const Role kFimPad = {"tokenizer.ggml.fim_pad_token_id", {"<|fim_pad|>", "<fim-pad>", "<PAD>"}};
const Role kFimRepository = {"tokenizer.ggml.fim_rep_token_id",
                             {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>"}};
const Role kFimSeparator = {"tokenizer.ggml.fim_sep_token_id", {"<|file_sep|>"}};
// Always end generation and are control tokens.
const std::string_view kEndTexts[] = {"<|eot_id|>",    "<|im_end|>", "<|end|>", "<end_of_turn>",
                                      "<|endoftext|>", "<|eom_id|>", "<EOT>"};

Status find_role(const gguf::File& file, const Role& role, const IdByText& ids, Vocabulary* v,
                 uint32_t* id) {
    if (Status s = read_id(file, role.key, v->types.size(), kNoToken, id); !s.ok()) return s;
    for (size_t i = 0; *id == kNoToken && i < role.texts.size(); i++) {
        const auto found = ids.find(role.texts[i]);
        if (found == ids.end()) continue;
        *id = found->second;
        v->types[*id] = TokenType::control;
    }
    return {};
}

Status read_special_ids(const gguf::File& file, const IdByText& ids, Vocabulary* v) {
    TokenizerHeader& h = v->header;
    const bool spm = h.kind == Vocab::spm;
    const struct {
        std::string_view key;
        uint32_t missing;
        uint32_t* id;
    } keys[] = {{"tokenizer.ggml.bos_token_id", spm ? 1 : kNoToken, &h.bos},
                {"tokenizer.ggml.eos_token_id", spm ? 2 : kNoToken, &h.eos},
                {"tokenizer.ggml.unknown_token_id", spm ? 0 : kNoToken, &h.unk}};
    for (const auto& k : keys) {
        if (Status s = read_id(file, k.key, v->types.size(), k.missing, k.id); !s.ok()) return s;
    }
    uint32_t eom, unused, pad, repository, separator;
    const struct {
        const Role* role;
        uint32_t* id;
    } roles[] = {{&kEndOfTurn, &h.eot},          {&kEndOfMessage, &eom},
                 {&kFimPrefix, &unused},         {&kFimSuffix, &unused},
                 {&kFimMiddle, &unused},         {&kFimPad, &pad},
                 {&kFimRepository, &repository}, {&kFimSeparator, &separator}};
    for (const auto& r : roles) {
        if (Status s = find_role(file, *r.role, ids, v, r.id); !s.ok()) return s;
    }
    std::vector<uint32_t> ends = {h.eos, h.eot, eom, pad, repository, separator};
    for (const std::string_view text : kEndTexts) {
        const auto found = ids.find(text);
        if (found == ids.end()) continue;
        v->types[found->second] = TokenType::control;
        ends.push_back(found->second);
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    if (!ends.empty() && ends.back() == kNoToken) ends.pop_back();
    static_assert(format::kMaxEog >= 6 + std::size(kEndTexts));
    std::copy(ends.begin(), ends.end(), h.eog);
    h.n_eog = uint32_t(ends.size());
    return {};
}

Status read_flags(const gguf::File& file, TokenizerHeader* h) {
    const bool spm = h->kind == Vocab::spm;
    const bool llama_bpe = h->kind == Vocab::bpe && h->pre == PreTokenizer::llama_bpe;
    const struct {
        std::string_view key;
        bool missing;
        uint32_t id;
        uint32_t* flag;
    } keys[] = {{"tokenizer.ggml.add_bos_token", spm || llama_bpe, h->bos, &h->add_bos},
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
    put(layout.type, v.types.data(), v.types.size());
    put(layout.merges, v.merges.data(), sizeof(MergeEntry) * v.merges.size());
    put(layout.strings, strings.data(), strings.size());
    return out;
}

Status read_vocabulary(const gguf::File& file, Vocabulary* v) {
    TokenizerHeader& h = v->header;
    constexpr std::string_view pre_key = "tokenizer.ggml.pre";
    const Result<std::string_view> pre = file.string(pre_key, "");
    if (!pre.ok()) return pre.status();
    if (h.kind == Vocab::bpe && !pre.value().empty()) {
        const auto* known = std::find_if(std::begin(kPreTokenizers), std::end(kPreTokenizers),
                                         [&](const auto& k) { return k.name == pre.value(); });
        if (known == std::end(kPreTokenizers)) {
            return error(Code::unsupported, file.name(), ": ", pre_key, " at offset ",
                         Hex{offset_of(file, pre_key)}, ": found ", Quoted{pre.value()},
                         ", allowed default, gpt-2, smollm, llama-bpe and their other names");
        }
        h.pre = known->kind;
    }

    const Result<Strings> texts = file.strings("tokenizer.ggml.tokens");
    if (!texts.ok()) return texts.status();
    IdByText ids;
    if (Status s = read_texts(file, texts.value(), &ids); !s.ok()) return s;
    if (Status s = read_types(file, texts.value(), &v->types); !s.ok()) return s;
    if (Status s = read_special_ids(file, ids, v); !s.ok()) return s;
    if (Status s = read_flags(file, &h); !s.ok()) return s;
    if (h.kind == Vocab::spm) {
        v->pieces.assign(texts.value().begin(), texts.value().end());
        if (Status s = read_scores(file, texts.value().size(), &v->scores); !s.ok()) return s;
    } else {
        if (Status s = read_merges(file, ids, &v->merges); !s.ok()) return s;
        undo_byte_alphabet(texts.value(), v);
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
