// SPDX-License-Identifier: MIT
// The keys of a GGUF -> what the packed file says of the model: one row for every architecture,
// and beside it what is peculiar to it. llama.cpp's graphs are the definition: what it ignores is
// ignored and said, what it requires is required, and a missing key is what it takes it for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "model/format/config.h"
#include "model/format/format.h"
#include "packer/gguf.h"
#include "packer/rope.h"

namespace axiom::packer {

struct ModelKeys {
    format::Config config{};          // n_params and source_bytes stay 0
    std::vector<LayerConfig> layers;  // tensors: as found in the file
    RopeSet rope;
    // Rotary pairs are (i, i + n_dims/2) in the source: rows of queries and keys are reordered, so
    // that the pairs of the packed file are adjacent.
    bool half_split = false;
    std::vector<std::string> notes;  // what a person should know: defaults taken, keys ignored

    ModelConfig model() const { return model_config(config, layers); }
};

Status read_model_keys(const gguf::File& file, ModelKeys* out);

// "llama, qwen2, ...", for messages and help.
std::string supported_architectures();

}  // namespace axiom::packer
