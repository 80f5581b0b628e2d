// SPDX-License-Identifier: MIT
// Keys and values as the cache stores them, and what a query reads of them.
#include "model/engine/kv_format.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "test/unit/engine.h"

using namespace axiom;
using namespace axiom::test;

namespace {

std::vector<float> some_values(size_t n, size_t seed) {
    std::vector<float> x(n);
    for (size_t i = 0; i < n; i++)
        x[i] = float(int((i * 7919 + seed * 104729) % 2003) - 1001) * (i % 7 == 0 ? 0.01f : 0.001f);
    return x;
}

// One head's keys and values of kKvPositions positions.
struct Head {
    KvType type;
    size_t head_dim;
    AlignedBytes keys, values, scratch;

    Head(KvType t, size_t dim)
        : type(t),
          head_dim(dim),
          keys(kv_head_bytes(t, dim)),
          values(kv_head_bytes(t, dim)),
          scratch(kv_scratch_bytes(t, dim)) {
        memset(keys.data(), 0, keys.size());
        memset(values.data(), 0, values.size());
    }
    void store(const Kernels& kernels, const float* key, const float* value, size_t at) {
        kv_store(type, kernels, scratch.data(), key, value, head_dim, keys.data(), values.data(),
                 at);
    }
    // Element i of position `at` by the layouts of core/kernels.h.
    float key(size_t at, size_t i) const {
        if (type == KvType::f16) return half(keys, 2 * (i * kKvPositions + at));
        const size_t n_blocks = round_up(head_dim, 32) / 32, b = i / 32, c = i % 32, row = at % 16;
        const size_t block = (at / 16 * n_blocks + b) * 544;
        const int q = int8_t(keys.data()[block + 64 * (c / 4) + 4 * row + c % 4]);
        return float(q) * half(keys, block + 512 + 2 * row);
    }
    float value(size_t at, size_t i) const {
        if (type == KvType::f16) return half(values, 2 * (at * round_up(head_dim, 16) + i));
        const size_t block = i / 32 * 1088;
        const int q = int8_t(values.data()[block + at / 2 * 64 + i % 32 * 2 + at % 2]);
        return float(q) * half(values, block + 1024 + 2 * at);
    }
    static float half(const AlignedBytes& from, size_t offset) {
        uint16_t bits;
        memcpy(&bits, from.data() + offset, sizeof bits);
        return f16_to_f32(bits);
    }
};

// The largest magnitude of x's block of 32 that element i is in.
double block_max(const std::vector<float>& x, size_t i) {
    double most = 0;
    for (size_t j = i / 32 * 32; j < std::min(x.size(), i / 32 * 32 + 32); j++)
        most = std::max(most, std::fabs(double(x[j])));
    return most;
}

}  // namespace

TEST_CASE("what the cache stores of a key and a value is near them, for any head size") {
    for (const KvType type : kKvTypes) {
        for (const size_t head_dim : {1u, 16u, 24u, 31u, 32u, 40u, 64u, 80u, 96u, 128u, 256u}) {
            Head head(type, head_dim);
            for (size_t at = 0; at < kKvPositions; at++) {
                head.store(kScalarKernels, some_values(head_dim, at).data(),
                           some_values(head_dim, 100 + at).data(), at);
            }
            for (size_t at = 0; at < kKvPositions; at++) {
                const std::vector<float> key = some_values(head_dim, at),
                                         value = some_values(head_dim, 100 + at);
                for (size_t i = 0; i < head_dim; i++) {
                    INFO(kv_type_name(type)
                         << " of " << head_dim << ", position " << at << ", element " << i);
                    // f16 rounds to 2^-11. q8_0: half a step of the block's largest / 127, and the step
                    // itself is rounded to f16, which the largest feels 127 times.
                    const auto allowed = [&](const std::vector<float>& x) {
                        return type == KvType::f16 ? std::fabs(double(x[i])) * 0x1p-11
                                                   : block_max(x, i) * (0.5 / 127 + 0x1.01p-11);
                    };
                    REQUIRE(std::fabs(double(head.key(at, i)) - double(key[i])) <= allowed(key));
                    REQUIRE(std::fabs(double(head.value(at, i)) - double(value[i])) <=
                            allowed(value));
                }
            }
            // Columns past the head are zeros, as products read them.
            for (size_t i = head_dim; type == KvType::q8_0 && i < round_up(head_dim, 32); i++) {
                REQUIRE(head.key(5, i) == 0);
                REQUIRE(head.value(5, i) == 0);
            }
        }
    }
}

