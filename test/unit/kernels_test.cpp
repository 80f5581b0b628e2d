// SPDX-License-Identifier: MIT
// Every kernel set against the scalar one bit for bit (law 2), and the scalar one against plain
// arithmetic written from the contracts of core/kernels.h. Odd shapes and tails included.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "core/kernels.h"
#include "core/kernels/choose.h"
#include "core/mathf.h"
#include "test/unit/catch.h"

using namespace axiom;

namespace axiom {
extern const Kernels kAvxVnniEvexKernels;
}

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

// n floats that begin at no multiple of 8 bytes, with a mark on either side that must stay.
class Odd {
  public:
    explicit Odd(const std::vector<float>& values) : n_(values.size()), memory_(n_ + 34, kMark) {
        data =
            reinterpret_cast<float*>(round_up(reinterpret_cast<uintptr_t>(memory_.data()), 64)) + 1;
        std::copy(values.begin(), values.end(), data);
    }
    bool marks_stand() const { return data[-1] == kMark && data[n_] == kMark; }
    float* data;

  private:
    static constexpr float kMark = 12345.5f;
    size_t n_;
    std::vector<float> memory_;
};

std::vector<const Kernels*> usable_sets() {
    std::vector<const Kernels*> sets;
    const CpuFeatures features = decode_features(read_cpu_words());
    for (const KernelSet& set : kernel_sets(features)) {
        if (set.usable) sets.push_back(set.kernels);
    }
    // The AVX-VNNI set's text in the encoding of AVX-512VL.
    if (features.avx512_vnni) sets.push_back(&kAvxVnniEvexKernels);
    return sets;
}

// The canonical sum of core/kernels.h over term(0) ... term(n - 1).
template <class Term>
float sum_of_lanes(size_t n, Term term) {
    float lane[16] = {};
    for (size_t j = 0; j < 16; j++) {
        for (size_t i = j; i < n; i += 16) lane[j] += term(i);
    }
    for (const size_t half : {8u, 4u, 2u, 1u}) {
        for (size_t j = 0; j < half; j++) lane[j] += lane[j + half];
    }
    return lane[0];
}

bool same_bits(const float* a, const float* b, size_t n) {
    return memcmp(a, b, n * sizeof(float)) == 0;
}

uint16_t random_half(Source& source) {
    return f32_to_f16(source.uniform() * 0.05f);
}

// Every type on which kernels compute, and what its block looks like (core/quant.h).
struct Layout {
    StoredType type;
    size_t scales_at;  // bytes before the scales
    bool minimum;
    int offset;  // what q is lowered by
};
constexpr Layout kLayouts[] = {
    {StoredType::q4, 256, false, 8},   {StoredType::q4m, 256, true, 0},
    {StoredType::q5, 320, false, 16},  {StoredType::q8, 512, false, 0},
    {StoredType::q4k, 256, true, 0},   {StoredType::q5k, 320, true, 0},
    {StoredType::q6k, 384, false, 32},
};

// A matrix of random bits with scales of ordinary size. Nothing here uses the packer.
struct Matrix {
    Layout layout;
    size_t n_blocks;
    Bytes64 bytes;

