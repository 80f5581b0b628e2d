// SPDX-License-Identifier: MIT
// What one forward pass is of: the rows of its batch and how they are worked on, settled before the
// first stage. Stages are given it as a constant.
// Must not know: how any stage computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/kernels.h"
#include "core/team.h"
#include "model/engine/sequence.h"
#include "model/text/tokenizer.h"
#include "model/weights/weight_source.h"

namespace axiom {

// One token of a batch. The rows of a sequence continue it: their positions count up from its
// length. They may stand anywhere among the rows of others.
struct Row {
    Sequence* sequence = nullptr;
    size_t position = 0;
    TokenId token = 0;
    bool wants_logits = false;
};

// The rows of one sequence, in the order of their positions: Pass::order[first .. first + n_rows).
struct RowGroup {
    Sequence* sequence = nullptr;
    uint32_t first = 0;
    uint32_t n_rows = 0;
};

// How the work on n rows is shared out. It never changes a bit (law 2).
struct PassPolicy {
    // Rows interleaved in quantized activations.
    size_t acts_width = 1;
    // Rows are normed by shares, which costs a barrier; otherwise every worker norms the one row
    // for itself, which is cheaper than meeting.
    bool shares_norm = false;
    // Rows of a matrix are claimed by units: whole blocks of columns of the next matrix, and so
    // whole row groups, of which no two workers may write the same.
    size_t claim_rows = 32;
    // Weights worth a claim, which is some microseconds of reading, and a worker's share that is
    // worth more than one claim; 0: a claim is a unit.
    size_t claim_bytes = 0;
    size_t share_bytes = 0;
    // Tiles of attention are claimed, because later rows see more; otherwise heads are split
    // evenly.
    bool claims_attention = false;

    static constexpr PassPolicy of(size_t n_rows);
};

inline constexpr PassPolicy kOneRow = {.acts_width = quantized_acts_width(1),
                                       .shares_norm = false,
                                       .claim_rows = 32,
                                       .claim_bytes = 64 * 1024,
                                       .share_bytes = 256 * 1024,
                                       .claims_attention = false};
// Kernels like 96 rows best.
inline constexpr PassPolicy kManyRows = {.acts_width = quantized_acts_width(2),
                                         .shares_norm = true,
                                         .claim_rows = 96,
                                         .claim_bytes = 0,
                                         .share_bytes = 0,
                                         .claims_attention = true};
static_assert(kOneRow.claim_rows % kBlockCols == 0 && kManyRows.claim_rows % kBlockCols == 0);

constexpr PassPolicy PassPolicy::of(size_t n_rows) {
    return n_rows == 1 ? kOneRow : kManyRows;
}

struct Pass {
    std::span<const Row> rows;
    std::span<const uint32_t> order;       // rows by sequence and position
    std::span<const RowGroup> groups;      // of `order`
    std::span<const uint32_t> logit_rows;  // row of each row of logits
    PassPolicy policy;                     // of the layers
    PassPolicy output_policy;              // of the logits
    // What has to be told of the barriers between the stages of a layer, if anything.
    WeightSource* at_barriers = nullptr;
};

}  // namespace axiom
