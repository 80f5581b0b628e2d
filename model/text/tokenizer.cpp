// SPDX-License-Identifier: MIT
// Opens a tokenizer extent, checking every byte of it, and looks pieces up.
// Must not know: how text becomes tokens (tokenizer_encode.cpp).
#include "model/text/tokenizer.h"

#include <cstring>

#include "model/text/encoder.h"
#include "model/text/pretokenizer.h"
#include "model/text/tokenizer_layout.h"
#include "model/text/unicode.h"

namespace axiom {

namespace {

using format::kNoToken;
using format::PreTokenizer;
using format::TokenizerHeader;
using format::TokenType;
using format::Vocab;

bool less(std::string_view a, std::string_view b) {
    const size_t n = a.size() < b.size() ? a.size() : b.size();
    const int order = n ? std::memcmp(a.data(), b.data(), n) : 0;
    return order < 0 || (order == 0 && a.size() < b.size());
}

bool same(std::string_view a, std::string_view b) {
    return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size()) == 0);
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

// The byte that spm's "<0xNN>" stands for, or -1.
int byte_of_piece(std::string_view piece) {
    if (piece.size() != 6 || std::memcmp(piece.data(), "<0x", 3) != 0 || piece[5] != '>') return -1;
    const int high = hex_digit(piece[3]), low = hex_digit(piece[4]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

// Whether a blank follows something that is none.
bool holds_word_end(std::string_view piece) {
    bool blank = true;
    for (size_t at = 0; at < piece.size();) {
        const bool last = blank;
        blank = is_spm_blank(piece, at);
        if (blank && !last) return true;
        at += utf8_lead_bytes(piece[at]);
    }
    return false;
}

bool is_finite(float f) {
    uint32_t bits;
    std::memcpy(&bits, &f, sizeof bits);
    return (bits & 0x7f800000) != 0x7f800000;
}

}  // namespace

Status Tokenizer::check_header(std::string_view file, uint64_t at, size_t n_bytes) const {
    const TokenizerHeader& h = *header_;
    const auto offset = [&](const void* field) {
        return at + uint64_t(static_cast<const char*>(field) - reinterpret_cast<const char*>(&h));
    };
    const auto wrong = [&](std::string_view field, const void* where, uint64_t found,
                           std::string_view allowed) {
        return field_error(file, Text<64>("tokenizer ", field).view(), offset(where), found,
                           allowed);
    };
    if (uint32_t(h.kind) > uint32_t(Vocab::none)) {
        return wrong("kind", &h.kind, uint32_t(h.kind), "0 (bpe), 1 (spm), 2 (none)");
    }
    if (uint32_t(h.pre) >= format::kPreTokenizers) {
        const uint32_t last = format::kPreTokenizers - 1;
        return wrong(
            "pre", &h.pre, uint32_t(h.pre),
            Text<64>("0 to ", last, " (", pre_tokenizer_name(PreTokenizer(last)), ")").view());
    }
    const uint32_t max_vocab = h.kind == Vocab::none ? 0 : format::kMaxVocab;
    const uint32_t max_merges = h.kind == Vocab::bpe ? format::kMaxMerges : 0;
    if (h.n_vocab > max_vocab || (h.n_vocab == 0) != (h.kind == Vocab::none)) {
        return wrong("n_vocab", &h.n_vocab, h.n_vocab,
                     Text<48>(h.kind == Vocab::none ? 0u : 1u, " to ", max_vocab).view());
    }
    if (h.n_merges > max_merges) {
        return wrong("n_merges", &h.n_merges, h.n_merges, Text<48>("0 to ", max_merges).view());
    }
    const struct {
        std::string_view name;
        const uint32_t* id;
    } ids[] = {{"bos", &h.bos}, {"eos", &h.eos}, {"eot", &h.eot}, {"unk", &h.unk}};
    const Text<64> id_range("below n_vocab ", h.n_vocab, " or 0xffffffff");
    for (const auto& special : ids) {
        if (*special.id >= h.n_vocab && *special.id != kNoToken) {
            return wrong(special.name, special.id, *special.id, id_range.view());
        }
    }
    if (h.n_eog > format::kMaxEog) {
        return wrong("n_eog", &h.n_eog, h.n_eog, Text<48>("0 to ", format::kMaxEog).view());
    }
    for (uint32_t i = 0; i < format::kMaxEog; i++) {
        const bool good = i < h.n_eog ? h.eog[i] < h.n_vocab : h.eog[i] == kNoToken;
        if (!good) {
            return wrong(Text<32>("eog[", i, "]").view(), &h.eog[i], h.eog[i],
                         i < h.n_eog ? Text<48>("below n_vocab ", h.n_vocab).view()
                                     : std::string_view("0xffffffff past n_eog"));
        }
    }
    const struct {
        std::string_view name;
        const uint32_t* flag;
        uint32_t id;
    } flags[] = {{"add_bos", &h.add_bos, h.bos},
                 {"add_eos", &h.add_eos, h.eos},
                 {"add_space_prefix", &h.add_space_prefix, 0},
                 {"ignore_merges", &h.ignore_merges, 0}};
    for (const auto& f : flags) {
        if (*f.flag > 1 || (*f.flag == 1 && f.id == kNoToken)) {
            return wrong(f.name, f.flag, *f.flag,
                         f.id == kNoToken ? "0, as there is no such token" : "0 or 1");
        }
    }
    if (h.reserved != 0) return wrong("reserved", &h.reserved, h.reserved, "0");
    const uint64_t max_string_bytes = uint64_t{h.n_vocab} * format::kMaxTokenBytes;
    if (h.string_bytes > max_string_bytes || h.string_bytes > 0xffffffffu) {
        return wrong("string_bytes", &h.string_bytes, h.string_bytes,
                     Text<64>("up to ", max_string_bytes, " and below 4 GiB").view());
    }
    const TokenizerLayout layout(h);
    if (layout.end != n_bytes) {
        return field_error(file, "tokenizer extent size", at, n_bytes,
                           Text<64>(layout.end, " as the counts in its header say").view());
    }
    return {};
}

// Offsets, types and the pieces themselves.
Status Tokenizer::check_strings(std::string_view file, uint64_t at) const {
    const TokenizerHeader& h = *header_;
    const TokenizerLayout layout(h);
    if (string_offset_[0] != 0) {
        return field_error(file, "tokenizer string_offset[0]", at + layout.string_offset,
                           string_offset_[0], "0");
    }
    for (uint32_t id = 0; id < h.n_vocab; id++) {
        const uint32_t begin = string_offset_[id], end = string_offset_[id + 1];
        if (end < begin || end - begin > format::kMaxTokenBytes || end > h.string_bytes) {
            return field_error(file, Text<64>("tokenizer string_offset[", id + 1, "]").view(),
                               at + layout.string_offset + 4 * (uint64_t{id} + 1), end,
                               Text<96>(begin, " to ", begin, " + ", format::kMaxTokenBytes,
                                        " within ", h.string_bytes)
                                   .view());
        }
        const TokenType kind = type(id);
        const bool known = kind >= TokenType::normal && kind <= TokenType::byte;
        if (!known || (strips_right(id) && !is_special(kind))) {
            return field_error(file, Text<64>("tokenizer type[", id, "]").view(),
                               at + layout.type + id, Hex{types_[id]},
                               "1 to 6, and 0x80 added for special tokens that strip");
        }
        const std::string_view text = piece(id);
        const auto wrong = [&](const auto& found, std::string_view allowed) {
            return field_error(file, Text<64>("tokenizer piece ", id).view(),
                               at + layout.strings + begin, found, allowed);
        };
        if (text.empty()) return wrong("no bytes", "at least one");
        if (is_special(kind) && text.size() > kMaxSpecialBytes) {
            return wrong(Text<32>(text.size(), " bytes").view(),
                         Text<64>("up to ", kMaxSpecialBytes, " bytes for a special token").view());
        }
        if ((h.kind == Vocab::spm || is_special(kind)) && !is_utf8(text)) {
            return wrong(Quoted{text}, "UTF-8");
        }
        if (h.kind == Vocab::spm && kind == TokenType::byte && byte_of_piece(text) < 0) {
            return wrong(Quoted{text}, "<0xNN> for a byte token");
        }
    }
    if (string_offset_[h.n_vocab] != h.string_bytes) {
        return field_error(file, Text<64>("tokenizer string_offset[", h.n_vocab, "]").view(),
                           at + layout.string_offset + 4 * uint64_t{h.n_vocab},
                           string_offset_[h.n_vocab],
                           Text<48>("string_bytes ", h.string_bytes).view());
    }
    return {};
}

Status Tokenizer::check_arrays(std::string_view file, uint64_t at) const {
    const TokenizerHeader& h = *header_;
    const TokenizerLayout layout(h);
    // n entries in strictly ascending order of (text, id) are a permutation.
    for (uint32_t i = 0; i < h.n_vocab; i++) {
        const auto wrong = [&](std::string_view allowed) {
            return field_error(file, Text<64>("tokenizer by_text[", i, "]").view(),
                               at + layout.by_text + 4 * uint64_t{i}, by_text_[i], allowed);
        };
        if (by_text_[i] >= h.n_vocab) return wrong(Text<48>("below n_vocab ", h.n_vocab).view());
        if (i == 0) continue;
        const uint32_t last = by_text_[i - 1];
        const std::string_view a = piece(last), b = piece(by_text_[i]);
        if (less(b, a) || (same(a, b) && by_text_[i] <= last)) {
            return wrong(
                Text<64>("a piece after that of ", last, ", or the same and a higher id").view());
        }
        // One for a byte alphabet's word and one special: more would only slow look-ups down.
        if (i >= 2 && same(piece(by_text_[i - 2]), b)) {
            return wrong("at most two tokens of one text");
        }
    }
    for (uint32_t id = 0; h.kind == Vocab::spm && id < h.n_vocab; id++) {
        if (!is_finite(score_[id])) {
            return field_error(file, Text<64>("tokenizer score[", id, "]").view(),
                               at + layout.score + 4 * uint64_t{id}, "not a number or infinity",
                               "a finite number");
        }
    }
    for (uint32_t i = 0; i < h.n_merges; i++) {
        const format::MergeEntry& m = merges_[i];
        const uint64_t offset = at + layout.merges + sizeof(m) * uint64_t{i};
        const struct {
            std::string_view name;
            uint32_t value, limit;
        } fields[] = {{"left", m.left, h.n_vocab},
                      {"right", m.right, h.n_vocab},
                      {"rank", m.rank, format::kMaxMerges},
                      {"merged", m.merged, h.n_vocab}};
        for (size_t f = 0; f < 4; f++) {
            if (fields[f].value >= fields[f].limit) {
                return field_error(
                    file, Text<64>("tokenizer merges[", i, "].", fields[f].name).view(),
                    offset + 4 * f, fields[f].value, Text<32>("below ", fields[f].limit).view());
            }
        }
        if (i == 0) continue;
        const format::MergeEntry& last = merges_[i - 1];
        if (m.left < last.left || (m.left == last.left && m.right <= last.right)) {
            return field_error(file, Text<64>("tokenizer merges[", i, "]").view(), offset,
                               Text<48>("(", m.left, ", ", m.right, ")").view(),
                               Text<64>("a pair above (", last.left, ", ", last.right, ")").view());
        }
    }
    return {};
}

Result<Tokenizer> Tokenizer::open(std::string_view file, uint64_t extent_offset,
                                  std::span<const uint8_t> bytes) {
    if (bytes.size() < sizeof(TokenizerHeader)) {
        return field_error(file, "tokenizer extent size", extent_offset, bytes.size(),
                           Text<48>("at least ", sizeof(TokenizerHeader)).view());
    }
    AXIOM_CHECK(reinterpret_cast<uintptr_t>(bytes.data()) % 8 == 0);
    Tokenizer t;
    t.header_ = reinterpret_cast<const TokenizerHeader*>(bytes.data());
    if (Status s = t.check_header(file, extent_offset, bytes.size()); !s.ok()) return s;

    const TokenizerLayout layout(*t.header_);
    t.string_offset_ = reinterpret_cast<const uint32_t*>(bytes.data() + layout.string_offset);
    t.by_text_ = reinterpret_cast<const uint32_t*>(bytes.data() + layout.by_text);
    t.score_ = reinterpret_cast<const float*>(bytes.data() + layout.score);
    t.types_ = bytes.data() + layout.type;
    t.merges_ = reinterpret_cast<const format::MergeEntry*>(bytes.data() + layout.merges);
    t.strings_ = reinterpret_cast<const char*>(bytes.data() + layout.strings);
    if (Status s = t.check_strings(file, extent_offset); !s.ok()) return s;
    if (Status s = t.check_arrays(file, extent_offset); !s.ok()) return s;
    t.index();
    return t;
}

void Tokenizer::index() {
    const TokenizerHeader& h = *header_;
    words_stand_alone_ = h.kind == Vocab::spm;
    uint32_t count[256] = {};
    for (uint32_t id = 0; id < h.n_vocab; id++) {
        const std::string_view text = piece(id);
        words_stand_alone_ = words_stand_alone_ && !holds_word_end(text);
        count[uint8_t(text[0])]++;
        if (is_special(type(id))) {
            begins_special_[uint8_t(text[0])] = true;
            if (text.size() > max_special_bytes_) max_special_bytes_ = text.size();
        }
    }
    for (size_t b = 0; b < 256; b++) by_first_byte_[b + 1] = by_first_byte_[b] + count[b];

    for (uint32_t b = 0; b < 256; b++) {
        const char raw = char(b);
        if (h.kind == Vocab::spm) {
            const Text<8> escaped("<0x", b < 16 ? "0" : "", HexDigits{b}, ">");
            char upper[6];
            for (size_t i = 0; i < 6; i++) {
                const char c = escaped.view()[i];
                upper[i] = i >= 3 && c >= 'a' && c <= 'f' ? char(c - 0x20) : c;
            }
            byte_token_[b] = find({upper, 6});
            if (byte_token_[b] == kNoToken) byte_token_[b] = find({&raw, 1});
        } else {
            byte_token_[b] = find_word({&raw, 1});
        }
    }
}

std::string_view Tokenizer::piece(TokenId id) const {
    if (id >= n_vocab()) return {};
    return {strings_ + string_offset_[id], string_offset_[id + 1] - string_offset_[id]};
}

Tokenizer::TextRange Tokenizer::find_all(std::string_view text) const {
    if (text.empty() || text.size() > format::kMaxTokenBytes) return {0, 0};
    uint32_t low = by_first_byte_[uint8_t(text[0])], high = by_first_byte_[uint8_t(text[0]) + 1];
    const uint32_t limit = high;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (less(piece(by_text_[middle]), text)) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    uint32_t end = low;
    while (end < limit && same(piece(by_text_[end]), text)) end++;
    return {low, end};
}

TokenId Tokenizer::find(std::string_view text) const {
    const TextRange range = find_all(text);
    return range.begin < range.end ? by_text_[range.begin] : kNoToken;
}

// Words are spelt in the byte alphabet, special tokens as they are: the two meet only where every
// byte is its own letter, that is in printable ASCII.
bool Tokenizer::found_in_words(TokenId id) const {
    const TokenType kind = type(id);
    if (kind == TokenType::normal || kind == TokenType::unused) return true;
    if (kind == TokenType::byte) return false;
    for (const char c : piece(id)) {
        if (c < 0x21 || c > 0x7e) return false;
    }
    return true;
}

TokenId Tokenizer::find_word(std::string_view bytes) const {
    const TextRange range = find_all(bytes);
    for (uint32_t i = range.begin; i < range.end; i++) {
        if (found_in_words(by_text_[i])) return by_text_[i];
    }
    return kNoToken;
}

TokenId Tokenizer::find_special(std::string_view text, bool parse) const {
    const TextRange range = find_all(text);
    for (uint32_t i = range.begin; i < range.end; i++) {
        const TokenType kind = type(by_text_[i]);
        if (parse ? is_special(kind) : kind == TokenType::user_defined) return by_text_[i];
    }
    return kNoToken;
}

bool Tokenizer::ends_generation(TokenId id) const {
    for (uint32_t i = 0; header_ && i < header_->n_eog; i++) {
        if (header_->eog[i] == id) return true;
    }
    return false;
}

std::string_view Tokenizer::decode(TokenId id, std::span<char> buffer, bool show_control) const {
    if (id >= n_vocab()) return {};
    const std::string_view text = piece(id);
    const bool spm = header_->kind == Vocab::spm;
    switch (type(id)) {
        case TokenType::control:
        case TokenType::unknown:
            return show_control ? text : std::string_view();
        case TokenType::unused:
            return {};
        case TokenType::user_defined:
            return text;
        case TokenType::byte:
            if (!spm) return text;
            buffer[0] = char(byte_of_piece(text));
            return {buffer.data(), 1};
        case TokenType::normal:
            break;
    }
    if (!spm) return text;
    size_t n = 0;
    for (size_t i = 0; i < text.size();) {
        if (is_spm_blank(text, i)) {
            buffer[n++] = ' ';
            i += kSpmBlank.size();
        } else {
            buffer[n++] = text[i++];
        }
    }
    return {buffer.data(), n};
}

}  // namespace axiom
