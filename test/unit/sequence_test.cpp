// SPDX-License-Identifier: MIT
// Batches of rows from any mix of sequences, and what a sequence can do: be cut back, forked,
// stopped and lost again. Law 2 throughout: each position of a sequence has the logits it has
// alone.
#include <algorithm>
#include <array>
#include <atomic>
#include <string>
#include <vector>

#include "core/cpu_features.h"
#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;

namespace {

using Tokens = std::vector<TokenId>;

Tokens some_tokens(size_t n, size_t n_vocab, size_t seed) {
    Tokens tokens(n);
    for (size_t i = 0; i < n; i++) tokens[i] = TokenId((i * 7919 + seed * 104729 + 13) % n_vocab);
    return tokens;
}

using Model = SyntheticModel;

// head_dim 24: padded, and heads share blocks of columns.
constexpr char kOddHeads[] = "96,3,4,2,200,300";
// head_dim 32: attention quantizes its own heads.
constexpr char kWholeHeads[] = "128,2,4,1,160,200";

EngineShape shape_of(size_t n_ctx, size_t n_batch, size_t n_workers, size_t n_sequences,
                     KvType kv_type = KvType::f16) {
    return {.n_ctx = n_ctx,
            .n_batch = n_batch,
            .n_logit_rows = n_batch,
            .n_workers = n_workers,
            .n_sequences = n_sequences + 1,  // the engine's own
            .n_return = n_ctx,
            .kv_type = kv_type};
}

uint64_t hash_of(std::span<const float> logits) {
    return Xxh64::of(logits.data(), logits.size_bytes());
}

// The hash of each position's logits, one sequence alone, one token a pass.
std::vector<uint64_t> alone(const Model& model, const Tokens& tokens, KvType type = KvType::f16) {
    Engine engine(model.weights, kScalarKernels, 1, tokens.size(), 1, type);
    std::vector<uint64_t> hashes;
    engine.run(tokens, 1, [&](size_t, std::span<const float> l) { hashes.push_back(hash_of(l)); });
    return hashes;
}

template <class Do>
void on_every_set(Do&& run) {
    for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
        if (!set.usable) continue;
        INFO(set.kernels->name);
        run(*set.kernels);
    }
}

}  // namespace

TEST_CASE("rows of three sequences in one batch have the logits each sequence has alone") {
    const KvType type = GENERATE(KvType::f16, KvType::q8_0);
    for (const char* shape : {kOddHeads, kWholeHeads}) {
        const Model model(shape);
        const std::vector<Tokens> tokens = {some_tokens(70, model.n_vocab(), 1),
                                            some_tokens(41, model.n_vocab(), 2),
                                            some_tokens(33, model.n_vocab(), 3)};
        std::vector<std::vector<uint64_t>> expected;
        for (const Tokens& t : tokens) expected.push_back(alone(model, t, type));

        // How many tokens of each sequence a pass takes, repeated: prompts beside single tokens,
        // a late beginner, all at once.
        const std::vector<std::vector<std::vector<size_t>>> schedules = {
            {{1, 1, 1}}, {{17, 1, 0}, {1, 1, 9}}, {{0, 5, 3}, {33, 1, 1}}, {{70, 41, 33}}};
        on_every_set([&](const Kernels& kernels) {
            for (const size_t n_workers : {1u, 2u, 3u, 4u}) {
                Engine engine(model.weights, kernels, shape_of(70, 150, n_workers, 3, type));
                for (size_t i_schedule = 0; i_schedule < schedules.size(); i_schedule++) {
                    const auto& schedule = schedules[i_schedule];
                    INFO(shape << ", " << kv_type_name(type) << ", " << n_workers
                               << " workers, schedule " << i_schedule);
                    Sequence sequences[3] = {engine.open(), engine.open(), engine.open()};
                    size_t n_checked = 0;
                    for (size_t pass = 0; n_checked < 70 + 41 + 33; pass++) {
                        // Rows of the sequences in turns, so that none of them are neighbours.
                        std::vector<Row> rows;
                        std::vector<std::pair<size_t, size_t>> of;  // sequence, position
                        for (size_t i = 0; i < 70; i++) {
                            for (size_t s = 0; s < 3; s++) {
                                const size_t position = sequences[s].length() + i;
                                const size_t n = schedule[pass % schedule.size()][s];
                                if (i >= n || position >= tokens[s].size()) continue;
                                rows.push_back(
                                    {&sequences[s], position, tokens[s][position], true});
                                of.push_back({s, position});
                            }
                        }
                        if (rows.empty()) continue;
                        const Status status = engine.transformer().forward(rows);
                        INFO(status.text());
                        REQUIRE(status.ok());
                        for (size_t i = 0; i < rows.size(); i++) {
                            INFO("sequence " << of[i].first << ", position " << of[i].second);
                            REQUIRE(hash_of(engine.workspace().logits_row(i)) ==
                                    expected[of[i].first][of[i].second]);
                        }
                        n_checked += rows.size();
                    }
                }
            }
        });
    }
}

