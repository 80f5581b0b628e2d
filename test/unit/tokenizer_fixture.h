// SPDX-License-Identifier: MIT
// A tokenizer as the engine sees it: a GGUF's keys, packed into an extent and opened.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/text/tokenizer.h"
#include "packer/gguf.h"
#include "packer/sections.h"
#include "test/unit/catch.h"

namespace axiom {

inline std::span<const uint8_t> bytes_of(const auto& container) {
    return {reinterpret_cast<const uint8_t*>(container.data()),
            container.size() * sizeof(container[0])};
}

// Bytes at an 8-byte aligned address, as extents have.
class AlignedBytes {
  public:
    AlignedBytes() = default;
    explicit AlignedBytes(std::span<const uint8_t> bytes)
        : words_((bytes.size() + 7) / 8 + 1), n_bytes_(bytes.size()) {
        if (n_bytes_) std::memcpy(words_.data(), bytes.data(), n_bytes_);
    }
    std::span<const uint8_t> get() const {
        return {reinterpret_cast<const uint8_t*>(words_.data()), n_bytes_};
    }

  private:
    std::vector<uint64_t> words_ = std::vector<uint64_t>(1);
    size_t n_bytes_ = 0;
};

inline std::vector<uint8_t> tokenizer_section(std::string_view name,
                                              std::span<const uint8_t> gguf) {
    const auto file = gguf::File::parse(name, gguf);
    INFO(file.status().text());
    REQUIRE(file.ok());
    const auto section = packer::build_tokenizer_section(file.value());
    INFO(section.status().text());
    REQUIRE(section.ok());
    return section.value();
}

struct PackedTokenizer {
    PackedTokenizer(std::string_view name, std::span<const uint8_t> gguf)
        : extent(tokenizer_section(name, gguf)) {
        const auto opened = Tokenizer::open(name, 0x1000, extent.get());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        tokenizer = opened.value();
    }

    std::vector<TokenId> encode(std::span<const Tokenizer::Segment> segments,
                                bool add_bos = false) const {
        size_t n_bytes = 0;
        for (const auto& s : segments) n_bytes += s.text.size();
        std::vector<uint64_t> scratch(Tokenizer::scratch_bytes(n_bytes) / 8 + 1);
        std::vector<TokenId> ids(4 * n_bytes + 5);
        const auto n =
            tokenizer.encode(segments, add_bos, ids,
                             {reinterpret_cast<uint8_t*>(scratch.data()), 8 * scratch.size()});
        INFO(n.status().text());
        REQUIRE(n.ok());
        ids.resize(n.value());
        return ids;
    }
    std::vector<TokenId> encode(std::string_view text,
                                Tokenizer::Specials specials = Tokenizer::Specials::parse) const {
        const Tokenizer::Segment segment{text, specials};
        return encode({&segment, 1});
    }
    std::string decode(const std::vector<TokenId>& ids, bool show_control = false) const {
        std::string text;
        char buffer[format::kMaxTokenBytes];
        for (const TokenId id : ids) text += tokenizer.decode(id, buffer, show_control);
        return text;
    }

    AlignedBytes extent;
    Tokenizer tokenizer;
};

}  // namespace axiom
