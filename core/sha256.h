// SPDX-License-Identifier: MIT
// SHA-256 (FIPS 180-4), streaming, and the Merkle tree hash of RFC 9162, section 2.1.1. What a
// signature or a TPM vouches for; xxh64 of core/hash.h is for accidents.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "core/cpu_features.h"
#include "core/fmt.h"
#include "core/sha256_kernels.h"

namespace axiom {

using Sha256Digest = std::array<uint8_t, 32>;

// What hashes from here on, by whatever hashes: the CPU's instructions where it has them. Digests are the
// same; before the first call it is plain code. Not while another thread hashes.
const Sha256Kernels& choose_sha256(const CpuFeatures& features);

// 64 hexadecimal digits, and back. False where they are none, or another number of them.
[[nodiscard]] bool parse_digest(std::string_view digits, Sha256Digest* out);
Text<64> digest_text(const Sha256Digest& digest);

class Sha256 {
  public:
    Sha256() { reset(); }
    void reset();
    void update(const void* data, size_t n_bytes);
    Sha256Digest digest() const;  // of everything so far; update() may go on afterwards

    static Sha256Digest of(const void* data, size_t n_bytes);

  private:
    uint32_t h_[8];
    uint64_t total_bytes_;
    uint8_t pending_[kSha256BlockBytes];
    uint32_t n_pending_;
};

// Leaves and nodes are told apart by their first byte: leaf = SHA-256(0x00 | data), node =
// SHA-256(0x01 | left | right), the left side of n > 1 leaves holding the largest power of two
// below n.
Sha256Digest merkle_node(const Sha256Digest& left, const Sha256Digest& right);
// A leaf being fed in parts.
class MerkleLeaf {
  public:
    MerkleLeaf() { reset(); }
    void reset() {
        hash_.reset();
        hash_.update("\0", 1);
    }
    void update(const void* data, size_t n_bytes) { hash_.update(data, n_bytes); }
    Sha256Digest digest() const { return hash_.digest(); }

  private:
    Sha256 hash_;
};
// The root over leaves given in order, one at a time: at most one node a level is kept.
class MerkleTree {
  public:
    void add(const Sha256Digest& leaf);
    Sha256Digest root() const;  // at least one leaf

  private:
    Sha256Digest nodes_[64];  // nodes_[i]: of 2^i leaves, present where bit i of n_leaves_ is set
    uint64_t n_leaves_ = 0;
};

}  // namespace axiom
