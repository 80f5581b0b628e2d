// SPDX-License-Identifier: MIT
// Law 2 for the types that K-quant models bring: layers, embedding and a tied output of each, on
// every kernel set.
#include <string>
#include <vector>

#include "test/unit/synthetic.h"

using namespace axiom;
using namespace axiom::test;

TEST_CASE("layers, embedding and tied output of each type give one logits hash on every set",
          "[sweep]") {
    uint64_t previous = 0;
    for (const StoredType type : kQuantizedTypes) {
        packer::ConvertOptions options;
        options.type = options.output_type = type;
        // 300 rows of vocabulary end inside a row group.
        const AlignedBytes file = synthetic_model("256,2,4,2,512,300,tied", options);
        const Result<Weights> opened = Weights::open("test.axm", file.span());
        INFO(opened.status().text());
        REQUIRE(opened.ok());
        const Weights& weights = opened.value();
        REQUIRE(weights.token_embd.type == type);
        REQUIRE(weights.output.data == weights.token_embd.data);
        std::vector<TokenId> tokens;
        for (TokenId i = 0; i < 40; i++) tokens.push_back(i * 7919 % 300);
        const uint64_t expected = Engine(weights, kScalarKernels, 1, 40, 40).hash(tokens, 1);
        CHECK(expected != previous);
        previous = expected;
        for (const KernelSet& set : kernel_sets(decode_features(read_cpu_words()))) {
            if (!set.usable) continue;
            for (const size_t n_workers : {1u, 3u}) {
                Engine engine(weights, *set.kernels, n_workers, 40, 40);
                for (const size_t n_at_once : {1u, 9u, 40u}) {
                    INFO(set.kernels->name << ", " << n_workers << " workers, batches of "
                                           << n_at_once << ", " << stored_type_name(type));
                    REQUIRE(engine.hash(tokens, n_at_once) == expected);
                }
            }
        }
    }
}