TEST_CASE("only the rows that want logits get them, in the order of the rows") {
    const Model model(kOddHeads);
    const Tokens tokens = some_tokens(20, model.n_vocab(), 1);
    const std::vector<uint64_t> expected = alone(model, tokens);
    for (const size_t n_workers : {1u, 3u}) {
        EngineShape shape = shape_of(20, 20, n_workers, 1);
        shape.n_logit_rows = 3;
        for (const std::vector<size_t>& wanted :
             {std::vector<size_t>{}, {19}, {0}, {3, 19}, {0, 7, 8}}) {
            Engine engine(model.weights, kScalarKernels, shape);
            std::vector<Row> rows;
            for (size_t i = 0; i < 20; i++)
                rows.push_back({&engine.sequence(), i, tokens[i], false});
            for (const size_t i : wanted) rows[i].wants_logits = true;
            REQUIRE(engine.transformer().forward(rows).ok());
            for (size_t i = 0; i < wanted.size(); i++)
                REQUIRE(hash_of(engine.workspace().logits_row(i)) == expected[wanted[i]]);
            // Nobody wants any: those of the last pass stand.
            Sequence& sequence = engine.sequence();
            sequence.truncate(10);
            const uint64_t before = hash_of(engine.workspace().logits_row(0));
            REQUIRE(engine.transformer().feed(sequence, std::span(tokens).subspan(10), false).ok());
            REQUIRE(hash_of(engine.workspace().logits_row(0)) == before);
            sequence.truncate(10);
            REQUIRE(engine.transformer().feed(sequence, std::span(tokens).subspan(10), true).ok());
            REQUIRE(hash_of(engine.workspace().logits_row(0)) == expected[19]);
        }
    }
}

TEST_CASE("a sequence that is cut back and fed again has the bits of a straight run") {
    const KvType type = GENERATE(KvType::f16, KvType::q8_0);
    const Model model(kOddHeads);
    const Tokens straight = some_tokens(70, model.n_vocab(), 1);
    const Tokens detour = some_tokens(70, model.n_vocab(), 2);
    on_every_set([&](const Kernels& kernels) {
        Engine engine(model.weights, kernels, shape_of(140, 70, 2, 0, type));
        Sequence& sequence = engine.sequence();
        for (const size_t kept : {0u, 1u, 31u, 32u, 33u, 64u, 69u}) {
            INFO(kv_type_name(type) << ", cut back to " << kept);
            const std::span<const TokenId> tokens = straight;
            sequence.truncate(0);
            engine.append(sequence, tokens, 70);
            const uint64_t expected = [&] {
                Engine one(model.weights, kernels, 1, 70, 1, type);
                one.append(one.sequence(), tokens.first(kept), 1);
                return one.append(one.sequence(), tokens.subspan(kept), 1);
            }();
            sequence.truncate(kept);
            const Sequence::Mark mark = sequence.mark();
            engine.append(sequence, detour, 7);
            sequence.restore(mark);
            REQUIRE(sequence.length() == kept);
            REQUIRE(engine.in_use("kv") == 3 * ((kept + 31) / 32));
            REQUIRE(engine.append(sequence, tokens.subspan(kept), 9) == expected);
        }
    });
}

