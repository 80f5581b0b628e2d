// SPDX-License-Identifier: MIT
// Plan -> packed file: places extents and tensors, fills them in order with several threads,
// measures and checksums what was written, and only then names the file.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "core/status.h"
#include "model/format/format.h"
#include "packer/plan.h"

namespace axiom::packer {

// Where everything will stand. Checksums and errors are still 0.
struct Layout {
    std::vector<format::Extent> extents;
    std::vector<format::TensorEntry> entries;  // one per planned tensor, in order
    uint64_t n_pieces = 0;
    uint64_t file_bytes = 0;
};
Layout lay_out(const Plan& plan);

struct WriteOptions {
    unsigned n_threads = 1;
    // Called after each piece with bytes done, all bytes, and the tensor at work.
    std::function<void(uint64_t done_bytes, uint64_t total_bytes, const PlannedTensor&)> progress;
    const std::atomic<bool>* stop = nullptr;  // set: give up with Code::interrupted
};

// On any failure `path` is as it was and nothing else is left behind. *written (may be null)
// receives the final tables.
Status write_packed(const Plan& plan, const std::string& path, const WriteOptions& options,
                    Layout* written);

}  // namespace axiom::packer
