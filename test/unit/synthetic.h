// SPDX-License-Identifier: MIT
// Packed files of random weights, made by the packer, for tests.
#pragma once

#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

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

// A model whose layers can be configured apart from its weights.
struct SyntheticModel {
    AlignedBytes file;
    Weights weights;
    std::vector<LayerConfig> layers;

    explicit SyntheticModel(const std::string& shape, StoredType type = StoredType::q4)
        : file(synthetic_model(shape, type)) {
        Result<Weights> opened = Weights::open("test.axm", file.span());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        weights = opened.value();
        for (size_t i = 0; i < weights.config.n_layer; i++)
            layers.push_back(weights.config.layer(i));
        weights.config.layers = layers;
    }
    SyntheticModel(const SyntheticModel&) = delete;
    size_t n_vocab() const { return weights.config.n_vocab; }
};

}  // namespace axiom::test