TEST_CASE("both branches of a fork have the bits of straight runs, and share what they can") {
    const KvType type = GENERATE(KvType::f16, KvType::q8_0);
    const Model model(kOddHeads);  // 3 layers
    const Tokens a = some_tokens(75, model.n_vocab(), 1),
                 other = some_tokens(75, model.n_vocab(), 2);
    for (const size_t n_common : {1u, 32u, 40u}) {
        INFO(kv_type_name(type) << ", " << n_common << " tokens in common");
        Tokens b = a;
        std::copy(other.begin() + ptrdiff_t(n_common), other.end(),
                  b.begin() + ptrdiff_t(n_common));
        const auto rest = [&](const Tokens& t) { return std::span(t).subspan(n_common); };
        const auto expected = [&](const Tokens& t) {
            Engine one(model.weights, kScalarKernels, 1, 75, 75, type);
            one.append(one.sequence(), std::span(t).first(n_common), 75);
            return one.append(one.sequence(), rest(t), 75);
        };
        Engine engine(model.weights, kScalarKernels, shape_of(75, 75, 2, 1, type));
        engine.append(engine.sequence(), std::span(a).first(n_common), 5);
        const size_t n_blocks = 3 * ((n_common + 31) / 32);
        REQUIRE(engine.in_use("kv") == n_blocks);
        Result<Sequence> forked = engine.sequence().fork();
        REQUIRE(forked.ok());
        Sequence branch = std::move(forked.value());
        REQUIRE(branch.length() == n_common);
        REQUIRE(engine.in_use("kv") == n_blocks);
        REQUIRE(engine.sequence().fork().status().code() == Code::no_memory);  // no third table

        // The first writer copies the block they are both in, if they are inside one.
        engine.append(branch, rest(b).first(1), 1);
        REQUIRE(engine.in_use("kv") == n_blocks + 3);
        branch.truncate(n_common);
        const uint64_t hash_b = engine.append(branch, rest(b), 11);
        const uint64_t hash_a = engine.append(engine.sequence(), rest(a), 6);
        REQUIRE(hash_b == expected(b));
        REQUIRE(hash_a == expected(a));
        REQUIRE(engine.in_use("kv") == 2 * 9 - 3 * (n_common / 32));
        engine.sequence().truncate(0);
        REQUIRE(engine.in_use("kv") == 9);
        branch.close();
        REQUIRE(engine.in_use("kv") == 0);
    }
}

TEST_CASE("a sequence that ends gives all its memory back, and moving one takes none") {
    const Model model(kOddHeads);
    Engine engine(model.weights, kScalarKernels, shape_of(64, 64, 1, 2));
    const Tokens tokens = some_tokens(40, model.n_vocab(), 1);
    REQUIRE(engine.in_use("kv_table") == 1);
    {
        Sequence first = engine.open(), second = engine.open();
        REQUIRE(Sequence::open(engine.pool()).status().code() == Code::no_memory);
        engine.append(first, tokens, 40);
        engine.append(second, tokens, 8);
        REQUIRE(engine.in_use("kv") == 12);
        first = std::move(second);
        REQUIRE(engine.in_use("kv") == 6);
        REQUIRE(engine.in_use("kv_table") == 2);
        REQUIRE(first.length() == 40);
    }
    REQUIRE(engine.in_use("kv") == 0);
    REQUIRE(engine.in_use("kv_table") == 1);
}

