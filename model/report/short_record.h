// SPDX-License-Identifier: MIT
// The record where there is little room.
#pragma once

#include <cstddef>
#include <span>

#include "model/report/record.h"

namespace axiom {

// The record's line, without its line end, in at most out.size() bytes: what is too long is null or empty,
// the samples first, then layers one by one, histograms, slabs, tasks and turns. Bytes written; 0: not even
// what is left fits.
size_t print_short_json(const Record& record, std::span<char> out);

}  // namespace axiom