    Matrix(const Layout& l, size_t rows, size_t cols, uint64_t seed)
        : layout(l),
          n_blocks((cols + kBlockCols - 1) / kBlockCols),
          bytes((rows + 15) / 16 * group_bytes(l.type, n_blocks)) {
        Source source(seed);
        for (uint8_t& byte : std::span(bytes.data, bytes.memory.size() - 64)) {
            // The extremes of every field come up often.
            const uint64_t v = source.next();
            byte = v % 5 == 0 ? 0 : v % 5 == 1 ? 0xff : v % 5 == 2 ? 0x80 : uint8_t(v >> 8);
        }
        for (size_t group = 0; group < (rows + 15) / 16; group++) {
            for (size_t b = 0; b < n_blocks; b++) {
                uint8_t* const block = block_at(group, b);
                uint8_t* halves = block + l.scales_at;
                size_t n_halves = l.minimum ? 32 : 16;
                if (is_k_quant(l.type)) {
                    halves = super_at(group, b);
                    n_halves = super_scale_bytes(l.type) / 2;
                }
                for (size_t i = 0; i < n_halves; i++) {
                    const uint16_t half = random_half(source);
                    memcpy(halves + 2 * i, &half, 2);
                }
            }
        }
    }
    uint8_t* super_at(size_t group, size_t b) const {
        return bytes.data + group * group_bytes(layout.type, n_blocks) +
               group_bytes(layout.type, b / kSuperBlocks * kSuperBlocks);
    }
    uint8_t* block_at(size_t group, size_t b) const {
        return bytes.data + group * group_bytes(layout.type, n_blocks) +
               b * block_bytes(layout.type) +
               (super_scale_bytes(layout.type) != 0 ? b / kSuperBlocks + 1 : 0) *
                   super_scale_bytes(layout.type);
    }
    int q(size_t row, size_t col) const {  // as stored: unsigned but for q8
        const uint8_t* const block = block_at(row / 16, col / 32);
        const size_t r = row % 16, c = col % 32, k = c % 16 / 4;
        if (layout.type == StoredType::q8) return int8_t(block[64 * (c / 4) + 4 * r + c % 4]);
        const uint8_t both = block[64 * k + 4 * r + c % 4];
        int q = c < 16 ? both & 15 : both >> 4;
        if (layout.scales_at == 320) q |= (block[256 + 4 * r + c % 4] >> (c / 4) & 1) << 4;
        if (layout.scales_at == 384)
            q |= (block[256 + 64 * (c / 16) + 4 * r + c % 4] >> 2 * k & 3) << 4;
        return q;
    }
    float half(const uint8_t* halves, size_t i) const {
        uint16_t bits;
        memcpy(&bits, halves + 2 * i, 2);
        return f16_to_f32(bits);
    }
    // The contract of MatmulFn for one row and one token, term by term.
    float multiply(size_t row, const QuantizedActs& x, size_t t) const {
        using A = QuantizedActs;
        float acc = 0;
        for (size_t b = 0; b < n_blocks; b++) {
            const uint8_t* const scales = block_at(row / 16, b) + layout.scales_at;
            const size_t r = row % 16;
            int32_t idot[2] = {}, sum[2] = {};
            for (size_t c = 0; c < kBlockCols; c++) {
                idot[c / 16] += q(row, b * 32 + c) * x.q(t, b)[c];
                sum[c / 16] += x.q(t, b)[c];
            }
            const float scale_x = x.field<float>(A::scale, t, b);
            const float scaled_sum = x.field<float>(A::scaled_sum, t, b);
            if (layout.type == StoredType::q6k) {
                const int32_t n = int8_t(scales[r]) * (idot[0] - 32 * sum[0]) +
                                  int8_t(scales[16 + r]) * (idot[1] - 32 * sum[1]);
                acc += float(n) * (half(super_at(row / 16, b), r) * scale_x);
                continue;
            }
            const int32_t n = idot[0] + idot[1] - layout.offset * (sum[0] + sum[1]);
            if (is_k_quant(layout.type)) {
                const uint8_t* const super = super_at(row / 16, b);
                acc += float(n) * ((half(super, r) * float(scales[r])) * scale_x);
                acc -= (half(super, 16 + r) * float(scales[16 + r])) * scaled_sum;
                continue;
            }
            acc += float(n) * (half(scales, r) * scale_x);
            if (layout.minimum) acc += half(scales, 16 + r) * scaled_sum;
        }
        return acc;
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

void quantize(const Kernels& k, const std::vector<float>& x, const QuantizedActs& out, size_t t) {
    k.quantize(x.data(), x.size(), out, t, 0, out.n_cols / kBlockCols);
}

bool fits(const Layout& layout, size_t n_cols) {
    return !is_k_quant(layout.type) || n_cols % 256 == 0;
}

}  // namespace

TEST_CASE("the scalar matmul equals the contract computed with plain integers and floats") {
    for (const Layout& layout : kLayouts) {
        for (const size_t n_cols : {16u, 32u, 48u, 96u, 256u, 512u, 576u, 1056u, 2080u, 2304u}) {
            if (!fits(layout, n_cols)) continue;
            for (const size_t n_tokens : {1u, 3u}) {
                const Matrix w(layout, 35, n_cols, n_cols + uint64_t(layout.type));
                Acts a(n_cols, n_tokens);
                for (size_t t = 0; t < n_tokens; t++)
                    quantize(kScalarKernels, activations(n_cols, 7 + t), a.acts, t);
                Floats y(n_tokens * 48);
                matmul_for(kScalarKernels, layout.type)(w.bytes.data, a.acts, n_tokens, y.data, 48,
                                                        0, 48);
                for (size_t t = 0; t < n_tokens; t++) {
                    for (size_t row = 0; row < 48; row++) {
                        const float expected = w.multiply(row, a.acts, t);
                        INFO(stored_type_name(layout.type)
                             << " " << n_cols << " columns, row " << row << " token " << t);
                        REQUIRE(same_bits(&expected, &y.data[t * 48 + row], 1));
                    }
                }
            }
        }
    }
}

TEST_CASE("a quantized matmul is close to the float product of the dequantized matrix") {
    for (const Layout& layout : kLayouts) {
        const size_t n_rows = 32, n_cols = 768;
        const Matrix w(layout, n_rows, n_cols, 3);
        const std::vector<float> x = activations(n_cols, 4);
        Acts a(n_cols, 1);
        quantize(kScalarKernels, x, a.acts, 0);
        Floats y(n_rows);
        matmul_for(kScalarKernels, layout.type)(w.bytes.data, a.acts, 1, y.data, n_rows, 0, n_rows);
        std::vector<float> row(n_cols);
        for (size_t r = 0; r < n_rows; r++) {
            dequantize_row(layout.type, w.bytes.data, n_cols, r, row.data());
            double exact = 0, magnitude = 0, bound = 0;
            for (size_t c = 0; c < n_cols; c++) {
                const double w_c = double(row[c]);
                exact += w_c * double(x[c]);
                magnitude += std::fabs(w_c * double(x[c]));
                // Rounding an activation moves it by half a step of its block's scale at most.
                bound += std::fabs(w_c) * 0.5 *
                         double(a.acts.field<float>(QuantizedActs::scale, 0, c / 32));
            }
            // 1e-5 of the magnitude covers the binary32 sums of 24 blocks, minimums included.
            REQUIRE(std::fabs(double(y.data[r]) - exact) <= bound + 1e-5 * (bound + magnitude));
        }
    }
}

TEST_CASE(
    "every kernel set gives the scalar set's matmul bits, for all shapes, batches and row splits") {
    for (const Kernels* set : usable_sets()) {
        for (const Layout& layout : kLayouts) {
            for (const size_t n_cols : {32u, 48u, 64u, 512u, 576u, 1536u}) {
                if (!fits(layout, n_cols)) continue;
                for (const size_t n_tokens :
                     {1u, 2u, 3u, 4u, 5u, 7u, 8u, 13u, 16u, 17u, 24u, 25u, 37u}) {
                    const size_t n_rows = 80;
                    const Matrix w(layout, n_rows - 3, n_cols, n_cols * 3 + n_tokens);
                    Acts a(n_cols, n_tokens);
                    for (size_t t = 0; t < n_tokens; t++)
                        quantize(kScalarKernels, activations(n_cols, t + 1), a.acts, t);
                    const size_t stride = n_rows + 16;
                    Floats expected(n_tokens * stride), found(n_tokens * stride);
                    matmul_for(kScalarKernels, layout.type)(w.bytes.data, a.acts, n_tokens,
                                                            expected.data, stride, 0, n_rows);
                    for (const size_t split : {size_t{0}, size_t{16}, size_t{48}, n_rows}) {
                        std::fill_n(found.data, n_tokens * stride, 0.0f);
                        const Matmul matmul = matmul_for(*set, layout.type);
                        matmul(w.bytes.data, a.acts, n_tokens, found.data, stride, 0, split);
                        matmul(w.bytes.data, a.acts, n_tokens, found.data, stride, split, n_rows);
                        INFO(set->name << " " << stored_type_name(layout.type) << " cols " << n_cols
                                       << " tokens " << n_tokens << " split " << split);
                        REQUIRE(same_bits(expected.data, found.data, n_tokens * stride));
                    }
                }
            }
        }
    }
}

TEST_CASE("a matmul larger than one run of rows and one pass of tokens has the scalar set's bits") {
    // 1024 rows of 1024 columns are 544 KiB as q8: more than the vector sets keep in a cache. 131
    // tokens are more than share one reading of the weights, and end inside a tile.
    const size_t n = 1024, n_tokens = 131;
    Acts a(n, n_tokens);
    for (size_t t = 0; t < n_tokens; t++)
        quantize(kScalarKernels, activations(n, t + 1), a.acts, t);
    for (const Layout& layout : kLayouts) {
        const Matrix w(layout, n, n, 11);
        Floats expected(n_tokens * n), found(n_tokens * n);
        matmul_for(kScalarKernels, layout.type)(w.bytes.data, a.acts, n_tokens, expected.data, n, 0,
                                                n);
        for (const Kernels* set : usable_sets()) {
            INFO(set->name << " " << stored_type_name(layout.type));
            std::fill_n(found.data, n_tokens * n, 0.0f);
            matmul_for(*set, layout.type)(w.bytes.data, a.acts, n_tokens, found.data, n, 0, n);
            REQUIRE(same_bits(expected.data, found.data, n_tokens * n));
        }
    }
}

TEST_CASE("quantized activations keep the contract: scale, values, sums and their multiples") {
    const size_t n = 100;
    const std::vector<float> x = activations(n, 3);
    for (const size_t n_tokens : {1u, 20u}) {
        Acts a(n, n_tokens);
        const size_t token = n_tokens - 1;
        quantize(kScalarKernels, x, a.acts, token);
        for (size_t b = 0; b < 4; b++) {
            using A = QuantizedActs;
            float max = 0;
            for (size_t c = b * 32; c < std::min(n, b * 32 + 32); c++)
                max = std::max(max, std::fabs(x[c]));
            int32_t low = 0, high = 0;
            for (size_t c = 0; c < 32; c++) {
                const size_t i = b * 32 + c;
                const int q = i < n ? int(std::nearbyint(x[i] * (127.0f / max))) : 0;
                REQUIRE(int(a.acts.q(token, b)[c]) == q);
                (c < 16 ? low : high) += q;
            }
            const auto word = [&](A::Field f) { return a.acts.field<int32_t>(f, token, b); };
            REQUIRE(a.acts.field<float>(A::scale, token, b) == max / 127.0f);
            REQUIRE(a.acts.field<float>(A::scaled_sum, token, b) ==
                    max / 127.0f * float(low + high));
            REQUIRE(word(A::minus_8_sum) == -8 * (low + high));
            REQUIRE(word(A::minus_16_sum) == -16 * (low + high));
            REQUIRE(word(A::minus_128_sum) == -128 * (low + high));
            REQUIRE(word(A::minus_32_low_sum) == -32 * low);
            REQUIRE(word(A::minus_32_high_sum) == -32 * high);
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
                for (const size_t n_tokens : {1u, 2u, 18u}) {
                    Acts a(n, n_tokens), b(n, n_tokens);
                    quantize(kScalarKernels, x, a.acts, n_tokens - 1);
                    quantize(*set, x, b.acts, n_tokens - 1);
                    INFO(set->name << " n " << n << " variant " << variant);
                    REQUIRE(a.memory.memory.size() == b.memory.memory.size());
                    REQUIRE(memcmp(a.memory.data, b.memory.data, a.memory.memory.size() - 64) == 0);
                }
            }
        }
    }
}

