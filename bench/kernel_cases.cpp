// SPDX-License-Identifier: MIT
#include "bench/kernel_cases.h"

#include <cstring>
#include <numeric>
#include <random>

#include "model/engine/kv_format.h"

namespace axiom::kernel_bench {
namespace {

struct ModelShape {
    const char* name;
    size_t n_embd, n_head, n_head_kv, n_ff, n_vocab;
    size_t head_dim() const { return n_embd / n_head; }
};
constexpr ModelShape kModels[] = {
    {"smollm2-135m", 576, 9, 3, 1536, 49152},
    {"tinyllama-1.1b", 2048, 32, 4, 5632, 32000},
};
constexpr size_t kTokenCounts[] = {1, 2, 4, 8, 12, 16, 32, 128};
constexpr size_t kPositions = 512;  // that attention looks back on

// What the arena's second half is laid out as, by whoever prepared it last.
float* floats(Arena& arena, size_t offset_floats = 0) {
    return reinterpret_cast<float*>(arena.acts.data()) + offset_floats;
}

void fill_floats(Arena& arena, size_t n) {
    std::minstd_rand random(1);
    for (size_t i = 0; i < n; i++) floats(arena)[i] = float(int(random() % 2001) - 1000) * 0.002f;
}

// ---- matrix products ------------------------------------------------------------------------

// Bytes of 0x3c are plausible in every field of every type: nibbles 12 and 3, a q8 value of 60, an
// f16 scale of 1.06.
void fill_weights(Arena& arena) {
    memset(arena.weights.data(), 0x3c, arena.weights_bytes);
}

struct Matmul {
    StoredType type;
    size_t n_rows, n_cols, n_tokens;
    size_t matrix_bytes, step_bytes;  // a step keeps blocks whole and 64-byte aligned
    size_t n_windows = 1, window = 0;
    QuantizedActs acts{};
    float* y = nullptr;

