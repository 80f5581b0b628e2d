// SPDX-License-Identifier: MIT
// A packed file raw into the partition of AXIOM's type (model/format/format.h) on a disk or a disk's
// image, from which it can be streamed.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "core/gpt.h"
#include "core/status.h"

namespace axiom::packer {

// Writes `bytes`, a whole packed file, into the only partition of the type on `disk`; tells which. Its
// first block, by which it is found, comes last and is void meanwhile. not_found where there is no such
// partition, bad_option where there are several, no_memory where it is too small. `progress` gets the
// bytes written so far and may stop by returning false.
Result<Partition> write_to_partition(const std::string& disk, std::span<const uint8_t> bytes,
                                     const std::function<bool(uint64_t done)>& progress);

}  // namespace axiom::packer
