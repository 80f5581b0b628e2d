// SPDX-License-Identifier: MIT
// Every kernel set against the scalar one bit for bit (law 2), and the scalar one against plain
// arithmetic written from the contracts of core/kernels.h. Odd shapes and tails included.
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "core/kernels.h"
#include "core/mathf.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace {

// Deterministic values; the generator is Marsaglia's xorshift64.
class Source {
  public:
    explicit Source(uint64_t seed) : s_(seed * 2654435761u + 1) {}
    uint64_t next() {
        s_ ^= s_ << 13, s_ ^= s_ >> 7, s_ ^= s_ << 17;
        return s_;
    }
    float uniform() { return float(int64_t(next() >> 20 & 0xffffff) - 0x800000) / float(0x800000); }

  private:
    uint64_t s_;
};

// 64-byte aligned floats.
struct Floats {
    explicit Floats(size_t n) : memory(n + 32) {
        data = reinterpret_cast<float*>(round_up(reinterpret_cast<uintptr_t>(memory.data()), 64));
    }
    std::vector<float> memory;
    float* data;
};

struct Bytes64 {
    explicit Bytes64(size_t n) : memory(n + 64) {
        data = reinterpret_cast<uint8_t*>(round_up(reinterpret_cast<uintptr_t>(memory.data()), 64));
    }
    std::vector<uint8_t> memory;
    uint8_t* data;
};

std::vector<const Kernels*> usable_sets() {
    std::vector<const Kernels*> sets;
    for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
        if (set.usable) sets.push_back(set.kernels);
    }
    return sets;
}

bool same_bits(const float* a, const float* b, size_t n) {
    return memcmp(a, b, n * sizeof(float)) == 0;
}

uint16_t random_half(Source& source) {
    return f32_to_f16(source.uniform() * 0.05f);
}

struct Matrix {
    StoredType type;
    size_t n_rows, n_cols;
    Bytes64 bytes;

    Matrix(StoredType t, size_t rows, size_t cols, uint64_t seed)
        : type(t), n_rows(rows), n_cols(cols), bytes(size(t, rows, cols)) {
        Source source(seed);
        const size_t n_blocks = (cols + kBlockCols - 1) / kBlockCols;
        for (size_t group = 0; group < (rows + 15) / 16; group++) {
            for (size_t b = 0; b < n_blocks; b++) {
                BlockSource block{};
                for (size_t r = 0; r < kGroupRows; r++) {
                    block.scale[r] = random_half(source);
                    block.minimum[r] = random_half(source);
                    for (size_t c = 0; c < kBlockCols; c++) {
                        const bool inside = group * 16 + r < rows && b * kBlockCols + c < cols;
                        const int zero = t == StoredType::q4 ? 8 : 0;
                        // The extremes of the range come up often.
                        const uint64_t v = source.next();
                        const int q8 = v % 5 == 0   ? -128
                                       : v % 5 == 1 ? 127
                                                    : int(v >> 8 & 0xff) - 128;
                        const int q4 = v % 5 == 0 ? 0 : v % 5 == 1 ? 15 : int(v >> 8 & 15);
                        block.q[r][c] = int16_t(!inside ? zero : t == StoredType::q8 ? q8 : q4);
                    }
                }
                pack_block(t, block, bytes.data + (group * n_blocks + b) * block_bytes(t));
            }
        }
    }
    static size_t size(StoredType t, size_t rows, size_t cols) {
        uint64_t n = 0;
        REQUIRE(stored_bytes(t, rows, cols, &n));
        return size_t(n);
    }
};

struct Acts {
    Bytes64 memory;
    QuantizedActs acts;
    Acts(size_t n_cols, size_t n_tokens)
        : memory(quantized_acts_bytes(round_up(n_cols, kBlockCols), n_tokens)),
          acts(quantized_acts_in(memory.data, round_up(n_cols, kBlockCols), n_tokens)) {}
};

std::vector<float> activations(size_t n, uint64_t seed) {
    Source source(seed);
    std::vector<float> x(n);
    for (float& v : x) v = source.uniform() * (source.next() % 17 == 0 ? 30.0f : 1.0f);
    return x;
}

MatmulFn matmul_of(const Kernels& k, StoredType t) {
    return matmul_for(k, t);
}

constexpr StoredType kTypes[] = {StoredType::q4, StoredType::q4m, StoredType::q8};

}  // namespace