    void prepare(Arena& arena) {
        fill_weights(arena);
        n_windows = arena.cached ? 1 : std::max<size_t>(1, arena.weights_bytes / step_bytes);
        const size_t acts_bytes = round_up(quantized_acts_bytes(n_cols, n_tokens), 64);
        fill_floats(arena, n_cols);
        acts = quantized_acts_in(arena.acts.data() + round_up(n_cols * 4, 64), n_cols, n_tokens);
        y = floats(arena, (round_up(n_cols * 4, 64) + acts_bytes) / 4);
        for (size_t t = 0; t < n_tokens; t++) {
            floats(arena)[t % n_cols] += 0.1f;  // tokens differ
            kScalarKernels.quantize(floats(arena), n_cols, acts, t, 0, acts.n_cols / kBlockCols);
        }
    }
    void call(const Kernels& kernels, Arena& arena) {
        const uint8_t* const matrix = arena.weights.data() + window * step_bytes;
        window = (window + 1) % n_windows;
        matmul_for(kernels, type)(matrix, acts, n_tokens, y, round_up(n_rows, 16), 0, n_rows);
    }
};

void add_matmuls(const ModelShape& m, std::vector<Case>& out) {
    const size_t n_kv = m.n_head_kv * m.head_dim();
    const struct {
        const char* name;
        size_t n_rows, n_cols;
        bool one_token;  // logits of one position
    } matrices[] = {{"attn_q", m.n_embd, m.n_embd, false},
                    {"attn_k", n_kv, m.n_embd, false},
                    {"ffn_gate", m.n_ff, m.n_embd, false},
                    {"ffn_down", m.n_embd, m.n_ff, false},
                    {"output", m.n_vocab, m.n_embd, true}};
    for (uint32_t i = 0; i < kNStoredTypes; i++) {
        const StoredType type = StoredType(i);
        if (!is_quantized(type)) continue;
        for (const auto& matrix : matrices) {
            for (const size_t n_tokens : kTokenCounts) {
                if (matrix.one_token && n_tokens > 1) continue;
                if (is_k_quant(type) && matrix.n_cols % (kSuperBlocks * kBlockCols) != 0) continue;
                Case c;
                c.op = "matmul";
                c.type = stored_type_name(type);
                c.model = m.name;
                c.shape = std::string(matrix.name) + " " + std::to_string(matrix.n_rows) + "x" +
                          std::to_string(matrix.n_cols);
                c.n_tokens = n_tokens;
                uint64_t bytes = 0;
                AXIOM_CHECK(stored_bytes(type, matrix.n_rows, matrix.n_cols, &bytes));
                c.weight_bytes = double(bytes);
                c.macs = double(matrix.n_rows) * double(matrix.n_cols) * double(n_tokens);
                const size_t n_blocks = is_k_quant(type) ? kSuperBlocks : 1;
                const size_t whole = std::lcm(group_bytes(type, n_blocks), size_t{64});
                const auto run = std::make_shared<Matmul>(Matmul{
                    type, matrix.n_rows, matrix.n_cols, n_tokens, bytes, round_up(bytes, whole)});
                c.prepare = [run](Arena& arena) { run->prepare(arena); };
                c.call = [run](const Kernels& k, Arena& arena) { run->call(k, arena); };
                out.push_back(std::move(c));
            }
        }
    }
}

// ---- everything else works on one token's floats, in the caches -----------------------------

Case float_case(const ModelShape& m, const char* op, std::string shape, size_t n_floats) {
    Case c;
    c.op = op;
    c.model = m.name;
    c.shape = std::move(shape);
    c.elements = double(n_floats);
    return c;
}

void add_rms_norm(const ModelShape& m, std::vector<Case>& out) {
    for (const size_t n : {m.n_embd, m.head_dim()}) {  // of a token, of a head (QK-norm)
        Case c = float_case(m, "rms_norm", std::to_string(n), n);
        c.prepare = [n](Arena& a) { fill_floats(a, 3 * n); };
        c.call = [n](const Kernels& k, Arena& a) {
            k.rms_norm(floats(a), floats(a, n), n, 1e-5f, floats(a, 2 * n));
        };
        out.push_back(std::move(c));
    }
}

void add_quantize(const ModelShape& m, std::vector<Case>& out) {
    for (const size_t n : {m.n_embd, m.n_ff}) {
        Case c = float_case(m, "quantize", std::to_string(n), n);
        c.prepare = [n](Arena& a) { fill_floats(a, n); };
        c.call = [n](const Kernels& k, Arena& a) {
            const QuantizedActs acts = quantized_acts_in(a.acts.data() + round_up(n * 4, 64), n, 1);
            k.quantize(floats(a), n, acts, 0, 0, n / kBlockCols);
        };
        out.push_back(std::move(c));
    }
}

// Two arrays, of which the operation changes the first; each call finds what was prepared, so that
// nothing drifts to zero or infinity.
using OnTwo = void (*)(const Kernels& k, float* x, const float* y, size_t n);
void add_on_two(const ModelShape& m, const char* op, size_t n, OnTwo call, std::vector<Case>& out) {
    Case c = float_case(m, op, std::to_string(n), n);
    c.prepare = [n](Arena& a) { fill_floats(a, 3 * n); };
    c.call = [n, call](const Kernels& k, Arena& a) {
        memcpy(floats(a, 2 * n), floats(a), n * 4);
        call(k, floats(a, 2 * n), floats(a, n), n);
    };
    out.push_back(std::move(c));
}

void add_activations(const ModelShape& m, std::vector<Case>& out) {
    const auto silu_mul = [](const Kernels& k, float* x, const float* y, size_t n) {
        k.silu_mul(x, y, n);
    };
    const auto gelu_mul = [](const Kernels& k, float* x, const float* y, size_t n) {
        k.gelu_mul(x, y, n);
    };
    const auto softcap = [](const Kernels& k, float* x, const float*, size_t n) {
        k.softcap(x, n, 30.0f);
    };
    add_on_two(m, "silu_mul", m.n_ff, silu_mul, out);
    add_on_two(m, "gelu_mul", m.n_ff, gelu_mul, out);
    add_on_two(m, "softcap", kPositions, softcap, out);
}

void add_scalings(const ModelShape& m, std::vector<Case>& out) {
    const auto scale = [](const Kernels& k, float* x, const float*, size_t n) {
        k.scale(x, 0.5f, n);
    };
    const auto add_scaled = [](const Kernels& k, float* x, const float* y, size_t n) {
        k.add_scaled(x, y, 0.5f, n);
    };
    add_on_two(m, "scale", m.n_embd, scale, out);
    add_on_two(m, "add_scaled", m.n_embd, add_scaled, out);
}

// A router's scores.
void add_matvec_f32(const ModelShape& m, std::vector<Case>& out) {
    constexpr size_t kExperts = 64;
    const size_t n = m.n_embd;
    Case c = float_case(m, "matvec_f32", std::to_string(kExperts) + "x" + std::to_string(n), 0);
    c.macs = double(kExperts * n);
    c.prepare = [n](Arena& a) { fill_floats(a, (kExperts + 1) * n); };
    c.call = [n](const Kernels& k, Arena& a) {
        k.matvec_f32(floats(a, n), kExperts, n, floats(a), floats(a, (kExperts + 1) * n));
    };
    out.push_back(std::move(c));
}

void add_add(const ModelShape& m, std::vector<Case>& out) {
    const size_t n = m.n_embd;
    Case c = float_case(m, "add", std::to_string(n), n);
    c.prepare = [n](Arena& a) {
        fill_floats(a, n);
        memset(floats(a, n), 0, n * 4);
    };
    c.call = [n](const Kernels& k, Arena& a) { k.add(floats(a), floats(a, n), n); };
    out.push_back(std::move(c));
}

void add_to_f16(const ModelShape& m, std::vector<Case>& out) {
    const size_t n = m.head_dim();
    Case c = float_case(m, "to_f16", std::to_string(n), n);
    c.prepare = [n](Arena& a) { fill_floats(a, n); };
    c.call = [n](const Kernels& k, Arena& a) {
        k.to_f16(floats(a), reinterpret_cast<uint16_t*>(floats(a, n)), n);
    };
    out.push_back(std::move(c));
}

void add_softmax(const ModelShape& m, std::vector<Case>& out) {
    const size_t n = kPositions;
    Case c = float_case(m, "softmax", std::to_string(n) + " positions", n);
    c.prepare = [n](Arena& a) { fill_floats(a, n); };
    c.call = [n](const Kernels& k, Arena& a) {
        memcpy(floats(a, n), floats(a), n * 4);
        k.softmax(floats(a, n), n);
    };
    out.push_back(std::move(c));
}

void add_rope(const ModelShape& m, std::vector<Case>& out) {
    const size_t n = m.head_dim();
    Case c = float_case(m, "rope", std::to_string(n), n);
    c.prepare = [n](Arena& a) { fill_floats(a, 4 * n); };
    c.call = [n](const Kernels& k, Arena& a) {
        memcpy(floats(a, 3 * n), floats(a), n * 4);
        k.rope(floats(a, 3 * n), floats(a, n), floats(a, 2 * n), n);
    };
    out.push_back(std::move(c));
}

// Queries of one KV head over kPositions: queries, scores and results as floats, queries quantized, then
// the cache.
struct Attention {
    KvType type;
    size_t head_dim, n_queries;
    const float* q[kMaxQueries] = {};
    float* scores[kMaxQueries] = {};
    float* out[kMaxQueries] = {};
    size_t scores_stride = 0;
    QuantizedActs queries{};
    uint8_t* cache = nullptr;

