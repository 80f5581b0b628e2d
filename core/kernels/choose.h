// SPDX-License-Identifier: MIT
// Which kernel set is fastest on this machine, and which way of reading weights (law 7): found out
// where it counts, on the loaded weights, from memory, with all workers at once.
// Must not know: what the weights are of.
#pragma once

#include <span>

#include "core/kernels.h"
#include "core/team.h"

namespace axiom {

// A matrix that the machine will multiply by; quantized, n_cols as stored.
struct TrialMatrix {
    StoredType type = StoredType::q4;
    const void* data = nullptr;
    size_t n_rows = 0, n_cols = 0;
};

struct KernelChoice {
    const Kernels* kernels = nullptr;
    Reading reading;
    // What a byte of weights costs each token of sixteen that share a pass, in ticks of all workers
    // together; 0 where it was not asked for, or nothing was tried.
    double token_ticks_a_byte = 0;
};

// What is settled already: nullptr and 0 streams leave it to timing. And what is wanted beside it.
struct ChoiceGiven {
    const Kernels* kernels = nullptr;
    Reading reading = {.n_streams = 0};
    bool wants_token_cost = false;
};

// Trials take turns at walking over the matrices, `ticks` in all where a matrix product of 16 rows is
// short beside their share of it; a set's trials are of one token (decode) and of sixteen (a small batch), see
// fastest_of(). `scratch`: choice_scratch_bytes(widest matrix, workers), 64-byte
// aligned. Rank 0 of the team, between jobs.
KernelChoice choose_kernels(Team& team, std::span<const KernelSet> sets,
                            std::span<const TrialMatrix> matrices, const ChoiceGiven& given,
                            uint64_t ticks, void* scratch);
size_t choice_scratch_bytes(size_t most_cols, size_t n_workers);

// Which set, by the bytes of weights a tick that each reads for one token and for sixteen; 0: not tried. The least sum
// of the factors by which it is behind the best counts: decoding waits for memory, so that sets differ there by
// less than the machine's noise, and prompts by factors.
size_t fastest_of(std::span<const double> one, std::span<const double> few);

// Ways of reading that are tried.
std::span<const Reading> readings();

}  // namespace axiom
