// SPDX-License-Identifier: MIT
// The fastest loops a CPU has for reading memory and for integer dot products: what measured
// kernels are compared with. One table per instruction set, each in a file of its own (law 6).
#pragma once

#include <cstddef>
#include <cstdint>

namespace axiom::peak {

// n_rounds times a fixed run of independent dot-product instructions on registers.
struct DotLoop {
    const char* name;         // the instruction; nullptr: none in this set
    uint64_t macs_per_round;  // 8-bit multiply-adds
    void (*run)(uint64_t n_rounds);
};

struct Loops {
    const char* name;
    // Loads every byte of [p, p + n_bytes) once, as n_streams (1, 2 or 4) equal parts side by side.
    // p 64-byte aligned, n_bytes a multiple of 4096. prefetch_bytes 0: no software prefetch;
    // otherwise each line is prefetched that far ahead (past the end is harmless).
    void (*read)(const uint8_t* p, size_t n_bytes, size_t n_streams, size_t prefetch_bytes);
    DotLoop dots[2];
};

extern const Loops kSseLoops;
extern const Loops kAvx2Loops;
extern const Loops kAvxVnniLoops;  // dots only
extern const Loops kAvx512Loops;

}  // namespace axiom::peak
