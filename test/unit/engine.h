// SPDX-License-Identifier: MIT
// A packed model with an engine around it, for tests that need logits.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "core/hash.h"
#include "core/kernels.h"
#include "core/layer_loop.h"
#include "core/slab.h"
#include "core/team.h"
#include "model/engine/kv_pool.h"
#include "model/engine/sequence.h"
#include "model/engine/transformer.h"
#include "model/engine/workspace.h"
#include "model/weights/weight_source.h"
#include "model/weights/weights.h"
#include "test/unit/catch.h"

namespace axiom::test {

inline std::string build_path(const std::string& file) {
    const char* const dir = getenv("AXIOM_BUILD_DIR");
    return std::string(dir != nullptr ? dir : "build") + "/" + file;
}

// Bytes at a 64-byte boundary, as the loader provides them.
class AlignedBytes {
  public:
    AlignedBytes() = default;
    explicit AlignedBytes(size_t n) : memory_(new uint8_t[n + 64]), n_(n) {}
    explicit AlignedBytes(std::span<const uint8_t> bytes) : AlignedBytes(bytes.size()) {
        std::copy(bytes.begin(), bytes.end(), data());
    }
    static AlignedBytes read(const std::string& path) {
        std::ifstream in(path, std::ios::binary | std::ios::ate);
        INFO("the model " << path
                          << " is made by the Makefile; AXIOM_BUILD_DIR names the build folder");
        REQUIRE(in.good());
        AlignedBytes bytes(size_t(in.tellg()));
        in.seekg(0);
        in.read(reinterpret_cast<char*>(bytes.data()), std::streamsize(bytes.size()));
        REQUIRE(in.good());
        return bytes;
    }
    uint8_t* data() const {
        return reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<uintptr_t>(memory_.get()), 64));
    }
    size_t size() const { return n_; }
    std::span<uint8_t> span() const { return {data(), n_}; }

  private:
    std::unique_ptr<uint8_t[]> memory_;
    size_t n_ = 0;
};

// A slab with exactly the bytes that its plan says.
class PlannedSlab {
  public:
    void create(const SlabPlan& plan) {
        uint64_t n_bytes = 0;
        REQUIRE(plan.sum(&n_bytes));
        memory_ = AlignedBytes(size_t(n_bytes));
        // What nobody has written must not count.
        std::fill_n(memory_.data(), n_bytes, uint8_t{0xff});
        const uintptr_t begin = reinterpret_cast<uintptr_t>(memory_.data());
        const AddressRange range{begin, begin + memory_.size()};
        slab_.init({&range, 1});
        const Status created = plan.create(slab_);
        INFO(created.text());
        REQUIRE(created.ok());
    }
    Slab& operator*() { return slab_; }
    const Slab* operator->() const { return &slab_; }

  private:
    AlignedBytes memory_;
    Slab slab_;
};

class Engine {
  public:
    // n_batch rows a pass at most; logits of every row can be had. `source`: nullptr for weights in
    // memory. The slab has exactly the bytes that its plan says.
    Engine(const Weights& weights, const Kernels& kernels, const EngineShape& shape,
           WeightSource* source = nullptr) {
        SlabPlan plan;
        pool_.plan(weights.config, shape, plan);
        workspace_.plan(weights.config, shape, plan);
        if (source == nullptr) plan.add_array("layers", weights.config.n_layer, &layers_);
        slab_.create(plan);
        pool_.bind(*slab_);
        workspace_.bind();
        if (source == nullptr) resident_.bind(weights, layers_);
        team_.init(shape.n_workers, [](uint32_t n) {
            if (n % 64 == 63) std::this_thread::yield();
        });
        for (size_t rank = 1; rank < shape.n_workers; rank++)
            threads_.emplace_back([this, rank] { team_.serve(rank); });
        transformer_ =
            std::make_unique<Transformer>(weights, source != nullptr ? *source : resident_,
                                          KernelChoice{&kernels, {}}, workspace_, team_, loop_);
        sequence_ = open();
    }
    Engine(const Weights& weights, const Kernels& kernels, size_t n_workers, size_t n_ctx,
           size_t n_batch, KvType kv_type = KvType::f16)
        : Engine(weights, kernels,
                 {.n_ctx = n_ctx,
                  .n_batch = n_batch,
                  .n_logit_rows = n_batch,
                  .n_workers = n_workers,
                  .n_sequences = 1,
                  .n_return = n_ctx,
                  .kv_type = kv_type}) {}
    ~Engine() {
        sequence_.close();
        team_.stop();
        for (std::thread& t : threads_) t.join();
    }

    // Appends the tokens to the engine's own sequence, `n_at_once` a pass, and calls
    // each(position, logits) for every one of them.
    template <class Each>
    void run(std::span<const TokenId> tokens, size_t n_at_once, Each&& each) {
        run(sequence_, tokens, n_at_once, each);
    }
    template <class Each>
    void run(Sequence& sequence, std::span<const TokenId> tokens, size_t n_at_once, Each&& each) {
        for (size_t at = 0; at < tokens.size(); at += n_at_once) {
            std::vector<Row> rows;
            for (size_t i = at; i < std::min(at + n_at_once, tokens.size()); i++)
                rows.push_back({&sequence, sequence.length() + i - at, tokens[i], true});
            const Status s = transformer_->forward(rows);
            INFO(s.text());
            REQUIRE(s.ok());
            for (size_t i = 0; i < rows.size(); i++) each(at + i, workspace_.logits_row(i));
        }
    }
    // The hash of all logits of the tokens in a sequence of their own.
    uint64_t hash(std::span<const TokenId> tokens, size_t n_at_once) {
        sequence_.truncate(0);
        return append(sequence_, tokens, n_at_once);
    }
    // The hash of all logits of tokens that continue a sequence.
    uint64_t append(Sequence& sequence, std::span<const TokenId> tokens, size_t n_at_once) {
        Xxh64 hash;
        run(sequence, tokens, n_at_once, [&](size_t, std::span<const float> logits) {
            hash.update(logits.data(), logits.size_bytes());
        });
        return hash.digest();
    }
    Sequence open() {
        Result<Sequence> sequence = Sequence::open(pool_);
        INFO(sequence.status().text());
        REQUIRE(sequence.ok());
        return std::move(sequence.value());
    }
    // Of the slab class with this name: objects in use, and the bytes of one.
    size_t in_use(std::string_view name) const { return class_stats(name).in_use; }
    size_t object_bytes(std::string_view name) const { return class_stats(name).object_bytes; }
    void set_speeds(std::span<const uint32_t> speeds) { team_.set_speeds(speeds); }
    Slab& slab() { return *slab_; }
    KvPool& pool() { return pool_; }
    Sequence& sequence() { return sequence_; }
    Transformer& transformer() { return *transformer_; }
    const Workspace& workspace() const { return workspace_; }
    LayerLoop& loop() { return loop_; }
    Team& team() { return team_; }

  private:
    SlabClassStats class_stats(std::string_view name) const {
        for (size_t i = 0; i < slab_->n_classes(); i++) {
            const SlabClassStats stats = slab_->stats(Slab::ClassId(i));
            if (stats.name == name) return stats;
        }
        FAIL("no class with this name");
        return {};
    }

    PlannedSlab slab_;
    KvPool pool_;
    Workspace workspace_;
    std::span<LayerWeights> layers_;
    ResidentWeights resident_;
    Team team_;
    LayerLoop loop_;
    std::unique_ptr<Transformer> transformer_;
    Sequence sequence_;
    std::vector<std::thread> threads_;
};

}  // namespace axiom::test