TEST_CASE("a pass that is stopped leaves every sequence as it was, and goes on afterwards") {
    const Model model(kOddHeads);  // 3 layers
    const Tokens tokens = some_tokens(64, model.n_vocab(), 1);
    const std::span<const TokenId> all = tokens;
    for (const size_t n_workers : {1u, 3u}) {
        for (const size_t stop_at : {1u, 2u, 3u}) {
            Engine engine(model.weights, kScalarKernels, shape_of(64, 64, n_workers, 1));
            struct Stop {
                std::atomic<bool> now{false};
                size_t n_boundaries = 0, at = 0;
            } stop;
            stop.at = stop_at;
            engine.loop().stop_when(&stop.now);
            engine.loop().add({.name = "stop",
                               .poll =
                                   [](void* c, uint64_t) {
                                       Stop& s = *static_cast<Stop*>(c);
                                       s.now = s.at != 0 && ++s.n_boundaries == s.at;
                                   },
                               .context = &stop});
            stop.at = 0;
            Sequence other = engine.open();
            engine.append(engine.sequence(), all.first(20), 20);
            engine.append(other, all.first(33), 33);
            stop.at = stop_at;
            std::vector<Row> rows;
            for (size_t i = 20; i < 50; i++)
                rows.push_back({&engine.sequence(), i, tokens[i], true});
            rows.push_back({&other, 33, tokens[33], true});
            REQUIRE(engine.transformer().forward(rows).code() == Code::interrupted);
            stop.at = 0;
            stop.now = false;
            REQUIRE(engine.sequence().length() == 20);
            REQUIRE(other.length() == 33);
            REQUIRE(engine.in_use("kv") == 3 + 6);

            Engine one(model.weights, kScalarKernels, 1, 64, 64);
            one.append(one.sequence(), all.first(20), 20);
            REQUIRE(engine.append(engine.sequence(), all.subspan(20), 8) ==
                    one.append(one.sequence(), all.subspan(20), 44));
        }
    }
}

TEST_CASE("a batch of which one sequence has no room changes none of them") {
    const Model model(kOddHeads);
    Engine engine(model.weights, kScalarKernels, shape_of(40, 40, 2, 1));
    const Tokens tokens = some_tokens(40, model.n_vocab(), 1);
    Sequence full = engine.open();
    engine.append(full, tokens, 40);
    const Row rows[] = {{&engine.sequence(), 0, 1, true}, {&full, 40, 1, true}};
    const Status status = engine.transformer().forward(rows);
    REQUIRE(status.code() == Code::no_memory);
    REQUIRE(std::string(status.text()).find("41 positions, 40 allowed") != std::string::npos);
    REQUIRE(engine.sequence().length() == 0);
    REQUIRE(full.length() == 40);
    REQUIRE(engine.in_use("kv") == 6);
    REQUIRE(engine.transformer().forward(std::span(rows).first(1)).ok());
}

// --- windows

namespace {

size_t g_window = 0;  // of masked_softmax

// Attention over all positions with those before the window masked: what a window is to equal.
void masked_softmax(float* x, size_t n) {
    const size_t begin = n > g_window ? n - g_window : 0;
    std::fill(x, x + begin, -__builtin_huge_valf());
    kScalarKernels.softmax(x, n);
    std::fill(x, x + begin, 0.0f);
}

}  // namespace

