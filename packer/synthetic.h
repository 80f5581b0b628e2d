// SPDX-License-Identifier: MIT
// Models of a given shape with random weights, for timing and for tests: sane finite activations,
// no meaning. The same shape, types and seed give the same file on every machine.
#pragma once

#include <cstdint>
#include <string_view>

#include "core/status.h"
#include "packer/convert.h"
#include "packer/plan.h"

namespace axiom::packer {

// `shape` is a known name or DIM,LAYERS,HEADS,KV_HEADS,FFN,VOCAB[,tied] (DIM a multiple of HEADS).
// Matrices have mean 0 and standard deviation 0.5/sqrt(n_cols), norms are 1. Types default to q4
// for the layers and q8 for token_embd and output. Vocabulary: the 256 bytes, <|endoftext|>,
// <|im_start|>, <|im_end|> and numbered tokens <t259>..., with a ChatML template, so that prompts
// work; shapes of fewer than 259 tokens have no tokenizer. bad_option names what is wrong.
Result<Plan> plan_synthetic(std::string_view shape, const ConvertOptions& options, uint64_t seed);

}  // namespace axiom::packer
