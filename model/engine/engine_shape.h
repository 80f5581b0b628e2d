// SPDX-License-Identifier: MIT
// The numbers that, with a model's configuration, decide all memory of the engine.
#pragma once

#include <cstddef>

#include "core/kernels.h"

namespace axiom {

struct EngineShape {
    size_t n_ctx = 0;  // positions a sequence may have
    // The context that was asked for, whatever memory left of it: chooses rotary tables (longrope).
    // 0: n_ctx.
    size_t n_ctx_asked = 0;
    size_t n_batch = 1;       // rows of a pass at most
    size_t n_logit_rows = 1;  // those of them that may want logits
    size_t n_workers = 1;     // at most Team::kMaxWorkers
    size_t n_sequences = 1;   // open at a time
    // Positions that all sequences together have memory for, at least those of one; 0: that each has
    // for all of its own.
    size_t n_positions = 0;
    // How far back from its end a sequence can be returned to (Sequence::return_point). Only layers
    // with a window need memory for it; n_ctx: to anywhere.
    size_t n_return = 0;
    KvType kv_type = KvType::f16;  // what keys and values are cached as
};

}  // namespace axiom