TEST_CASE("the scalar matmul equals the contract computed with plain integers and floats") {
    for (const StoredType type : kTypes) {
        for (const size_t n_cols : {16u, 32u, 48u, 96u, 576u, 1056u, 2080u}) {
            const size_t n_rows = 35;
            const Matrix w(type, n_rows, n_cols, n_cols + uint64_t(type));
            const std::vector<float> x = activations(n_cols, 7);
            Acts a(n_cols, 1);
            kScalarKernels.quantize(x.data(), n_cols, a.acts, 0);
            Floats y(48);
            matmul_of(kScalarKernels, type)(w.bytes.data, a.acts, 1, y.data, 48, 0, 48);

            const size_t n_blocks = a.acts.n_cols / kBlockCols;
            for (size_t row = 0; row < 48; row++) {
                float acc = 0;
                for (size_t b = 0; b < n_blocks; b++) {
                    BlockSource block;
                    unpack_block(type, w.bytes.data + (row / 16 * n_blocks + b) * block_bytes(type),
                                 &block);
                    int32_t idot = 0;
                    for (size_t c = 0; c < kBlockCols; c++)
                        idot += block.q[row % 16][c] * a.acts.q[b * 32 + c];
                    if (type == StoredType::q4) idot -= 8 * a.acts.sum[b];
                    acc += float(idot) * (f16_to_f32(block.scale[row % 16]) * a.acts.scale[b]);
                    if (type == StoredType::q4m)
                        acc += f16_to_f32(block.minimum[row % 16]) * a.acts.scaled_sum[b];
                }
                INFO(stored_type_name(type) << " " << n_cols << " columns, row " << row);
                REQUIRE(same_bits(&acc, &y.data[row], 1));
            }
        }
    }
}

TEST_CASE("a quantized matmul is close to the float product of the dequantized matrix") {
    for (const StoredType type : kTypes) {
        const size_t n_rows = 32, n_cols = 576;
        const Matrix w(type, n_rows, n_cols, 3);
        const std::vector<float> x = activations(n_cols, 4);
        Acts a(n_cols, 1);
        kScalarKernels.quantize(x.data(), n_cols, a.acts, 0);
        Floats y(n_rows);
        matmul_of(kScalarKernels, type)(w.bytes.data, a.acts, 1, y.data, n_rows, 0, n_rows);
        std::vector<float> row(n_cols);
        for (size_t r = 0; r < n_rows; r++) {
            dequantize_row(type, w.bytes.data, n_cols, r, row.data());
            double exact = 0, bound = 0;
            for (size_t c = 0; c < n_cols; c++) {
                exact += double(row[c]) * double(x[c]);
                // Rounding an activation moves it by half a step of its block's scale at most.
                bound += std::fabs(double(row[c])) * 0.5 * double(a.acts.scale[c / 32]);
            }
            // 1e-5 of the magnitude covers the binary32 sums of 18 blocks.
            REQUIRE(std::fabs(double(y.data[r]) - exact) <= bound * (1 + 1e-5) + 1e-4);
        }
    }
}

TEST_CASE(
    "every kernel set gives the scalar set's matmul bits, for all shapes, batches and row splits") {
    for (const Kernels* set : usable_sets()) {
        for (const StoredType type : kTypes) {
            for (const size_t n_cols : {32u, 48u, 64u, 576u, 1536u}) {
                for (const size_t n_tokens : {1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u}) {
                    const size_t n_rows = 80;
                    const Matrix w(type, n_rows - 3, n_cols, n_cols * 3 + n_tokens);
                    Acts a(n_cols, n_tokens);
                    for (size_t t = 0; t < n_tokens; t++) {
                        kScalarKernels.quantize(activations(n_cols, t + 1).data(), n_cols, a.acts,
                                                t);
                    }
                    const size_t stride = n_rows + 16;
                    Floats expected(n_tokens * stride), found(n_tokens * stride);
                    matmul_of(kScalarKernels, type)(w.bytes.data, a.acts, n_tokens, expected.data,
                                                    stride, 0, n_rows);
                    for (const size_t split : {size_t{0}, size_t{16}, size_t{48}, n_rows}) {
                        std::fill_n(found.data, n_tokens * stride, 0.0f);
                        matmul_of(*set, type)(w.bytes.data, a.acts, n_tokens, found.data, stride, 0,
                                              split);
                        matmul_of(*set, type)(w.bytes.data, a.acts, n_tokens, found.data, stride,
                                              split, n_rows);
                        INFO(set->name << " " << stored_type_name(type) << " cols " << n_cols
                                       << " tokens " << n_tokens << " split " << split);
                        REQUIRE(same_bits(expected.data, found.data, n_tokens * stride));
                    }
                }
            }
        }
    }
}

TEST_CASE(
    "every kernel set quantizes activations to the scalar set's bits, zeros, huge and odd lengths "
    "included") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n : {1u, 8u, 31u, 32u, 33u, 100u, 576u}) {
            std::vector<float> x = activations(n, n);
            for (int variant = 0; variant < 7; variant++) {
                if (variant == 1) std::fill(x.begin(), x.end(), 0.0f);
                if (variant == 2) x[n / 2] = 1e-35f;
                if (variant == 3) x[n / 2] = 3e38f;
                if (variant == 4) x[n / 2] = INFINITY;
                if (variant == 5) x[n / 2] = NAN;
                if (variant == 6)
                    for (size_t i = 0; i < n; i++) x[i] = float(i % 2 ? 127 : -63.5);  // halves
                Acts a(n, 2), b(n, 2);
                kScalarKernels.quantize(x.data(), n, a.acts, 1);
                set->quantize(x.data(), n, b.acts, 1);
                const QuantizedActs ra = a.acts.from_token(1), rb = b.acts.from_token(1);
                INFO(set->name << " n " << n << " variant " << variant);
                const size_t n_blocks = ra.n_cols / kBlockCols;
                REQUIRE(memcmp(ra.q, rb.q, ra.n_cols) == 0);
                REQUIRE(same_bits(ra.scale, rb.scale, n_blocks));
                REQUIRE(same_bits(ra.scaled_sum, rb.scaled_sum, n_blocks));
                REQUIRE(memcmp(ra.sum, rb.sum, n_blocks * 4) == 0);
                for (size_t c = 0; c < ra.n_cols; c++) REQUIRE(ra.q[c] >= -127);
            }
        }
    }
}