TEST_CASE("activations quantized by ranges of blocks are those quantized at once") {
    for (const Kernels* set : usable_sets()) {
        const std::vector<float> x = activations(300, 9);
        Acts a(300, 4), b(300, 4);
        quantize(*set, x, a.acts, 2);
        for (const size_t begin : {7u, 0u, 3u})
            set->quantize(x.data(), 300, b.acts, 2, begin, begin == 7 ? 10 : begin == 0 ? 3 : 7);
        REQUIRE(memcmp(a.memory.data, b.memory.data, a.memory.memory.size() - 64) == 0);
    }
}

TEST_CASE("every kernel set's norm has the bits of the contract, for any length and alignment") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n :
             {1u, 2u, 15u, 16u, 17u, 33u, 40u, 48u, 72u, 80u, 96u, 100u, 576u, 2048u}) {
            INFO(set->name << " n " << n);
            const std::vector<float> x = activations(n, n + 1), w = activations(n, n + 2);
            const float mean = sum_of_lanes(n, [&](size_t i) { return x[i] * x[i]; }) / float(n);
            const float s = 1.0f / std::sqrt(mean + 1e-5f);
            std::vector<float> expected(n);
            for (size_t i = 0; i < n; i++) expected[i] = (x[i] * s) * w[i];
            Odd odd_x(x), odd_w(w), out{std::vector<float>(n)};
            set->rms_norm(odd_x.data, odd_w.data, n, 1e-5f, out.data);
            REQUIRE(same_bits(out.data, expected.data(), n));
            REQUIRE(out.marks_stand());
            set->rms_norm(odd_x.data, odd_w.data, n, 1e-5f, odd_x.data);
            REQUIRE(same_bits(odd_x.data, expected.data(), n));
            REQUIRE(odd_x.marks_stand());
        }
    }
}