    size_t block_bytes() const { return kv_head_bytes(type, head_dim); }
    void prepare(Arena& a) {
        const size_t each = 2 * head_dim + kPositions;
        scores_stride = each;
        fill_floats(a, each * n_queries);
        for (size_t j = 0; j < n_queries; j++) {
            q[j] = floats(a, j * each);
            out[j] = floats(a, j * each + head_dim);
            scores[j] = floats(a, j * each + 2 * head_dim);
        }
        uint8_t* const rest =
            a.acts.data() + round_up(each * n_queries * sizeof(float), size_t{64});
        queries = quantized_acts_in(rest, head_dim, n_queries);
        for (size_t j = 0; j < n_queries; j++)
            kScalarKernels.quantize(q[j], head_dim, queries, j, 0, head_dim / kBlockCols);
        const size_t n_acts = quantized_acts_bytes(head_dim, n_queries);
        cache = rest + n_acts;
        std::vector<float> x(head_dim);
        const std::unique_ptr<uint8_t[]> scratch(
            new uint8_t[kv_scratch_bytes(type, head_dim) + 64]);
        void* const aligned = reinterpret_cast<void*>(
            round_up(reinterpret_cast<uintptr_t>(scratch.get()), uintptr_t{64}));
        for (size_t i = 0; i < kPositions; i++) {
            for (size_t c = 0; c < head_dim; c++)
                x[c] = float(int((i * head_dim + c) * 37 % 101) - 50) * 0.02f;
            // A block is as good for keys as for values.
            uint8_t* const block = cache + i / kKvPositions * block_bytes();
            kv_store(type, kScalarKernels, aligned, x.data(), x.data(), head_dim, block, block,
                     i % kKvPositions);
        }
    }
    void call_scores(const Kernels& k) {
        for (size_t p = 0; p < kPositions; p += kKvPositions) {
            float* at[kMaxQueries] = {};
            for (size_t j = 0; j < n_queries; j++) at[j] = scores[j] + p;
            const uint8_t* const block = cache + p / kKvPositions * block_bytes();
            if (type == KvType::q8_0) {
                matmul_for(k, StoredType::q8, {.n_streams = 2, .ahead_bytes = 0})(
                    block, queries, n_queries, at[0], scores_stride, 0, kKvPositions);
            } else {
                k.attention_scores(q, n_queries, reinterpret_cast<const uint16_t*>(block), head_dim,
                                   0.125f, at);
            }
        }
    }
    void call_values(const Kernels& k) {
        for (size_t j = 0; j < n_queries; j++) memset(out[j], 0, head_dim * 4);
        for (size_t p = 0; p < kPositions; p += kKvPositions) {
            const float* at[kMaxQueries] = {};
            for (size_t j = 0; j < n_queries; j++) at[j] = scores[j] + p;
            const uint8_t* const block = cache + p / kKvPositions * block_bytes();
            if (type == KvType::q8_0) {
                k.attention_values_q8(at, n_queries, block, head_dim, out);
            } else {
                k.attention_values(at, n_queries, reinterpret_cast<const uint16_t*>(block),
                                   head_dim, kKvPositions, out);
            }
        }
    }
};

void add_attention(const ModelShape& m, std::vector<Case>& out) {
    static_assert(kPositions % kKvPositions == 0);
    for (const KvType type : kKvTypes) {
        for (const size_t n_queries : {size_t{1}, size_t{4}, kMaxQueries}) {
            const auto run = std::make_shared<Attention>(Attention{type, m.head_dim(), n_queries});
            for (const bool is_scores : {true, false}) {
                Case c = float_case(m, is_scores ? "attention_scores" : "attention_values",
                                    "head_dim " + std::to_string(m.head_dim()) + ", " +
                                        std::to_string(kPositions) + " positions",
                                    0);
                c.type = kv_type_name(type);
                c.n_tokens = n_queries;
                c.macs = double(m.head_dim() * kPositions * n_queries);
                c.prepare = [run](Arena& a) { run->prepare(a); };
                c.call = [run, is_scores](const Kernels& k, Arena&) {
                    is_scores ? run->call_scores(k) : run->call_values(k);
                };
                out.push_back(std::move(c));
            }
        }
    }
}

using AddCases = void (*)(const ModelShape&, std::vector<Case>&);
constexpr AddCases kOperations[] = {
    add_matmuls,    add_rms_norm, add_quantize, add_activations, add_scalings,  add_add,
    add_matvec_f32, add_to_f16,   add_softmax,  add_rope,        add_attention,
};

}  // namespace

std::vector<Case> all_cases() {
    std::vector<Case> cases;
    for (const AddCases add : kOperations) {
        for (const ModelShape& m : kModels) add(m, cases);
    }
    return cases;
}

}  // namespace axiom::kernel_bench