TEST_CASE("a windowed sequence has the bits of one that keeps everything and masks it") {
    const KvType type = GENERATE(KvType::f16, KvType::q8_0);
    for (const char* shape : {kOddHeads, kWholeHeads}) {
        Model model(shape);
        const Tokens tokens = some_tokens(150, model.n_vocab(), 1);
        Engine everything(model.weights, kScalarKernels, 1, 150, 150, type);
        const uint64_t unlimited = everything.hash(tokens, 150);
        Kernels masked = kScalarKernels;
        masked.softmax = masked_softmax;
        Engine reference(model.weights, masked, 1, 150, 150, type);
        for (const size_t window : {1u, 31u, 32u, 33u, 50u, 150u}) {
            INFO(shape << ", " << kv_type_name(type) << ", window " << window);
            g_window = window;
            for (LayerConfig& layer : model.layers) layer.window = 0;
            const uint64_t expected = reference.hash(tokens, 150);
            REQUIRE((expected == unlimited) == (window == 150));
            for (LayerConfig& layer : model.layers) layer.window = uint32_t(window);
            on_every_set([&](const Kernels& kernels) {
                for (const size_t n_return : {0u, 30u}) {
                    const size_t n_workers = n_return == 0 ? 1 : 3;
                    EngineShape s = shape_of(150, 40, n_workers, 0, type);
                    s.n_return = n_return;
                    Engine engine(model.weights, kernels, s);
                    for (const size_t n_at_once : {1u, 7u, 40u}) {
                        INFO(n_workers << " workers, batches of " << n_at_once);
                        REQUIRE(engine.hash(tokens, n_at_once) == expected);
                    }
                }
            });
        }
    }
}

TEST_CASE("windows free the blocks nobody can return to, and not one more") {
    Model model(kOddHeads);
    // Layers 0 and 2 see 40 positions, layer 1 all.
    model.layers[0].window = model.layers[2].window = 40;
    const Tokens tokens = some_tokens(400, model.n_vocab(), 1);
    const std::span<const TokenId> all = tokens;
    EngineShape shape = shape_of(400, 32, 1, 0);
    shape.n_return = 50;
    Engine engine(model.weights, kScalarKernels, shape);
    Sequence& sequence = engine.sequence();
    std::vector<uint64_t> expected;
    {
        EngineShape keeps_all = shape;
        keeps_all.n_return = 400;
        Engine one(model.weights, kScalarKernels, keeps_all);
        one.run(tokens, 32,
                [&](size_t, std::span<const float> l) { expected.push_back(hash_of(l)); });
        REQUIRE(one.sequence().return_point() == 0);
        REQUIRE(one.in_use("kv") == 3 * 13);
    }
    for (size_t n = 1; n <= 300; n++) {
        engine.append(sequence, all.subspan(n - 1, 1), 1);
        const size_t point = n > 50 ? n - 50 : 0;
        REQUIRE(sequence.return_point() == point);
        // A row at `point` sees position point - 39 first.
        const size_t first = point > 39 ? (point - 39) / 32 : 0, n_blocks = (n + 31) / 32;
        REQUIRE(engine.in_use("kv") == n_blocks + 2 * (n_blocks - first));
    }
    // As far back as promised, the bits are still there.
    sequence.truncate(250);
    size_t n_wrong = 0;
    engine.run(sequence, all.subspan(250), 32, [&](size_t i, std::span<const float> l) {
        n_wrong += hash_of(l) != expected[250 + i];
    });
    REQUIRE(n_wrong == 0);
    REQUIRE(sequence.return_point() == 350);
    REQUIRE_THROWS(sequence.truncate(349));
    sequence.truncate(0);
    REQUIRE(sequence.return_point() == 0);
    REQUIRE(engine.in_use("kv") == 0);
}

TEST_CASE("what a window leaves behind stays with a fork that can still see it") {
    Model model(kOddHeads);
    for (LayerConfig& layer : model.layers) layer.window = 20;
    const Tokens tokens = some_tokens(200, model.n_vocab(), 1);
    const std::span<const TokenId> all = tokens;
    EngineShape shape = shape_of(200, 50, 1, 1);
    shape.n_return = 0;
    Engine engine(model.weights, kScalarKernels, shape), one(model.weights, kScalarKernels, shape);
    engine.append(engine.sequence(), all.first(50), 50);
    one.append(one.sequence(), all.first(50), 50);
    Sequence branch = std::move(engine.sequence().fork().value());
    engine.append(engine.sequence(), all.subspan(50), 50);
    REQUIRE(branch.return_point() == 50);
    REQUIRE(engine.append(branch, all.subspan(50), 9) ==
            one.append(one.sequence(), all.subspan(50), 50));
    branch.close();
    engine.sequence().truncate(0);
    REQUIRE(engine.in_use("kv") == 0);
}