TEST_CASE("every kernel set's activations and sums of two arrays have the bits of the contract") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n : {1u, 3u, 7u, 8u, 16u, 19u, 37u, 1536u}) {
            const std::vector<float> up = activations(n, n + 4);
            std::vector<float> x = activations(n, n + 3);
            x[0] = n > 7 ? -200.0f : 95.0f;
            if (n > 16) x[5] = 0, x[6] = 1e-30f, x[7] = -3e38f, x[8] = 3e38f, x[9] = -0.0f;
            // each(i) is the contract for element i, run(x) the operation.
            const auto check = [&](const char* name, auto each, auto run) {
                INFO(set->name << " " << name << " n " << n);
                Odd odd(x);
                run(odd.data);
                for (size_t i = 0; i < n; i++) {
                    INFO("element " << i << ": " << x[i]);
                    const float expected = each(i);
                    REQUIRE(same_bits(&odd.data[i], &expected, 1));
                }
                REQUIRE(odd.marks_stand());
            };
            const Odd odd_up(up);
            const float* const y = odd_up.data;
            check(
                "silu_mul", [&](size_t i) { return x[i] / (1.0f + exp_f32(-x[i])) * y[i]; },
                [&](float* a) { set->silu_mul(a, y, n); });
            check(
                "gelu_mul",
                [&](size_t i) {
                    const float v = x[i] * (x[i] * x[i] * kGelu.cubic + kGelu.linear);
                    return x[i] / (1.0f + exp_f32(v)) * y[i];
                },
                [&](float* a) { set->gelu_mul(a, y, n); });
            check(
                "softcap", [&](size_t i) { return tanh_f32(x[i] * (1.0f / 30.0f)) * 30.0f; },
                [&](float* a) { set->softcap(a, n, 30.0f); });
            check(
                "scale", [&](size_t i) { return x[i] * 0.3f; },
                [&](float* a) { set->scale(a, 0.3f, n); });
            check(
                "add", [&](size_t i) { return x[i] + y[i]; }, [&](float* a) { set->add(a, y, n); });
            check(
                "add_scaled",
                [&](size_t i) {
                    const float scaled = y[i] * 0.3f;
                    return x[i] + scaled;
                },
                [&](float* a) { set->add_scaled(a, y, 0.3f, n); });
            std::vector<uint16_t> half(n + 1, 0x1234);
            set->to_f16(x.data(), half.data(), n);
            for (size_t i = 0; i < n; i++) REQUIRE(half[i] == f32_to_f16(x[i]));
            REQUIRE(half[n] == 0x1234);
        }
    }
}

TEST_CASE(
    "every kernel set's f32 product has the bits of the contract, for any number of rows and "
    "columns") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n_rows : {1u, 3u, 4u, 8u, 11u}) {
            for (const size_t n_cols : {1u, 5u, 16u, 31u, 40u, 64u, 577u, 2048u}) {
                INFO(set->name << " " << n_rows << " x " << n_cols);
                const Odd w(activations(n_rows * n_cols, n_cols)), x(activations(n_cols, 9));
                Odd out{std::vector<float>(n_rows, -1.0f)};
                set->matvec_f32(w.data, n_rows, n_cols, x.data, out.data);
                for (size_t r = 0; r < n_rows; r++) {
                    const float expected = sum_of_lanes(
                        n_cols, [&](size_t i) { return w.data[r * n_cols + i] * x.data[i]; });
                    REQUIRE(same_bits(&out.data[r], &expected, 1));
                }
                REQUIRE(out.marks_stand());
            }
        }
    }
}

TEST_CASE("tanh_f32 errs by less than 2^-21 of the result, everywhere") {
    // The bound, in units u = 2^-24, for e = 2^n * m + s with m = r * q(r), s = 2^n - 1 (exact for
    // |n| <= 24). m errs by 3.7 u of itself: r's rounding 1, the series 0.3, q's last step and what comes
    // into it 1.4, the product 1. 2^n * m is at most 1.42 times e (n = 1, r = -0.347), and the addition
    // rounds once: e errs by 6.2 u. t = e / (e + 2) passes on 2 / (e + 2) of that, 0.83 in that case, and
    // rounds twice: 7.2 u. With n = 0 and n = -1 it passes on up to 1.17 of 3.7 u: 6.4 u.
    double worst = 0;
    for (uint32_t bits = 0x00800000; bits < 0x7f800000;
         bits += 1009) {  // 1.2 million normal numbers
        float x;
        memcpy(&x, &bits, sizeof x);
        for (const float signed_x : {x, -x}) {
            const double exact = std::tanh(double(signed_x));
            worst =
                std::max(worst, std::fabs(double(tanh_f32(signed_x)) - exact) / std::fabs(exact));
        }
    }
    CHECK(worst < 0x1p-21);
    CHECK(worst > 0x1p-25);  // a bound of nothing would be no bound
    CHECK(tanh_f32(0.0f) == 0.0f);
    CHECK(tanh_f32(INFINITY) == 1.0f);
    CHECK(tanh_f32(-INFINITY) == -1.0f);
    CHECK(std::isnan(tanh_f32(NAN)));
    CHECK(tanh_f32(1e-40f) == 1e-40f);  // subnormal
}

