// SPDX-License-Identifier: MIT
#include "model/weights/weight_source.h"

namespace axiom {

void ResidentWeights::bind(const Weights& weights, std::span<LayerWeights> layers) {
    AXIOM_CHECK(layers.size() == weights.config.n_layer);
    for (size_t i = 0; i < layers.size(); i++) layers[i] = weights.layer(i);
    layers_ = layers;
    weights_ = &weights;
}

Status ResidentWeights::acquire(size_t i_layer, const LayerWeights** layer) {
    AXIOM_CHECK(i_layer < layers_.size());
    *layer = &layers_[i_layer];
    return {};
}

void ResidentWeights::release(size_t) {}

Status ResidentWeights::acquire_experts(size_t i_layer, std::span<const uint32_t> experts,
                                        ExpertWeights* out) {
    for (size_t i = 0; i < experts.size(); i++) out[i] = weights_->expert(i_layer, experts[i]);
    return {};
}

}  // namespace axiom