TEST_CASE("a pool of windows has blocks for the batches it was planned for, to the last") {
    Model model(kOddHeads);
    for (LayerConfig& layer : model.layers) layer.window = 33;
    const Tokens tokens = some_tokens(500, model.n_vocab(), 1);
    for (const size_t n_batch : {1u, 31u, 32u, 64u}) {
        for (const size_t n_return : {0u, 10u, 33u}) {
            EngineShape shape = shape_of(500, n_batch, 1, 0);
            shape.n_sequences = 1;
            shape.n_return = n_return;
            Engine engine(model.weights, kScalarKernels, shape);
            // Every offset of a batch inside a block comes up.
            engine.append(engine.sequence(), std::span(tokens).first(1), 1);
            engine.append(engine.sequence(), std::span(tokens).subspan(1), n_batch);
            size_t capacity = 0, high_water = 0;
            for (size_t i = 0; i < engine.slab().n_classes(); i++) {
                const SlabClassStats stats = engine.slab().stats(Slab::ClassId(i));
                if (stats.name == "kv") capacity = stats.capacity, high_water = stats.high_water;
            }
            INFO(n_batch << " rows a pass, returning " << n_return);
            REQUIRE(capacity < 3 * 16);
            REQUIRE(high_water <= capacity);
        }
    }
}

// --- layers that differ

TEST_CASE("layers of other heads, windows, ropes and shared keys give one hash everywhere") {
    const KvType type = GENERATE(KvType::f16, KvType::q8_0);
    Model model(kOddHeads);  // 4 heads of 24, 2 of them for keys
    std::vector<LayerConfig>& layers = model.layers;
    const Tokens tokens = some_tokens(100, model.n_vocab(), 1);
    const auto hash_everywhere = [&] {
        Engine reference(model.weights, kScalarKernels, 1, 100, 100, type);
        const uint64_t expected = reference.hash(tokens, 1);
        on_every_set([&](const Kernels& kernels) {
            for (const size_t n_workers : {1u, 3u}) {
                Engine engine(model.weights, kernels, n_workers, 100, 100, type);
                for (const size_t n_at_once : {1u, 9u, 100u})
                    REQUIRE(engine.hash(tokens, n_at_once) == expected);
            }
        });
        return expected;
    };
    std::vector<uint64_t> hashes = {hash_everywhere()};
    layers[1].rope = format::kNone;
    hashes.push_back(hash_everywhere());
    layers[1].n_head = 2, layers[1].n_head_kv = 1, layers[1].head_dim = 48;
    hashes.push_back(hash_everywhere());
    layers[0].window = 40;
    hashes.push_back(hash_everywhere());
    layers[2].kv_layer = 0;
    hashes.push_back(hash_everywhere());
    layers[2].window = 20;
    hashes.push_back(hash_everywhere());
    std::sort(hashes.begin(), hashes.end());
    REQUIRE(std::adjacent_find(hashes.begin(), hashes.end()) == hashes.end());

    // Layer 2 has no blocks, layer 1 has blocks of its own size, unless heads are padded: two of 24 and
    // one of 48 are 64 columns alike then. A shared window is the wider one.
    EngineShape shape = shape_of(100, 10, 1, 0, type);
    shape.n_return = 0;
    Engine engine(model.weights, kScalarKernels, shape);
    engine.append(engine.sequence(), tokens, 10);
    REQUIRE(engine.pool().layers()[0].window == 40);
    // Of 100 positions the last 40 touch blocks 1 to 3.
    if (type == KvType::f16) {
        REQUIRE(engine.in_use("kv") == 3);
        REQUIRE(engine.in_use("kv 2") == 4);
    } else {
        REQUIRE(engine.in_use("kv") == 3 + 4);
    }
    layers[2].window = 64;
    Engine wider(model.weights, kScalarKernels, shape);
    REQUIRE(wider.pool().layers()[0].window == 64);
}

