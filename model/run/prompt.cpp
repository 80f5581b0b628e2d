// SPDX-License-Identifier: MIT
#include "model/run/prompt.h"

#include <iterator>

namespace axiom {

using format::ExtentKind;

namespace {

Result<ChatTemplate> open_chat(const Weights& weights) {
    return ChatTemplate::open(weights.file, weights.layout.extent(ExtentKind::chat).offset,
                              weights.chat);
}

}  // namespace

Result<Texts> open_texts(const Weights& weights) {
    Result<Tokenizer> tokenizer = Tokenizer::open(
        weights.file, weights.layout.extent(ExtentKind::tokenizer).offset, weights.tokenizer);
    if (!tokenizer.ok()) return tokenizer.status();
    if (Status s = weights.check_vocabulary(tokenizer.value()); !s.ok()) return s;
    Result<ChatTemplate> chat = open_chat(weights);
    if (!chat.ok()) return chat.status();
    return Texts{tokenizer.value(), chat.value()};
}

Status check_vocabulary(const Weights& weights, const Texts& texts) {
    if (texts.tokenizer.header().kind != format::Vocab::none) return {};
    return error(Code::unsupported, weights.file,
                 ": no vocabulary in this model, so there is no text to continue");
}

uint64_t prompt_bytes(const Weights& weights, const Options& options) {
    return prompt_bytes(weights, options, options.prompt.size());
}

uint64_t prompt_bytes(const Weights& weights, const Options& options, uint64_t n_text_bytes) {
    const Result<ChatTemplate> chat = open_chat(weights);
    const bool added = !options.raw && chat.ok() && chat.value().present();
    return n_text_bytes + options.system_prompt.size() +
           (added ? chat.value().max_added_bytes(2) : 0);
}

Result<size_t> encode_messages(const Texts& texts, const Options& options,
                               std::span<const ChatMessage> messages, const EncodeRoom& room) {
    const auto encode = [&](std::span<const Tokenizer::Segment> segments) {
        return texts.tokenizer.encode(segments, true, room.tokens, room.scratch);
    };
    if (!options.raw && texts.chat.present()) {
        ChatText text(room.segments);
        const ChatStyle style{options.reasoning, options.default_system, options.date};
        if (Status s = texts.chat.expand(messages, style, text); !s.ok()) return s;
        return encode(text.segments());
    }
    size_t n = 0;
    for (const ChatMessage& message : messages.subspan(1)) {
        const bool is_user = message.role == ChatRole::user;
        room.segments[n++] = {message.content,
                              is_user ? Tokenizer::Specials::parse : Tokenizer::Specials::literal};
    }
    return encode(room.segments.first(n));
}

Result<size_t> encode_prompt(const Weights& weights, const Texts& texts, const Options& options,
                             uint64_t n_ctx, std::span<TokenId> out, std::span<uint8_t> scratch,
                             std::string_view shown) {
    if (Status s = check_vocabulary(weights, texts); !s.ok()) return s;
    const ChatMessage messages[] = {{ChatRole::system, options.system_prompt},
                                    {ChatRole::user, options.prompt}};
    Tokenizer::Segment segments[ChatText::max_segments(std::size(messages))];
    Result<size_t> n = encode_messages(texts, options, messages, {segments, out, scratch});
    if (!n.ok()) return n;
    if (n.value() == 0) {
        const TokenId bos = texts.tokenizer.header().bos;
        if (bos == format::kNoToken) {
            return error(Code::bad_option, shown,
                         ": found an empty prompt, allowed at least one token");
        }
        out[0] = bos;
        n.value() = 1;
    }
    if (n.value() >= n_ctx) {
        return error(Code::bad_option, shown, ": the prompt has ", uint64_t(n.value()),
                     " tokens, allowed at most ", n_ctx - 1, " (the context of ", n_ctx,
                     " less one to generate)");
    }
    return n;
}

}  // namespace axiom