TEST_CASE("a soft cap keeps small numbers to 2^-20 of themselves and stays within the cap") {
    for (const float cap : {30.0f, 50.0f, 1.0f}) {
        for (float x = 1e-30f; x < 1e30f; x *= 1.37f) {
            float capped = x;
            kScalarKernels.softcap(&capped, 1, cap);
            const double exact = double(cap) * std::tanh(double(x) / double(cap));
            INFO("cap " << cap << " x " << x);
            REQUIRE(std::fabs(double(capped) - exact) < 0x1p-20 * exact);
            REQUIRE(capped <= cap);
        }
        float masked = -INFINITY;
        kScalarKernels.softcap(&masked, 1, cap);
        REQUIRE(masked == -cap);
    }
}

TEST_CASE("gelu_mul is ggml's GELU by tanh, and finite for every finite gate") {
    for (float x = -12.0f; x < 12.0f; x += 0.0037f) {
        float gate = x;
        const float one = 1.0f;
        kScalarKernels.gelu_mul(&gate, &one, 1);
        const double xd = double(x);
        const double u = std::sqrt(2 / std::acos(-1.0)) * xd * (1 + 0.044715 * xd * xd);
        // 0.5 * x * (1 + tanh(u)) without its cancellation.
        const double exact = xd / (1 + std::exp(-2 * u));
        // exp's argument is off by 5 roundings and exp by 2 ulp, a quotient and a sum by one each; what the
        // argument is off by counts as often as it is large, up to the 87 at which exp_f32 stops.
        const double bound =
            0x1p-24 * (5 * std::min(std::fabs(2 * u), 90.0) + 8) * std::fabs(exact);
        INFO("x " << x);
        REQUIRE(std::fabs(double(gate) - exact) <= bound + 1e-36);
    }
    for (const float x : {3.4e38f, -3.4e38f, 1e30f, -1e30f, 1e-45f, -1e-45f, 0.0f}) {
        float gate = x;
        const float one = 1.0f;
        kScalarKernels.gelu_mul(&gate, &one, 1);
        REQUIRE(std::isfinite(gate));
    }
}

TEST_CASE("every kernel set rotates to the scalar set's bits, which are those of the rotation") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n : {2u, 6u, 16u, 34u, 64u, 128u}) {
            const std::vector<float> angles = activations(n, 4);
            std::vector<float> cosine(n), sine(n), x = activations(n, 5), y = x, plain = x;
            for (size_t i = 0; i < n; i += 2) {
                const float c = std::cos(angles[i]), s = std::sin(angles[i]);
                cosine[i] = cosine[i + 1] = c;
                sine[i] = -s, sine[i + 1] = s;
                plain[i] = x[i] * c - x[i + 1] * s;
                plain[i + 1] = x[i] * s + x[i + 1] * c;
            }
            kScalarKernels.rope(x.data(), cosine.data(), sine.data(), n);
            set->rope(y.data(), cosine.data(), sine.data(), n);
            INFO(set->name << " n " << n);
            REQUIRE(same_bits(x.data(), plain.data(), n));
            REQUIRE(same_bits(x.data(), y.data(), n));
        }
    }
}

TEST_CASE(
    "every kernel set's attention has the bits of the contract, for any head size and number of "
    "queries") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t head_dim : {1u, 2u, 6u, 16u, 34u, 40u, 64u, 72u, 80u, 100u, 128u, 256u}) {
            for (const size_t n_positions : {1u, 2u, 15u, 17u, 32u}) {
                Source source(head_dim + n_positions);
                std::vector<uint16_t> keys(head_dim * kKvPositions), values(keys.size());
                for (uint16_t& h : keys) h = random_half(source);
                for (uint16_t& h : values) h = random_half(source);
                values[0] = 1;  // the smallest subnormal
                for (size_t n = 1; n <= kMaxQueries; n++) {
                    std::vector<std::vector<float>> q;
                    std::vector<Floats> scores, gathered;
                    const float* q_at[kMaxQueries];
                    float* scores_at[kMaxQueries];
                    float* out_at[kMaxQueries];
                    for (size_t j = 0; j < n; j++) {
                        q.push_back(activations(head_dim, 5 + j));
                        scores.emplace_back(kKvPositions);
                        gathered.emplace_back(head_dim);
                        std::copy_n(activations(head_dim, 50 + j).data(), head_dim,
                                    gathered[j].data);
                    }
                    for (size_t j = 0; j < n; j++) {
                        q_at[j] = q[j].data();
                        scores_at[j] = scores[j].data;
                        out_at[j] = gathered[j].data;
                    }
                    INFO(set->name << " head_dim " << head_dim << " n " << n_positions
                                   << " queries " << n);
                    set->attention_scores(q_at, n, keys.data(), head_dim, 0.125f, scores_at);
                    for (size_t j = 0; j < n; j++) {
                        for (size_t p = 0; p < kKvPositions; p++) {
                            float acc = 0;
                            for (size_t i = 0; i < head_dim; i++)
                                acc += q[j][i] * f16_to_f32(keys[i * kKvPositions + p]);
                            acc *= 0.125f;
                            REQUIRE(same_bits(&acc, &scores[j].data[p], 1));
                        }
                    }
                    set->attention_values(const_cast<const float* const*>(scores_at), n,
                                          values.data(), head_dim, n_positions, out_at);
                    for (size_t j = 0; j < n; j++) {
                        const std::vector<float> before = activations(head_dim, 50 + j);
                        for (size_t i = 0; i < head_dim; i++) {
                            float acc = before[i];
                            for (size_t p = 0; p < n_positions; p++)
                                acc += scores[j].data[p] * f16_to_f32(values[p * head_dim + i]);
                            REQUIRE(same_bits(&acc, &gathered[j].data[i], 1));
                        }
                    }
                }
            }
        }
    }
}

