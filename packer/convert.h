// SPDX-License-Identifier: MIT
// A GGUF -> Plan: keys to configuration, tensors checked against it,
// stored types chosen. Whatever we do not compute is refused by name, never ignored.
#pragma once

#include <optional>

#include "core/status.h"
#include "packer/gguf.h"
#include "packer/plan.h"

namespace axiom::packer {

struct ConvertOptions {
    // Forces the layers' matrices to a type; otherwise each keeps its natural one (requant.h).
    std::optional<StoredType> type;
    // The same for token_embd and output.
    std::optional<StoredType> output_type;
};

// `file` and the bytes it views must outlive the plan.
Result<Plan> plan_from_gguf(const gguf::File& file, const ConvertOptions& options);

}  // namespace axiom::packer
