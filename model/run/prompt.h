// SPDX-License-Identifier: MIT
// Options and a model's texts -> the tokens to go on from: tokenizer, chat template, limits.
// Must not know: engines, or what becomes of the tokens.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"
#include "model/report/options.h"
#include "model/text/chat.h"
#include "model/text/tokenizer.h"
#include "model/weights/weights.h"

namespace axiom {

// The two extents that are opened, not just viewed.
struct Texts {
    Tokenizer tokenizer;
    ChatTemplate chat;
};
Result<Texts> open_texts(const Weights& weights);
// Without a vocabulary there is no text to continue.
Status check_vocabulary(const Weights& weights, const Texts& texts);

// Upper bound of the prompt's bytes with everything a template adds; of a prompt of n_text_bytes, with
// the options' system message.
uint64_t prompt_bytes(const Weights& weights, const Options& options);
uint64_t prompt_bytes(const Weights& weights, const Options& options, uint64_t n_text_bytes);
// What Tokenizer::encode() may need for n_bytes: a wrong byte becomes U+FFFD, which can be three
// byte tokens.
constexpr uint64_t max_tokens(uint64_t n_bytes) {
    return 4 * n_bytes + 8;
}

// What it takes to encode n_bytes of text at most, with what a template adds, of n messages at most.
struct EncodeRoom {
    std::span<Tokenizer::Segment> segments;  // ChatText::max_segments(n)
    std::span<TokenId> tokens;               // max_tokens(n_bytes)
    std::span<uint8_t> scratch;              // Tokenizer::scratch_bytes(n_bytes)
};
// The tokens of a conversation, template applied, up to where the assistant goes on: a system message, which
// may be empty, then user (assistant user)*. With --raw, or without a template, users' and assistants' texts
// one after another. no_memory when that is more than there is room for.
Result<size_t> encode_messages(const Texts& texts, const Options& options,
                               std::span<const ChatMessage> messages, const EncodeRoom& room);

// Whether options and template make a prompt that has tokens: of a conversation -p may be empty.
inline bool has_prompt_tokens(const Options& options, const Texts& texts) {
    return !options.prompt.empty() || (!options.raw && texts.chat.present());
}

// The prompt's tokens, template applied; refuses what does not leave room for one token more in a
// context of n_ctx. `out` has max_tokens(), `scratch` Tokenizer::scratch_bytes() of prompt_bytes().
// `shown` is what messages call the prompt.
Result<size_t> encode_prompt(const Weights& weights, const Texts& texts, const Options& options,
                             uint64_t n_ctx, std::span<TokenId> out, std::span<uint8_t> scratch,
                             std::string_view shown = "option -p");

}  // namespace axiom