namespace {

// Cached values of n_cols columns, of random bits, and probabilities of kKvPositions positions.
struct ValueCase {
    size_t n_cols;
    Bytes64 values;
    std::vector<float> p;

    ValueCase(size_t cols, uint64_t seed)
        : n_cols(cols), values(cols / kBlockCols * CachedValues::kBlockBytes), p(kKvPositions) {
        Source source(seed);
        for (size_t c = 0; c < n_cols; c++) {
            for (size_t pos = 0; pos < kKvPositions; pos++) {
                // The extremes come up often, -128 too, which no quantization makes.
                const uint64_t v = source.next();
                q(pos, c) = int8_t(v % 5 == 0 ? 127 : v % 5 == 1 ? -128 : int(v >> 8 & 0xff));
            }
        }
        for (size_t b = 0; b < n_cols / kBlockCols; b++) {
            for (size_t pos = 0; pos < kKvPositions; pos++)
                set_scale(pos, b, std::fabs(source.uniform()) * 0.05f);
        }
        for (float& x : p) x = std::fabs(source.uniform());
    }
    uint8_t* block(size_t b) const { return values.data + b * CachedValues::kBlockBytes; }
    int8_t& q(size_t pos, size_t c) const {
        uint8_t* const at = block(c / kBlockCols) + CachedValues::q_at(pos, c % kBlockCols);
        return *reinterpret_cast<int8_t*>(at);
    }
    void set_scale(size_t pos, size_t b, float scale) const {
        const uint16_t half = f32_to_f16(scale);
        memcpy(block(b) + CachedValues::scale_at(pos), &half, sizeof half);
    }
    float scale(size_t pos, size_t b) const {
        uint16_t half;
        memcpy(&half, block(b) + CachedValues::scale_at(pos), sizeof half);
        return f16_to_f32(half);
    }
    // The contract of attention_values_q8, of probabilities x, added to out.
    void add(const std::vector<float>& x, float* out) const {
        for (size_t b = 0; b < n_cols / kBlockCols; b++) {
            float w[kKvPositions], most = 0;
            bool is_nan = false;
            for (size_t pos = 0; pos < kKvPositions; pos++) {
                w[pos] = x[pos] * scale(pos, b);
                is_nan |= std::isnan(w[pos]);
                most = std::max(most, w[pos]);
            }
            if (is_nan || most < 0x1p-100f) continue;
            for (size_t c = b * kBlockCols; c < (b + 1) * kBlockCols; c++) {
                int64_t sum = 0;
                for (size_t pos = 0; pos < kKvPositions; pos++)
                    sum += int64_t{q(pos, c)} * int64_t(std::nearbyint(w[pos] * (32767 / most)));
                out[c] += float(sum) * (most / 32767);
            }
        }
    }
};

}  // namespace

TEST_CASE(
    "every kernel set's attention over values of 8 bits has the bits of the contract, for any "
    "number "
    "of columns and queries") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n_cols : {32u, 64u, 96u, 128u, 256u}) {
            for (const size_t n_seen : {1u, 2u, 15u, 17u, 31u, 32u}) {
                const ValueCase values(n_cols, n_cols + n_seen);
                values.set_scale(0, 0, 65504);
                values.set_scale(1 % n_seen, 0, 0x1p-24f);  // the smallest subnormal
                values.set_scale(0, n_cols / kBlockCols - 1, 0);
                for (size_t n = 1; n <= kMaxQueries; n++) {
                    INFO(set->name << " columns " << n_cols << " seen " << n_seen << " queries "
                                   << n);
                    std::vector<std::vector<float>> p;
                    std::vector<Odd> gathered;
                    const float* p_at[kMaxQueries];
                    float* out_at[kMaxQueries];
                    for (size_t j = 0; j < n; j++) {
                        Source source(j + 1);
                        p.emplace_back(kKvPositions);
                        // Queries see less and less, and the sixth hardly anything.
                        for (size_t i = 0; i + j / 4 < n_seen; i++)
                            p[j][i] = std::fabs(source.uniform()) * (j == 5 ? 0x1p-98f : 1);
                        gathered.emplace_back(activations(n_cols, 50 + j));
                    }
                    for (size_t j = 0; j < n; j++) {
                        p_at[j] = p[j].data();
                        out_at[j] = gathered[j].data;
                    }
                    set->attention_values_q8(p_at, n, values.values.data, n_cols, out_at);
                    for (size_t j = 0; j < n; j++) {
                        std::vector<float> expected = activations(n_cols, 50 + j);
                        values.add(p[j], expected.data());
                        INFO("query " << j);
                        REQUIRE(same_bits(expected.data(), gathered[j].data, n_cols));
                        REQUIRE(gathered[j].marks_stand());
                    }
                }
            }
        }
    }
}