TEST_CASE("keys and values of 8 bits are always finite: the largest scale, and nothing of a NaN") {
    Head head(KvType::q8_0, 32);
    std::vector<float> huge(32, 1.0f), lost(32, 1.0f), endless(32, 1.0f);
    huge[3] = 3e38f;
    lost[3] = std::numeric_limits<float>::quiet_NaN();
    endless[3] = -std::numeric_limits<float>::infinity();
    head.store(kScalarKernels, huge.data(), lost.data(), 7);
    head.store(kScalarKernels, lost.data(), endless.data(), 8);
    CHECK(head.key(7, 3) == 127 * 65504.0f);
    CHECK(head.key(7, 4) == 0);
    for (size_t i = 0; i < 32; i++) {
        CHECK(head.value(7, i) == 0);
        CHECK(head.key(8, i) == 0);
        CHECK(head.value(8, i) == 0);
    }
}

TEST_CASE("scores of cached keys are near the products of floats, for any head size and queries") {
    for (const KvType type : kKvTypes) {
        for (const size_t head_dim : {16u, 24u, 40u, 64u, 80u, 128u}) {
            Head head(type, head_dim);
            std::vector<std::vector<float>> keys;
            for (size_t at = 0; at < kKvPositions; at++) {
                keys.push_back(some_values(head_dim, at));
                head.store(kScalarKernels, keys[at].data(), keys[at].data(), at);
            }
            for (const size_t n : {size_t{1}, size_t{2}, size_t{5}, kMaxQueries}) {
                // The scores stand at the second block of each row.
                constexpr size_t kStride = 3 * kKvPositions;
                std::vector<float> scores(n * kStride, -7.0f);
                std::vector<std::vector<float>> q, plain;
                for (size_t j = 0; j < n; j++) q.push_back(some_values(head_dim, 300 + j));
                plain = q;
                QueryTile tile = {.n = n,
                                  .head_dim = head_dim,
                                  .attn_scale = 0.25f,
                                  .scores = scores.data(),
                                  .scores_stride = kStride};
                for (size_t j = 0; j < n; j++) {
                    tile.q[j] = q[j].data();
                    tile.end[j] = 2 * kKvPositions;
                }
                if (type == KvType::f16) {
                    F16Kv(kScalarKernels, head.scratch.data(), tile)
                        .score(head.keys.data(), kKvPositions, n);
                } else {
                    Q8Kv(kScalarKernels, head.scratch.data(), tile)
                        .score(head.keys.data(), kKvPositions, n);
                }
                for (size_t j = 0; j < n; j++) {
                    for (size_t at = 0; at < kKvPositions; at++) {
                        double exact = 0, magnitude = 0, steps = 0;
                        for (size_t i = 0; i < head_dim; i++) {
                            const double k = double(head.key(at, i)), x = double(plain[j][i]);
                            exact += 0.25 * k * x;
                            magnitude += std::fabs(0.25 * k * x);
                            // A query of 8 bits is off by half a step of its block.
                            steps += std::fabs(0.25 * k) * block_max(plain[j], i) * 0.5 / 127;
                        }
                        INFO(kv_type_name(type) << " of " << head_dim << ", query " << j << " of "
                                                << n << ", position " << at);
                        const double found = double(scores[j * kStride + kKvPositions + at]);
                        // Roundings of binary32: of head_dim sums at most.
                        REQUIRE(std::fabs(found - exact) <=
                                (type == KvType::f16 ? 0 : steps) +
                                    double(head_dim + 3) * 0x1p-24 * (magnitude + steps));
                    }
                    for (size_t i = 0; i < kKvPositions; i++) {
                        REQUIRE(scores[j * kStride + i] == -7);
                        REQUIRE(scores[j * kStride + 2 * kKvPositions + i] == -7);
                    }
                }
            }
        }
    }
}
