// SPDX-License-Identifier: MIT
#include "core/sha256.h"

#include <bit>
#include <cstring>

#include "core/sha256_kernels.h"
#include "core/status.h"

namespace axiom {
namespace {

constexpr uint32_t kInitial[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

uint32_t load_be(const uint8_t* p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return __builtin_bswap32(v);
}

void store_be(uint8_t* p, uint32_t v) {
    v = __builtin_bswap32(v);
    memcpy(p, &v, sizeof v);
}

void block(uint32_t state[8], const uint8_t* data) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = load_be(data + 4 * i);
    for (int i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
               (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        const uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                            ((e & f) ^ (~e & g)) + kSha256Round[i] + w[i];
        const uint32_t t2 =
            (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const uint32_t now[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) state[i] += now[i];
}

void blocks(uint32_t state[8], const uint8_t* data, size_t n_blocks) {
    for (; n_blocks != 0; n_blocks--, data += kSha256BlockBytes) block(state, data);
}

constinit const Sha256Kernels* chosen = &kSha256PlainKernels;

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

constinit const Sha256Kernels kSha256PlainKernels = {"plain", blocks};

const Sha256Kernels& choose_sha256(const CpuFeatures& features) {
    chosen = features.sha ? &kSha256NiKernels : &kSha256PlainKernels;
    return *chosen;
}

bool parse_digest(std::string_view digits, Sha256Digest* out) {
    if (digits.size() != 2 * out->size()) return false;
    for (size_t i = 0; i < out->size(); i++) {
        const int high = hex_value(digits[2 * i]), low = hex_value(digits[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        (*out)[i] = uint8_t(high << 4 | low);
    }
    return true;
}

Text<64> digest_text(const Sha256Digest& digest) {
    char digits[64];
    Writer out(digits, sizeof digits);
    for (const uint8_t byte : digest) out.put(HexDigits{byte, 2});
    return Text<64>(out.view());
}

void Sha256::reset() {
    memcpy(h_, kInitial, sizeof h_);
    total_bytes_ = 0;
    n_pending_ = 0;
}

void Sha256::update(const void* data, size_t n_bytes) {
    const uint8_t* p = static_cast<const uint8_t*>(data);
    total_bytes_ += n_bytes;
    while (n_bytes != 0) {
        if (n_pending_ == 0 && n_bytes >= kSha256BlockBytes) {
            const size_t n_blocks = n_bytes / kSha256BlockBytes;
            chosen->blocks(h_, p, n_blocks);
            p += n_blocks * kSha256BlockBytes, n_bytes %= kSha256BlockBytes;
            continue;
        }
        const size_t room = sizeof pending_ - n_pending_;
        const size_t n = n_bytes < room ? n_bytes : room;
        memcpy(pending_ + n_pending_, p, n);
        n_pending_ += uint32_t(n);
        p += n, n_bytes -= n;
        if (n_pending_ == sizeof pending_) {
            chosen->blocks(h_, pending_, 1);
            n_pending_ = 0;
        }
    }
}

Sha256Digest Sha256::digest() const {
    Sha256 last = *this;
    const uint64_t n_bits = total_bytes_ * 8;
    const uint8_t one = 0x80, zero = 0;
    last.update(&one, 1);
    while (last.n_pending_ != 56) last.update(&zero, 1);
    uint8_t length[8];
    store_be(length, uint32_t(n_bits >> 32));
    store_be(length + 4, uint32_t(n_bits));
    last.update(length, sizeof length);
    Sha256Digest out;
    for (int i = 0; i < 8; i++) store_be(out.data() + 4 * i, last.h_[i]);
    return out;
}

Sha256Digest Sha256::of(const void* data, size_t n_bytes) {
    Sha256 hash;
    hash.update(data, n_bytes);
    return hash.digest();
}

Sha256Digest merkle_node(const Sha256Digest& left, const Sha256Digest& right) {
    Sha256 hash;
    hash.update("\1", 1);
    hash.update(left.data(), left.size());
    hash.update(right.data(), right.size());
    return hash.digest();
}

void MerkleTree::add(const Sha256Digest& leaf) {
    Sha256Digest node = leaf;
    size_t level = 0;
    for (; n_leaves_ >> level & 1; level++) node = merkle_node(nodes_[level], node);
    nodes_[level] = node;
    n_leaves_++;
}

Sha256Digest MerkleTree::root() const {
    AXIOM_CHECK(n_leaves_ != 0);
    size_t level = size_t(std::countr_zero(n_leaves_));
    Sha256Digest node = nodes_[level];
    for (level++; level < 64; level++) {
        if (n_leaves_ >> level & 1) node = merkle_node(nodes_[level], node);
    }
    return node;
}

}  // namespace axiom
