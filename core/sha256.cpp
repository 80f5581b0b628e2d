// SPDX-License-Identifier: MIT
#include "core/sha256.h"

#include <bit>
#include <cstring>

#include "core/status.h"

namespace axiom {
namespace {

constexpr uint32_t kRound[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

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

}  // namespace

void Sha256::reset() {
    memcpy(h_, kInitial, sizeof h_);
    total_bytes_ = 0;
    n_pending_ = 0;
}

void Sha256::block(const uint8_t* data) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) w[i] = load_be(data + 4 * i);
    for (int i = 16; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) +
               (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
    }
    uint32_t a = h_[0], b = h_[1], c = h_[2], d = h_[3];
    uint32_t e = h_[4], f = h_[5], g = h_[6], h = h_[7];
    for (int i = 0; i < 64; i++) {
        const uint32_t t1 = h + (std::rotr(e, 6) ^ std::rotr(e, 11) ^ std::rotr(e, 25)) +
                            ((e & f) ^ (~e & g)) + kRound[i] + w[i];
        const uint32_t t2 =
            (std::rotr(a, 2) ^ std::rotr(a, 13) ^ std::rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
    }
    const uint32_t now[8] = {a, b, c, d, e, f, g, h};
    for (int i = 0; i < 8; i++) h_[i] += now[i];
}

void Sha256::update(const void* data, size_t n_bytes) {
    const uint8_t* p = static_cast<const uint8_t*>(data);
    total_bytes_ += n_bytes;
    while (n_bytes != 0) {
        if (n_pending_ == 0 && n_bytes >= sizeof pending_) {
            block(p);
            p += sizeof pending_, n_bytes -= sizeof pending_;
            continue;
        }
        const size_t room = sizeof pending_ - n_pending_;
        const size_t n = n_bytes < room ? n_bytes : room;
        memcpy(pending_ + n_pending_, p, n);
        n_pending_ += uint32_t(n);
        p += n, n_bytes -= n;
        if (n_pending_ == sizeof pending_) {
            block(pending_);
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
