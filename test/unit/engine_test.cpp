// SPDX-License-Identifier: MIT
// Law 2 on whole forward passes: one hash of all logits, whatever computes them.
#include "core/cpu_features.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;

namespace {

std::vector<TokenId> some_tokens(size_t n, size_t n_vocab) {
    std::vector<TokenId> tokens(n);
    for (size_t i = 0; i < n; i++) tokens[i] = TokenId((i * 7919 + 13) % n_vocab);
    return tokens;
}

Weights open(const AlignedBytes& bytes) {
    Result<Weights> weights = Weights::open("test.axm", bytes.span());
    INFO(weights.status().text());
    REQUIRE(weights.ok());
    const Status checksums = verify_checksums("test.axm", bytes.span());
    INFO(checksums.text());
    REQUIRE(checksums.ok());
    return weights.value();
}

}  // namespace

TEST_CASE("logits have the same bits on every kernel set, worker count and batch split") {
    const KvType kv_type = GENERATE(KvType::f16, KvType::q8_0);
    // n_head_kv < n_head; head_dim 24 is padded to 32; n_ff and n_vocab end inside a row group and
    // n_ff inside a block; 70 tokens cross two KV block borders.
    for (const StoredType type : {StoredType::q4, StoredType::q4m, StoredType::q8}) {
        const AlignedBytes file = synthetic_model("96,3,4,2,200,300", type);
        const Weights weights = open(file);
        const std::vector<TokenId> tokens = some_tokens(70, weights.config.n_vocab);
        Engine reference(weights, kScalarKernels, 1, 70, 70, kv_type);
        const uint64_t expected = reference.hash(tokens, 1);
        for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
            if (!set.usable) continue;
            for (const size_t n_workers : {1u, 2u, 3u, 4u}) {
                Engine engine(weights, *set.kernels, n_workers, 70, 70, kv_type);
                for (const size_t n_at_once : {1u, 7u, 32u, 64u, 70u}) {
                    INFO(set.kernels->name << ", " << n_workers << " workers, batches of "
                                           << n_at_once << ", " << kv_type_name(kv_type) << ", "
                                           << stored_type_name(type));
                    REQUIRE(engine.hash(tokens, n_at_once) == expected);
                }
            }
        }
    }
}

TEST_CASE(
    "logits keep their bits in batches of 512, with heads of whole blocks and unequal cores") {
    const KvType kv_type = GENERATE(KvType::f16, KvType::q8_0);
    // head_dim 32: attention quantizes its own heads. 530 tokens are 17 KV blocks.
    const AlignedBytes file = synthetic_model("128,2,4,1,160,200", StoredType::q4);
    const Weights weights = open(file);
    const std::vector<TokenId> tokens = some_tokens(530, weights.config.n_vocab);
    Engine reference(weights, kScalarKernels, 1, 530, 512, kv_type);
    const uint64_t expected = reference.hash(tokens, 64);
    for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
        if (!set.usable) continue;
        for (const size_t n_workers : {1u, 3u}) {
            Engine engine(weights, *set.kernels, n_workers, 530, 512, kv_type);
            if (n_workers == 3) engine.set_speeds(std::vector<uint32_t>{100, 37, 61});
            for (const size_t n_at_once : {1u, 7u, 64u, 512u}) {
                INFO(set.kernels->name << ", " << kv_type_name(kv_type) << ", " << n_workers
                                       << " workers, batches of " << n_at_once);
                REQUIRE(engine.hash(tokens, n_at_once) == expected);
            }
        }
    }
}

TEST_CASE("keys and values of 8 bits have a hash of their own, and a little over half the memory") {
    const AlignedBytes file = synthetic_model("128,2,4,1,160,200", StoredType::q4);
    const Weights weights = open(file);
    const std::vector<TokenId> tokens = some_tokens(70, weights.config.n_vocab);
    Engine halves(weights, kScalarKernels, 1, 70, 70, KvType::f16);
    Engine bytes(weights, kScalarKernels, 1, 70, 70, KvType::q8_0);
    REQUIRE(halves.hash(tokens, 70) != bytes.hash(tokens, 70));
    // One head of 32 columns: 32 positions of keys and of values, at 2 bytes each, or at 34 for 32.
    REQUIRE(halves.object_bytes("kv") == 2 * 32 * 32 * 2 + Slab::kAlignment);
    REQUIRE(bytes.object_bytes("kv") == 2 * 32 * 34 + Slab::kAlignment);
}

TEST_CASE("different tokens and different weights give different logits hashes") {
    const AlignedBytes a = synthetic_model("64,1,2,1,64,64", StoredType::q4, 1);
    const AlignedBytes b = synthetic_model("64,1,2,1,64,64", StoredType::q4, 2);
    const Weights wa = open(a), wb = open(b);
    Engine ea(wa, kScalarKernels, 1, 8, 8), eb(wb, kScalarKernels, 1, 8, 8);
    std::vector<TokenId> tokens = some_tokens(8, 64);
    const uint64_t hash = ea.hash(tokens, 8);
    REQUIRE(hash == ea.hash(tokens, 8));
    REQUIRE(hash != eb.hash(tokens, 8));
    std::swap(tokens[0], tokens[1]);  // positions count
    REQUIRE(hash != ea.hash(tokens, 8));
}

TEST_CASE(
    "a sequence takes KV blocks as it grows, gives them back, and is refused past its context") {
    const AlignedBytes file = synthetic_model("64,2,2,1,64,64", StoredType::q8);
    const Weights weights = open(file);
    Engine engine(weights, kScalarKernels, 1, 40, 40);
    REQUIRE(engine.in_use("kv") == 0);
    const auto ignore = [](size_t, std::span<const float>) {};
    engine.run(some_tokens(32, 64), 32, ignore);
    REQUIRE(engine.in_use("kv") == 2);  // one block of 32 positions in each of 2 layers
    engine.run(some_tokens(1, 64), 1, ignore);
    REQUIRE(engine.in_use("kv") == 4);
    REQUIRE(engine.sequence().reserve(8).code() == Code::no_memory);
    engine.sequence().truncate(0);
    REQUIRE(engine.in_use("kv") == 0);
    REQUIRE(engine.sequence().reserve(40).ok());
}