TEST_CASE("weights of 16 bits are as good as floats beside values of 8") {
    const ValueCase values(128, 1);
    std::vector<float> out(128);
    const float* const p = values.p.data();
    float* const out_at = out.data();
    kScalarKernels.attention_values_q8(&p, 1, values.values.data, 128, &out_at);
    for (size_t c = 0; c < 128; c++) {
        double exact = 0, magnitude = 0, largest = 0, sum_q = 0;
        for (size_t pos = 0; pos < kKvPositions; pos++) {
            const double w = double(values.p[pos]) * double(values.scale(pos, c / kBlockCols));
            exact += w * values.q(pos, c);
            magnitude += std::fabs(w * values.q(pos, c));
            largest = std::max(largest, w);
            sum_q += std::fabs(double(values.q(pos, c)));
        }
        // Half a step for every weight; 1e-6 covers the roundings of floats: of w, of the factor, of
        // both products of the sum, of the step.
        REQUIRE(std::fabs(double(out[c]) - exact) <= sum_q * largest / 65534 + 1e-6 * magnitude);
    }
}

TEST_CASE("values of 8 bits that nobody sees leave no trace, and a NaN adds nothing") {
    for (const Kernels* set : usable_sets()) {
        INFO(set->name);
        const ValueCase values(64, 3), others(64, 3);
        std::vector<float> p = values.p;
        std::fill_n(p.begin(), 9, 0.0f);
        std::fill_n(p.begin() + 20, 12, 0.0f);
        for (size_t pos = 0; pos < kKvPositions; pos++) {
            if (p[pos] != 0) continue;
            for (size_t c = 0; c < 64; c++) others.q(pos, c) = -127;
            for (const size_t b : {0u, 1u}) others.set_scale(pos, b, 65504);
        }
        const float* p_at = p.data();
        std::vector<float> with(64), without(64);
        float *with_at = with.data(), *without_at = without.data();
        set->attention_values_q8(&p_at, 1, others.values.data, 64, &with_at);
        set->attention_values_q8(&p_at, 1, values.values.data, 64, &without_at);
        REQUIRE(same_bits(with.data(), without.data(), 64));
        // What softmax makes of a NaN among the scores; positions that are not seen stay 0.
        for (float& x : p) x = x == 0 ? x : NAN;
        set->attention_values_q8(&p_at, 1, values.values.data, 64, &with_at);
        REQUIRE(same_bits(with.data(), without.data(), 64));
    }
}

TEST_CASE("every kernel set's softmax has the bits of the contract and sums to one") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n : {1u, 2u, 15u, 16u, 17u, 32u, 33u, 63u, 500u}) {
            INFO(set->name << " n " << n);
            std::vector<float> x = activations(n, n);
            Odd odd(x);
            set->softmax(odd.data, n);
            const float max = *std::max_element(x.begin(), x.end());
            for (float& v : x) v = exp_f32(v - max);
            const float inverse = 1.0f / sum_of_lanes(n, [&](size_t i) { return x[i]; });
            double total = 0;
            for (float& v : x) v *= inverse, total += double(v);
            REQUIRE(same_bits(odd.data, x.data(), n));
            REQUIRE(odd.marks_stand());
            REQUIRE(total == Approx(1.0).epsilon(1e-6));
        }
    }
}

TEST_CASE("a masked position has probability +0 and changes nobody else's, in every kernel set") {
    for (const Kernels* set : usable_sets()) {
        for (const size_t n : {3u, 16u, 33u, 100u}) {
            for (const size_t n_masked : {size_t{1}, n / 2, n - 1}) {
                INFO(set->name << " n " << n << " masked " << n_masked);
                std::vector<float> x = activations(n, n);
                std::fill_n(x.begin(), n_masked, -INFINITY);
                Odd odd(x);
                set->softmax(odd.data, n);
                const float max = *std::max_element(x.begin(), x.end());
                // The sum of the others alone, each in its own lane.
                const float inverse = 1.0f / sum_of_lanes(n, [&](size_t i) {
                                          return i < n_masked ? 0.0f : exp_f32(x[i] - max);
                                      });
                const float zero = 0;
                for (size_t i = 0; i < n; i++) {
                    const float expected = i < n_masked ? zero : exp_f32(x[i] - max) * inverse;
                    REQUIRE(same_bits(&odd.data[i], &expected, 1));
                }
            }
        }
    }
}

TEST_CASE("the lowest finite score is not masked: it has exp's least value, in every kernel set") {
    for (const Kernels* set : usable_sets()) {
        INFO(set->name);
        float x[] = {0, std::numeric_limits<float>::lowest(), -INFINITY, -1000};
        set->softmax(x, 4);
        const float least = exp_f32(-1000);
        REQUIRE(least > 0);
        REQUIRE(x[0] == 1);
        REQUIRE(x[1] == least);
        REQUIRE(x[2] == 0);
        REQUIRE(x[3] == least);
    }
}

TEST_CASE("values of positions with probability 0 leave no trace, whatever their finite value") {
    const size_t head_dim = 72;
    std::vector<uint16_t> values(head_dim * kKvPositions), others;
    Source source(3);
    for (uint16_t& h : values) h = random_half(source);
    std::vector<float> p(kKvPositions);
    for (size_t i = 9; i < kKvPositions; i++) p[i] = source.uniform();
    others = values;
    for (size_t i = 0; i < 9 * head_dim; i++)
        others[i] = uint16_t(i % 2 ? 0xfbff : 0x7bff);  // -+65504
    for (const Kernels* set : usable_sets()) {
        INFO(set->name);
        const float* const p_at[] = {p.data()};
        Floats with(head_dim), without(head_dim);
        std::fill_n(with.data, head_dim, 0.0f);
        std::fill_n(without.data, head_dim, 0.0f);
        float* with_at[] = {with.data};
        float* without_at[] = {without.data};
        const float* const rest_at[] = {p.data() + 9};
        set->attention_values(p_at, 1, others.data(), head_dim, kKvPositions, with_at);
        set->attention_values(rest_at, 1, values.data() + 9 * head_dim, head_dim, kKvPositions - 9,
                              without_at);
        REQUIRE(same_bits(with.data, without.data, head_dim));
    }
}

