// SPDX-License-Identifier: MIT
#include "model/run/pass_size.h"

namespace axiom {
namespace {

// A pass that waited for a larger part than this took as long as its reading.
constexpr uint64_t kWaitingPart = 8;

}  // namespace

size_t PassSize::covering() const {
    if (row_ticks_ <= 0 || read_ticks_ <= 0) return 0;
    const double n = read_ticks_ / row_ticks_;
    return n < double(most_) ? size_t(n) + 1 : most_;
}

size_t PassSize::next(size_t n_pending) const {
    const size_t n_rows = rows();
    if (least_ == most_) return std::min(n_pending, n_rows);
    const size_t fewest = (n_pending + most_ - 1) / most_;
    const size_t n_passes = std::max<size_t>({1, fewest, n_pending / n_rows});
    return (n_pending + n_passes - 1) / n_passes;
}

void PassSize::took(size_t n_rows, uint64_t ticks, uint64_t wait_ticks) {
    if (read_ticks_ <= 0) return;
    // What is first was read before.
    if (!is_first_ && wait_ticks > ticks / kWaitingPart) read_ticks_ = double(ticks);
    is_first_ = false;
    // Few rows take longer each, so they say nothing of many.
    if (2 * n_rows >= least_ && wait_ticks < ticks)
        row_ticks_ = double(ticks - wait_ticks) / double(n_rows);
}

}  // namespace axiom
