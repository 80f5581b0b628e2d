// SPDX-License-Identifier: MIT
#include "model/run/prompt.h"

namespace axiom {

Result<Texts> open_texts(const Weights& weights) {
    const std::span<const format::Extent> extents = weights.layout.extents;
    Result<Tokenizer> tokenizer =
        Tokenizer::open(weights.file, extents[1].offset, weights.tokenizer);
    if (!tokenizer.ok()) return tokenizer.status();
    if (Status s = weights.check_vocabulary(tokenizer.value()); !s.ok()) return s;
    Result<ChatTemplate> chat = ChatTemplate::open(weights.file, extents[2].offset, weights.chat);
    if (!chat.ok()) return chat.status();
    return Texts{tokenizer.value(), chat.value()};
}

uint64_t prompt_bytes(const Weights& weights, const Options& options) {
    return options.prompt.size() + options.system_prompt.size() +
           (options.raw ? 0 : weights.chat.size());
}

Result<size_t> encode_prompt(const Weights& weights, const Texts& texts, const Options& options,
                             uint64_t n_ctx, std::span<TokenId> out, std::span<uint8_t> scratch) {
    const Tokenizer& tokenizer = texts.tokenizer;
    const ChatTemplate& chat = texts.chat;
    if (tokenizer.header().kind == format::Vocab::none) {
        return error(Code::unsupported, weights.file,
                     ": no vocabulary in this model, so there is no text to continue");
    }
    ChatTemplate::Segments segments;
    size_t n_segments = 1;
    if (options.raw || !chat.present()) {
        segments[0] = {options.prompt, Tokenizer::Specials::parse};
    } else {
        const bool own = options.system_prompt.empty() && options.default_system;
        n_segments = chat.expand(own ? chat.default_system() : options.system_prompt,
                                 options.prompt, segments);
    }
    Result<size_t> n = tokenizer.encode(std::span(segments).first(n_segments), true, out, scratch);
    if (!n.ok()) return n;
    if (n.value() == 0) {
        const TokenId bos = tokenizer.header().bos;
        if (bos == format::kNoToken) {
            return error(Code::bad_option,
                         "option -p: found an empty prompt, allowed at least one token");
        }
        out[0] = bos;
        n.value() = 1;
    }
    if (n.value() >= n_ctx) {
        return error(Code::bad_option, "option -p: the prompt has ", uint64_t(n.value()),
                     " tokens, allowed at most ", n_ctx - 1, " (the context of ", n_ctx,
                     " less one to generate)");
    }
    return n;
}

}  // namespace axiom
