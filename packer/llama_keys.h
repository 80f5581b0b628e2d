// SPDX-License-Identifier: MIT
// The llama.* and general.* keys of a GGUF -> format::Config and rotary frequencies, every limit of
// model/format/format.h enforced and every variant we do not compute refused by name.
#pragma once

#include <cstdint>
#include <vector>

#include "core/status.h"
#include "model/format/format.h"
#include "packer/gguf.h"

namespace axiom::packer {

// n_vocab and tied_output come from the tensors present; n_params and source_bytes stay 0.
// freqs: rope_dim/2 radians per position.
Status read_llama_keys(const gguf::File& file, format::Config* config, std::vector<double>* freqs);

// llama.cpp's name of a general.file_type: "Q4_K - Medium"; "unknown" for numbers it does not name.
const char* file_type_name(uint64_t file_type);

}  // namespace axiom::packer
