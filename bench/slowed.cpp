// SPDX-License-Identifier: MIT
// axiom-host slowed on purpose, to see whether comparing finds it: every pass waits for 5 % of the time
// that it took. The engine is linked as it is; the linker puts this in place of Transformer::forward
// (--wrap). If its type changes, that no longer links.
#include "core/clock.h"
#include "model/engine/transformer.h"

#define AXIOM_FORWARD \
    "_ZN5axiom11Transformer7forwardESt4spanIKNS_3RowELm18446744073709551615EERKNS_12ForwardTimesE"

namespace axiom {

constexpr uint64_t kPercent = 5;

Status real_forward(Transformer* transformer, std::span<const Row> rows,
                    const ForwardTimes& times) asm("__real_" AXIOM_FORWARD);
Status slowed_forward(Transformer* transformer, std::span<const Row> rows,
                      const ForwardTimes& times) asm("__wrap_" AXIOM_FORWARD);

Status slowed_forward(Transformer* transformer, std::span<const Row> rows,
                      const ForwardTimes& times) {
    const uint64_t begin = ticks_now();
    Status status = real_forward(transformer, rows, times);
    const uint64_t end = ticks_now(), until = end + (end - begin) * kPercent / 100;
    while (ticks_now() < until) {
    }
    return status;
}

}  // namespace axiom
