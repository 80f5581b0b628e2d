// SPDX-License-Identifier: MIT
// XXH64 (Yann Collet, xxHash specification 0.1.1), streaming. Used for extent checksums and for
// the logits hash. It detects corruption; it is not a defence against a forger.
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom {

class Xxh64 {
  public:
    explicit Xxh64(uint64_t seed = 0) { reset(seed); }
    void reset(uint64_t seed = 0);
    void update(const void* data, size_t n_bytes);
    uint64_t digest() const;  // of everything so far; update() may go on afterwards

    static uint64_t of(const void* data, size_t n_bytes, uint64_t seed = 0);

  private:
    uint64_t lanes_[4];
    uint64_t total_bytes_;
    uint8_t pending_[32];
    uint32_t n_pending_;
};

}  // namespace axiom
