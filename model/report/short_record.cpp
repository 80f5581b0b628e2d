// SPDX-License-Identifier: MIT
#include "model/report/short_record.h"

#include <algorithm>

namespace axiom {
namespace {

struct Line {
    std::span<char> room;
    size_t n_bytes = 0;  // of the whole, whether it fits or not

    static void put(void* self, std::string_view text) {
        Line& line = *static_cast<Line*>(self);
        const size_t at = std::min(line.n_bytes, line.room.size());
        std::copy_n(text.data(), std::min(text.size(), line.room.size() - at),
                    line.room.data() + at);
        line.n_bytes += text.size();
    }
};

// What goes, in this order.
constexpr void (*kDrops[])(Record& r) = {
    [](Record& r) { r.has_samples = false; },
    [](Record& r) { r.layer_costs = {}; },
    [](Record& r) {
        for (Percentiles* times : {&r.layer, &r.boundary, &r.stall, &r.token})
            times->histogram = nullptr;
    },
    [](Record& r) { r.slabs = {}; },
    [](Record& r) { r.tasks = {}; },
    [](Record& r) { r.nodes = {}; },
    [](Record& r) { r.turns = {}; },
};

}  // namespace

size_t print_short_json(const Record& record, std::span<char> out) {
    Record r = record;
    const auto print = [&] {
        Line line{out};
        print_json(r, Line::put, &line);
        return line.n_bytes - 1;  // the line end
    };
    size_t n = print();
    for (const auto drop : kDrops) {
        if (n <= out.size()) break;
        drop(r);
        n = print();
    }
    return n <= out.size() ? n : 0;
}

}  // namespace axiom
