// SPDX-License-Identifier: MIT
#include "model/chat/conversation.h"

#include <algorithm>
#include <cstring>

namespace axiom {

Conversation::Conversation(const Texts& texts, const Room& room) : texts_(texts), room_(room) {
    room_.messages[0] = {ChatRole::system, {room_.text.data(), 0}};
}

// Gives a message another length. Its text is kept as far as it fits, later ones move.
bool Conversation::resize(size_t i_message, size_t n_bytes) {
    std::string_view& content = room_.messages[i_message].content;
    const size_t old = content.size();
    if (n_bytes > old && n_bytes - old > room_.text.size() - n_bytes_) return false;
    char* const end = room_.text.data() + (content.data() - room_.text.data()) + old;
    const size_t n_after = size_t(room_.text.data() + n_bytes_ - end);
    memmove(end - old + n_bytes, end, n_after);
    content = {end - old, n_bytes};
    for (size_t i = i_message + 1; i < n_; i++) {
        std::string_view& later = room_.messages[i].content;
        later = {later.data() - old + n_bytes, later.size()};
    }
    n_bytes_ = n_bytes_ - old + n_bytes;
    return true;
}

bool Conversation::set_system(std::string_view text) {
    if (!resize(0, text.size())) return false;
    std::copy(text.begin(), text.end(), room_.text.data());
    return true;
}

bool Conversation::add(ChatRole role, std::string_view text) {
    if (n_ == room_.messages.size() || text.size() > room_.text.size() - n_bytes_) return false;
    room_.messages[n_++] = {role, {room_.text.data() + n_bytes_, 0}};
    return append(text);
}

bool Conversation::append(std::string_view text) {
    std::string_view& content = room_.messages[n_ - 1].content;
    const size_t n = content.size();
    if (!resize(n_ - 1, n + text.size())) return false;
    std::copy(text.begin(), text.end(), room_.text.data() + n_bytes_ - text.size());
    return true;
}

void Conversation::remove_last() {
    AXIOM_CHECK(n_ > 1);
    n_bytes_ -= room_.messages[--n_].content.size();
}

bool Conversation::drop_oldest_turn() {
    constexpr size_t kFirst = 1, kTurn = 2;
    if (n_ <= kFirst + kTurn) return false;
    for (size_t i = kFirst; i < kFirst + kTurn; i++) AXIOM_CHECK(resize(i, 0));
    n_ -= kTurn;
    memmove(&room_.messages[kFirst], &room_.messages[kFirst + kTurn],
            (n_ - kFirst) * sizeof(ChatMessage));
    return true;
}

void Conversation::clear() {
    n_ = 1;
    n_bytes_ = system().size();
}

Result<std::span<const TokenId>> Conversation::encode(const Options& options) {
    const Result<size_t> n = encode_messages(texts_, options, room_.messages.first(n_),
                                             {room_.segments, room_.tokens, room_.encoder});
    if (!n.ok()) return n.status();
    return std::span<const TokenId>(room_.tokens.first(n.value()));
}

}  // namespace axiom