TEST_CASE("every kernel set's norm, SiLU, add and f16 conversion have the scalar set's bits") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n : {16u, 48u, 576u, 2048u}) {
            const std::vector<float> x = activations(n, n + 1), w = activations(n, n + 2);
            Floats a(n), b(n);
            kScalarKernels.rms_norm(x.data(), w.data(), n, 1e-5f, a.data);
            set->rms_norm(x.data(), w.data(), n, 1e-5f, b.data);
            INFO(set->name << " n " << n);
            REQUIRE(same_bits(a.data, b.data, n));
        }
        for (const size_t n : {1u, 7u, 8u, 19u, 1536u}) {
            INFO(set->name << " n " << n);
            std::vector<float> gate = activations(n, n + 3), gate2 = gate;
            const std::vector<float> up = activations(n, n + 4);
            gate[0] = gate2[0] = n > 7 ? -200.0f : 95.0f;
            kScalarKernels.silu_mul(gate.data(), up.data(), n);
            set->silu_mul(gate2.data(), up.data(), n);
            REQUIRE(same_bits(gate.data(), gate2.data(), n));
            kScalarKernels.add(gate.data(), up.data(), n);
            set->add(gate2.data(), up.data(), n);
            REQUIRE(same_bits(gate.data(), gate2.data(), n));
            std::vector<uint16_t> h(n), h2(n);
            kScalarKernels.to_f16(gate.data(), h.data(), n);
            set->to_f16(gate2.data(), h2.data(), n);
            REQUIRE(h == h2);
        }
    }
}

TEST_CASE("every kernel set's attention has the scalar set's bits") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t head_dim : {16u, 64u, 80u, 128u}) {
            for (const size_t n : {1u, 2u, 15u, 16u, 17u, 32u}) {
                Source source(head_dim + n);
                const std::vector<float> q = activations(head_dim, 5);
                std::vector<uint16_t> cache(head_dim * n);
                for (uint16_t& h : cache) h = random_half(source);
                Floats s1(48), s2(48), o1(head_dim), o2(head_dim);
                kScalarKernels.attention_scores(q.data(), cache.data(), head_dim, n, 0.125f,
                                                s1.data);
                set->attention_scores(q.data(), cache.data(), head_dim, n, 0.125f, s2.data);
                INFO(set->name << " head_dim " << head_dim << " n " << n);
                REQUIRE(same_bits(s1.data, s2.data, n));
                kScalarKernels.softmax(s1.data, n);
                set->softmax(s2.data, n);
                REQUIRE(same_bits(s1.data, s2.data, n));
                double total = 0;
                for (size_t i = 0; i < n; i++) total += double(s1.data[i]);
                REQUIRE(total == Approx(1.0).epsilon(1e-6));
                kScalarKernels.attention_values(s1.data, cache.data(), head_dim, n, o1.data);
                set->attention_values(s2.data, cache.data(), head_dim, n, o2.data);
                REQUIRE(same_bits(o1.data, o2.data, head_dim));
            }
        }
    }
}

TEST_CASE("the chosen kernel set is one the CPU may run, and without features only scalar is") {
    Bytes64 scratch(kSelectScratchBytes);
    uint64_t ticks[8] = {};
    REQUIRE(select_kernels(CpuFeatures{}, scratch.data, ticks) == &kScalarKernels);
    REQUIRE(ticks[0] > 0);
    REQUIRE(ticks[1] == 0);
    bool usable = true;
    REQUIRE(find_kernels("avx2", 4, CpuFeatures{}, &usable) == &kAvx2Kernels);
    REQUIRE_FALSE(usable);
    REQUIRE(find_kernels("mmx", 3, CpuFeatures{}, &usable) == nullptr);
}

TEST_CASE("AVX2 is not usable unless the operating system saves its registers") {
    CpuWords w = read_cpu_words();
    w.leaf1_ecx = ~0u;
    w.leaf7_ebx = ~0u;
    w.xcr0 = 0x7;
    REQUIRE(decode_features(w).avx2);
    w.xcr0 = 0x3;
    REQUIRE_FALSE(decode_features(w).avx2);
    w.xcr0 = 0x7;
    w.leaf1_ecx &= ~(1u << 27);
    REQUIRE_FALSE(decode_features(w).avx2);
}
