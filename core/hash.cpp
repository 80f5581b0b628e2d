// SPDX-License-Identifier: MIT
#include "core/hash.h"

#include <bit>
#include <cstring>

namespace axiom {
namespace {

// The five primes of the specification.
constexpr uint64_t kP1 = 0x9E3779B185EBCA87u;
constexpr uint64_t kP2 = 0xC2B2AE3D27D4EB4Fu;
constexpr uint64_t kP3 = 0x165667B19E3779F9u;
constexpr uint64_t kP4 = 0x85EBCA77C2B2AE63u;
constexpr uint64_t kP5 = 0x27D4EB2F165667C5u;

uint64_t load64(const uint8_t* p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

uint64_t round(uint64_t lane, uint64_t input) {
    return std::rotl(lane + input * kP2, 31) * kP1;
}

uint64_t merge(uint64_t hash, uint64_t lane) {
    return (hash ^ round(0, lane)) * kP1 + kP4;
}

}  // namespace

void Xxh64::reset(uint64_t seed) {
    lanes_[0] = seed + kP1 + kP2;
    lanes_[1] = seed + kP2;
    lanes_[2] = seed;
    lanes_[3] = seed - kP1;
    total_bytes_ = 0;
    n_pending_ = 0;
}

void Xxh64::update(const void* data, size_t n_bytes) {
    const uint8_t* p = static_cast<const uint8_t*>(data);
    const uint8_t* const end = p + n_bytes;
    total_bytes_ += n_bytes;
    if (n_pending_ != 0) {
        const size_t room = sizeof pending_ - n_pending_;
        const size_t n = n_bytes < room ? n_bytes : room;
        memcpy(pending_ + n_pending_, p, n);
        n_pending_ += uint32_t(n);
        p += n;
        if (n_pending_ < sizeof pending_) return;
        for (int i = 0; i < 4; i++) lanes_[i] = round(lanes_[i], load64(pending_ + 8 * i));
        n_pending_ = 0;
    }
    uint64_t a = lanes_[0], b = lanes_[1], c = lanes_[2], d = lanes_[3];
    for (; end - p >= 32; p += 32) {
        a = round(a, load64(p));
        b = round(b, load64(p + 8));
        c = round(c, load64(p + 16));
        d = round(d, load64(p + 24));
    }
    lanes_[0] = a, lanes_[1] = b, lanes_[2] = c, lanes_[3] = d;
    if (p != end) {
        n_pending_ = uint32_t(end - p);
        memcpy(pending_, p, n_pending_);
    }
}

uint64_t Xxh64::digest() const {
    uint64_t hash;
    if (total_bytes_ >= 32) {
        hash = std::rotl(lanes_[0], 1) + std::rotl(lanes_[1], 7) + std::rotl(lanes_[2], 12) +
               std::rotl(lanes_[3], 18);
        for (const uint64_t lane : lanes_) hash = merge(hash, lane);
    } else {
        hash = lanes_[2] + kP5;  // lane 2 still holds the seed
    }
    hash += total_bytes_;

    const uint8_t* p = pending_;
    const uint8_t* const end = pending_ + n_pending_;
    for (; end - p >= 8; p += 8) hash = std::rotl(hash ^ round(0, load64(p)), 27) * kP1 + kP4;
    if (end - p >= 4) {
        uint32_t v;
        memcpy(&v, p, sizeof v);
        hash = std::rotl(hash ^ v * kP1, 23) * kP2 + kP3;
        p += 4;
    }
    for (; p != end; p++) hash = std::rotl(hash ^ *p * kP5, 11) * kP1;

    hash = (hash ^ hash >> 33) * kP2;
    hash = (hash ^ hash >> 29) * kP3;
    return hash ^ hash >> 32;
}

uint64_t Xxh64::of(const void* data, size_t n_bytes, uint64_t seed) {
    Xxh64 hash(seed);
    hash.update(data, n_bytes);
    return hash.digest();
}

}  // namespace axiom
