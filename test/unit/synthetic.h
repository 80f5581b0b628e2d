// SPDX-License-Identifier: MIT
// Packed files of random weights, made by the packer, for tests.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>

#include "packer/synthetic.h"
#include "packer/writer.h"
#include "test/unit/engine.h"

namespace axiom::test {

inline AlignedBytes synthetic_model(const std::string& shape, const packer::ConvertOptions& options,
                                    uint64_t seed = 1) {
    Result<packer::Plan> plan = packer::plan_synthetic(shape, options, seed);
    INFO(plan.status().text());
    REQUIRE(plan.ok());
    const std::string path = build_path("test-" + std::to_string(getpid()) + ".axm");
    const Status written = packer::write_packed(plan.value(), path, {}, nullptr);
    INFO(written.text());
    REQUIRE(written.ok());
    AlignedBytes bytes = AlignedBytes::read(path);
    std::remove(path.c_str());
    return bytes;
}

inline AlignedBytes synthetic_model(const std::string& shape, StoredType type, uint64_t seed = 1) {
    packer::ConvertOptions options;
    options.type = type;
    return synthetic_model(shape, options, seed);
}

}  // namespace axiom::test