TEST_CASE("a few tokens have the same bits however weights are read, in every kernel set") {
    const size_t n_rows = 9 * kGroupRows;  // two fours and one, four twos and one
    for (const Layout& layout : kLayouts) {
        for (const size_t n_cols : {256u, 1536u}) {
            const Matrix w(layout, n_rows, n_cols, n_cols);
            for (size_t n_tokens = 1; n_tokens <= Reading::kMostTokens + 1; n_tokens++) {
                Acts a(n_cols, n_tokens);
                for (size_t t = 0; t < n_tokens; t++)
                    quantize(kScalarKernels, activations(n_cols, t + 1), a.acts, t);
                Floats expected(n_tokens * n_rows), found(n_tokens * n_rows);
                matmul_for(kScalarKernels, layout.type)(w.bytes.data, a.acts, n_tokens,
                                                        expected.data, n_rows, 0, n_rows);
                for (const Kernels* set : usable_sets()) {
                    for (Reading reading : readings()) {
                        for (const uint32_t most : {1u, 3u, Reading::kMostTokens}) {
                            reading.n_tokens = most;
                            INFO(set->name << " " << stored_type_name(layout.type) << ", "
                                           << n_tokens << " tokens, " << reading.n_streams << ","
                                           << reading.ahead_bytes << "," << most);
                            std::fill_n(found.data, n_tokens * n_rows, 0.0f);
                            matmul_for(*set, layout.type, reading)(w.bytes.data, a.acts, n_tokens,
                                                                   found.data, n_rows, 0, n_rows);
                            REQUIRE(same_bits(expected.data, found.data, n_tokens * n_rows));
                        }
                    }
                }
            }
        }
    }
}

namespace {

struct Chosen {
    Team team;
    Matrix narrow{kLayouts[0], 80, 256, 1}, wide{kLayouts[0], 32, 1024, 2};
    TrialMatrix matrices[2] = {{kLayouts[0].type, narrow.bytes.data, 80, 256},
                               {kLayouts[0].type, wide.bytes.data, 32, 1024}};
    Bytes64 scratch{choice_scratch_bytes(1024, 1)};

    KernelChoice by(const CpuFeatures& features, const ChoiceGiven& given) {
        team.init(1);
        return choose_kernels(team, kernel_sets(features), matrices, given, 1000, scratch.data);
    }
};

}  // namespace

TEST_CASE("the chosen kernel set is one the CPU may run, and without features only scalar is") {
    Chosen chosen;
    REQUIRE(chosen.by(CpuFeatures{}, {}).kernels == &kScalarKernels);
    const CpuFeatures features = decode_features(read_cpu_words());
    const KernelChoice choice = chosen.by(features, {});
    bool usable = false;
    REQUIRE(find_kernels(choice.kernels->name, strlen(choice.kernels->name), features, &usable) ==
            choice.kernels);
    REQUIRE(usable);
    const auto is_chosen = [&](Reading way) {
        way.n_tokens = choice.reading.n_tokens;
        return way == choice.reading;
    };
    REQUIRE(std::any_of(readings().begin(), readings().end(), is_chosen));
    REQUIRE((choice.reading.n_tokens == 1 ||
             (choice.kernels->reads_few_alike && choice.reading.n_tokens == Reading::kMostTokens)));
    REQUIRE(find_kernels("avx2", 4, CpuFeatures{}, &usable) == &kAvx2Kernels);
    REQUIRE_FALSE(usable);
    REQUIRE(find_kernels("mmx", 3, CpuFeatures{}, &usable) == nullptr);
}

TEST_CASE("what is given of a choice is not timed: the kernel set, the reading, or both") {
    Chosen chosen;
    const CpuFeatures features = decode_features(read_cpu_words());
    const Reading given{2, 640};
    REQUIRE(chosen.by(features, {.kernels = &kScalarKernels}).kernels == &kScalarKernels);
    REQUIRE(chosen.by(features, {.reading = given}).reading == given);
    const KernelChoice both = chosen.by(features, {&kScalarKernels, given});
    REQUIRE(both.kernels == &kScalarKernels);
    REQUIRE(both.reading == given);
}

TEST_CASE("without matrices to try, the first set and the first way of reading are the choice") {
    Team team;
    team.init(1);
    const KernelChoice choice =
        choose_kernels(team, kernel_sets(CpuFeatures{}), {}, {}, 1000, nullptr);
    REQUIRE(choice.kernels == &kScalarKernels);
    REQUIRE(choice.reading == readings()[0]);
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

TEST_CASE("a set is chosen by how far it is behind the best at one token and at sixteen") {
    const auto choose = [](std::vector<double> one, std::vector<double> few) {
        return fastest_of(one, few);
    };
    CHECK(choose({15.0, 14.0}, {4.0, 8.0}) ==
          1);  // a noisy tenth at one token, a factor at sixteen
    CHECK(choose({15.0, 7.0}, {7.5, 8.0}) == 0);
    CHECK(choose({1.0, 2.0, 2.0}, {1.0, 2.0, 3.0}) == 2);
    CHECK(choose({0.0, 5.0}, {0.0, 5.0}) == 1);  // the first was not tried
    CHECK(choose({0.0, 0.0}, {0.0, 0.0}) == 0);
}
