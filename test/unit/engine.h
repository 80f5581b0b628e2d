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
#include "model/engine/state.h"
#include "model/engine/transformer.h"
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

class Engine {
  public:
    // n_batch tokens a pass at most; logits of every position can be had.
    Engine(const Weights& weights, const Kernels& kernels, size_t n_workers, size_t n_ctx,
           size_t n_batch)
        : n_vocab_(weights.config.n_vocab) {
        StateShape shape;
        shape.config = weights.config;
        shape.n_ctx = n_ctx;
        shape.n_batch = n_batch;
        shape.n_workers = n_workers;
        shape.n_logit_rows = n_batch;
        uint64_t n_bytes = 0;
        REQUIRE(shape.total_bytes(&n_bytes));
        memory_ = AlignedBytes(n_bytes);
        const uintptr_t begin = reinterpret_cast<uintptr_t>(memory_.data());
        const AddressRange range{begin, begin + memory_.size()};
        slab_.init({&range, 1});
        Result<State> state = State::create(slab_, shape);
        INFO(state.status().text());
        REQUIRE(state.ok());
        state_ = state.value();
        transformer_ = std::make_unique<Transformer>(weights, kernels, state_);
        team_.init(n_workers, [](uint32_t n) {
            if (n % 64 == 63) std::this_thread::yield();
        });
        for (size_t rank = 1; rank < n_workers; rank++)
            threads_.emplace_back([this, rank] { team_.serve(rank); });
    }
    ~Engine() {
        team_.stop();
        for (std::thread& t : threads_) t.join();
    }

    // Appends the tokens, `n_at_once` a pass, and calls each(position, logits) for every one of
    // them.
    template <class Each>
    void run(std::span<const TokenId> tokens, size_t n_at_once, Each&& each) {
        for (size_t at = 0; at < tokens.size(); at += n_at_once) {
            const size_t n = std::min(n_at_once, tokens.size() - at);
            const Status s =
                transformer_->forward(team_, loop_, tokens.subspan(at, n), Logits::all, {});
            INFO(s.text());
            REQUIRE(s.ok());
            for (size_t i = 0; i < n; i++)
                each(at + i, std::span<const float>(state_.logits[i], n_vocab_));
        }
    }
    // The hash of all logits of a sequence.
    uint64_t hash(std::span<const TokenId> tokens, size_t n_at_once) {
        state_.reset();
        Xxh64 hash;
        run(tokens, n_at_once, [&](size_t, std::span<const float> logits) {
            hash.update(logits.data(), logits.size_bytes());
        });
        return hash.digest();
    }
    void set_speeds(std::span<const uint32_t> speeds) { team_.set_speeds(speeds); }
    Slab& slab() { return slab_; }
    State& state() { return state_; }

  private:
    size_t n_vocab_;
    AlignedBytes memory_;
    Slab slab_;
    State state_;
    Team team_;
    LayerLoop loop_;
    std::unique_ptr<Transformer> transformer_;
    std::vector<std::thread> threads_;
};

}  // namespace axiom::test
