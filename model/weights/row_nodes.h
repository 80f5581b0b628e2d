// SPDX-License-Identifier: MIT
// Which memory node's workers read which rows of the weights, so that they can be placed there. Rows are
// claimed (Worker::claim): those of matrices that are multiplied between the same two barriers count as one
// after the other, and each node has a contiguous part of them.
// Must not know: where memory is, or which node the numbers stand for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/team.h"
#include "model/weights/weights.h"

namespace axiom {

class RowNodes {
  public:
    static constexpr size_t kAny = ~size_t{0};

    // `workers` of each node, as Team::set_nodes() takes them. Both outlive this.
    RowNodes(const Weights& weights, std::span<const uint32_t> workers);

    // By an offset in the packed file. kAny: nobody's in particular (tables, norms, the rows of experts, whose
    // parts depend on which of them are chosen, and an embedding that is not the output matrix, too).
    size_t node_at(uint64_t file_offset) const;

  private:
    const format::TensorEntry* entry_at(uint64_t file_offset, uint64_t* offset_in_tensor) const;

    const Weights& weights_;
    std::span<const uint32_t> workers_;
    size_t n_workers_ = 0;
};

}  // namespace axiom