TEST_CASE("each layer turns by its own table of frequencies") {
    Model model(kOddHeads);
    const Tokens tokens = some_tokens(20, model.n_vocab(), 1);
    const auto hash = [&] {
        return Engine(model.weights, kScalarKernels, 2, 20, 20).hash(tokens, 20);
    };
    const size_t n = model.weights.config.rope_pairs();
    const std::vector<format::RopeTable> two(2, model.weights.config.rope[0]);
    const double* const own = model.weights.rope_freqs.f64();
    std::vector<double> tables(own, own + n), other;
    for (size_t i = 0; i < n; i++) other.push_back(own[i] / 8);
    const uint64_t of_own = hash();
    model.weights.rope_freqs.data = other.data();
    const uint64_t of_other = hash();
    REQUIRE(of_own != of_other);
    tables.insert(tables.end(), other.begin(), other.end());
    model.weights.rope_freqs.data = tables.data();
    model.weights.config.rope = two;
    REQUIRE(hash() == of_own);
    model.layers[1].rope = 1;
    const uint64_t of_both = hash();
    REQUIRE((of_both != of_own && of_both != of_other));
    for (LayerConfig& layer : model.layers) layer.rope = 1;
    REQUIRE(hash() == of_other);
}

TEST_CASE("layers of more sizes than the pool has classes share the largest") {
    Model model("96,6,4,4,64,64");
    std::vector<LayerConfig>& layers = model.layers;
    // Six ways to see 96 rows of queries and at most 96 of keys.
    const auto heads = [&](size_t i, uint32_t n, uint32_t n_kv, uint32_t dim) {
        layers[i].n_head = n, layers[i].n_head_kv = n_kv, layers[i].head_dim = dim;
    };
    heads(0, 6, 1, 16), heads(1, 6, 2, 16), heads(2, 6, 3, 16), heads(3, 6, 6, 16);
    heads(4, 4, 4, 24), heads(5, 2, 1, 48);
    format::RopeTable rope = model.weights.config.rope[0];
    rope.n_dims = 16;
    model.weights.config.rope = {&rope, 1};
    const Tokens tokens = some_tokens(40, model.n_vocab(), 1);
    Engine engine(model.weights, kScalarKernels, 1, 40, 40);
    const uint64_t hash = engine.hash(tokens, 40);
    REQUIRE(engine.in_use("kv") == 2);
    REQUIRE(engine.in_use("kv 2") == 2);
    REQUIRE(engine.in_use("kv 3") == 4);  // of 3 x 16 and 1 x 48 columns
    REQUIRE(engine.in_use("kv 4") == 4);  // of 6 x 16, and of 4 x 24 padded to 32
    REQUIRE(Engine(model.weights, kScalarKernels, 3, 40, 40).hash(tokens, 1) == hash);
}

// --- where weights come from

namespace {

// Weights in memory that can be lost, and that write down what is asked of them.
class FakeSource final : public WeightSource {
  public:
    explicit FakeSource(const Weights& weights) : weights_(weights) {}

    Status acquire(size_t i, const LayerWeights** layer) override {
        text += "<" + std::to_string(i);
        if (i == fails_at) return Status(Code::io, "disk lost");
        layer_ = weights_.layer(i);
        *layer = &layer_;
        return {};
    }
    void release(size_t i) override {
        text += std::to_string(i) + ">";
        layer_ = {};
    }
    Status acquire_experts(size_t, std::span<const uint32_t>, ExpertWeights*) override {
        return {};
    }
    bool works() const override { return true; }
    bool to_check() const override { return true; }
    void check(const Worker& worker) override { n_checks[worker.rank]++; }
    Status checked() override {
        text += "?";
        return text.ends_with("<" + std::to_string(damaged) + "?") ? Status(Code::io, "damaged")
                                                                   : Status();
    }
    void at_barrier(const Worker& worker) override { n_barriers[worker.rank]++; }

