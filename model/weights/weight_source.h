// SPDX-License-Identifier: MIT
// Where the weights of a layer come from while the forward pass runs. A source has the bytes of a
// layer ready between acquire() and release(); where they are otherwise is its own matter. What is
// not of a layer (embedding, rope tables, output) is always resident, in Weights.
// Must not know: what a layer computes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/status.h"
#include "core/team.h"
#include "model/weights/weights.h"

namespace axiom {

// Calls come from worker 0 but where it says otherwise. Layers are acquired in order, released before the next one is
// acquired, and the last one's successor is layer 0 of the next pass: what a source reads ahead of
// time follows that order across passes. A pass that ends early begins again at layer 0.
class WeightSource {
  public:
    // Between two layers: makes layer i readable by all workers until release(i), and says where.
    // May wait; the wait is the layer's stall. An error ends the pass with it.
    virtual Status acquire(size_t i_layer, const LayerWeights** layer) = 0;
    virtual void release(size_t i_layer) = 0;

    // Inside an acquired layer, at a barrier, once the routes of this batch are known: makes these
    // experts (ascending, each once) readable until release(i), and says where: out[j] is of
    // experts[j].
    virtual Status acquire_experts(size_t i_layer, std::span<const uint32_t> experts,
                                   ExpertWeights* out) = 0;

    // The rest is for sources whose bytes arrive while others are computed with: those that work().
    virtual bool works() const { return false; }
    // How long calls have waited for bytes, in all.
    virtual uint64_t wait_ticks() const { return 0; }
    // Whether something of what was acquired last is still to be checked. Then check(), on every
    // worker, does its part, and nobody reads it before all workers are done and checked(), on worker
    // 0, has found it right.
    virtual bool to_check() const { return false; }
    virtual void check(const Worker&) {}
    virtual Status checked() { return {}; }
    // On every worker, before it comes to a barrier between two stages of a layer (but for those at which experts
    // are routed and checked): takes note of what has arrived. Never waits.
    virtual void before_barrier(const Worker&) {}
    // On every worker, when it has left the boundary before a layer or a barrier between two of its
    // stages: hands the next reads to the disk, checks its share of what has arrived. Never waits.
    virtual void at_barrier(const Worker&) {}

  protected:
    ~WeightSource() = default;
};

// Weights in memory: every layer is bound once.
class ResidentWeights final : public WeightSource {
  public:
    // `layers` [n_layer] receives the views; it and the weights' bytes outlive this, and so do the
    // weights.
    void bind(const Weights& weights, std::span<LayerWeights> layers);

    Status acquire(size_t i_layer, const LayerWeights** layer) override;
    void release(size_t i_layer) override;
    Status acquire_experts(size_t i_layer, std::span<const uint32_t> experts,
                           ExpertWeights* out) override;

  private:
    const Weights* weights_ = nullptr;
    std::span<const LayerWeights> layers_;
};

}  // namespace axiom
