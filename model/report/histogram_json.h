// SPDX-License-Identifier: MIT
// A histogram as records have it; null without samples.
#pragma once

#include "core/histogram.h"
#include "model/report/json_writer.h"

namespace axiom {

template <size_t K>
void put_histogram(const LogHistogramOf<K>& h, JsonWriter& out) {
    if (h.n() == 0) return out.put("null");
    out.open("{");
    out.name("from_ns");
    out.number(h.from_ns(), 6);
    out.name("per_doubling");
    out.number(uint64_t{h.per_doubling()});
    out.name("counts");
    out.open("[");
    std::string_view comma;
    for (const uint64_t n : h.counts()) {
        out.put(comma);
        out.number(n);
        comma = ",";
    }
    out.close("]");
    out.close("}");
}

}  // namespace axiom