    std::string text;
    size_t fails_at = SIZE_MAX, damaged = SIZE_MAX;        // layers
    std::array<size_t, 4> n_barriers = {}, n_checks = {};  // of each worker

  private:
    const Weights& weights_;
    LayerWeights layer_;
};

}  // namespace

TEST_CASE(
    "a layer's weights are held from its beginning to its boundary, checked by all workers before "
    "and tended in between") {
    for (const char* shape : {kOddHeads, kWholeHeads}) {
        const Model model(shape);
        const Tokens tokens = some_tokens(40, model.n_vocab(), 1);
        const uint64_t expected = Engine(model.weights, kScalarKernels, 1, 40, 40).hash(tokens, 10);
        for (const size_t n_workers : {1u, 3u}) {
            FakeSource source(model.weights);
            Engine engine(model.weights, kScalarKernels, shape_of(40, 40, n_workers, 0), &source);
            REQUIRE(engine.hash(tokens, 40) == expected);
            const bool odd = shape == kOddHeads;
            REQUIRE(source.text == (odd ? "<0?0><1?1><2?2>" : "<0?0><1?1>"));
            // A layer's boundary and barriers: five between its stages, two after norms, and one where
            // heads share blocks of columns.
            for (size_t i = 0; i < n_workers; i++) {
                REQUIRE(source.n_checks[i] == (odd ? 3 : 2));
                REQUIRE(source.n_barriers[i] == (odd ? 3 * 9 : 2 * 8));
            }
            source.n_barriers = {};
            engine.sequence().truncate(0);
            engine.append(engine.sequence(), std::span(tokens).first(1), 1);
            // One token: norms need no barrier.
            REQUIRE(source.n_barriers[0] == (odd ? 3 * 7 : 2 * 6));
        }
    }
}

TEST_CASE(
    "weights that cannot be had, or are damaged, end the pass with the source's error, on every "
    "worker") {
    const Model model(kOddHeads);
    const Tokens tokens = some_tokens(40, model.n_vocab(), 1);
    const std::span<const TokenId> all = tokens;
    for (const size_t n_workers : {1u, 4u}) {
        for (const size_t i : {0u, 1u, 2u}) {
            for (const bool damaged : {false, true}) {
                FakeSource source(model.weights);
                Engine engine(model.weights, kScalarKernels, shape_of(40, 40, n_workers, 0),
                              &source);
                engine.append(engine.sequence(), all.first(10), 10);
                (damaged ? source.damaged : source.fails_at) = i;
                source.text.clear();
                const Row row = {&engine.sequence(), 10, tokens[10], true};
                const Status status = engine.transformer().forward({&row, 1});
                REQUIRE(status.code() == Code::io);
                REQUIRE(status.text() == (damaged ? "damaged" : "disk lost"));
                // What was found damaged had been acquired, and is released.
                const std::string before = std::string("<0?0><1?1><2?2>").substr(0, 5 * i);
                const std::string last = std::to_string(i);
                REQUIRE(source.text ==
                        before + "<" + last + (damaged ? "?" + last + ">" : std::string()));
                REQUIRE(engine.sequence().length() == 10);
                source.fails_at = source.damaged = SIZE_MAX;  // the disk is back
                Engine one(model.weights, kScalarKernels, 1, 40, 40);
                one.append(one.sequence(), all.first(10), 1);
                REQUIRE(engine.append(engine.sequence(), all.subspan(10), 7) ==
                        one.append(one.sequence(), all.subspan(10), 1));
            }
        }
    }
}
