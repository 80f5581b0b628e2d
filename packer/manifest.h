// SPDX-License-Identifier: MIT
// What a packed file holds, as JSON for machines and as a table for people. Both are read back from
// the file itself, so they say what is there and not what was meant to be.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "core/status.h"
#include "model/weights/weights.h"

namespace axiom::packer {

// {"axiom_pack":1,"file":..,"file_bytes":..,"format_version":..,"id":..,"merkle_root":..,
//  "config":{..},"layers":[..],"tokenizer":{..},"chat":{..},
//  "types":[{"source_type","type","n_tensors","n_weights","bytes","bits_per_weight",
//  "source_bits_per_weight"}..],"extents":[{"kind","layer","expert","offset","bytes","n_pieces"}..],
//  "tensors":[{"name","role","layer","expert","source_type","type","n_rows","n_cols","bytes",
//  "extent","offset","max_error","rms_error"}..]}
// id and root are hexadecimal text; errors are null where none can exist (rope_freqs).
nlohmann::ordered_json manifest(const Weights& weights);

// The table of --info.
std::string describe(const Weights& weights);

// As in a GGUF: "blk.3.attn_q.weight".
std::string tensor_name(const Weights& weights, const format::TensorEntry& entry);

}  // namespace axiom::packer
