// SPDX-License-Identifier: MIT
// The model families against llama.cpp: test/golden/families (README there).
#include "test/unit/families.h"

#include "packer/gguf.h"
#include "test/unit/engine.h"

using namespace axiom;
using namespace axiom::test;

TEST_CASE("Every family case has its model, its reference and its features", "[families]") {
    const std::vector<FamilyCase> cases = FamilyCase::read_all();
    CHECK(cases.size() >= 46);
    for (const FamilyCase& c : cases) {
        INFO(c.stem());
        const FamilyGolden golden = FamilyGolden::read(c);
        CHECK(golden.tokens.size() >= 128);
        CHECK(golden.tokens.size() <= c.n_ctx);
        CHECK(*std::max_element(golden.tokens.begin(), golden.tokens.end()) < golden.n_vocab);
        for (const uint8_t expert : golden.experts) CHECK(expert < 16);
        CHECK(c.by_median == !golden.experts.empty());
        // Neither exact, which no quantized file is, nor chaos; and no feature hides in the error.
        CHECK(c.own_error > 0.01);
        CHECK(c.own_error < 0.06);
        for (const auto& [feature, error] : c.without) {
            INFO(feature);
            CHECK(error > 4 * c.own_error);
        }

        const std::string bytes = read_file(build_path(c.gguf()));
        const Result<gguf::File> file = gguf::File::parse(
            c.gguf(), {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
        INFO(file.status().text());
        REQUIRE(file.ok());
        CHECK(file.value().string("general.architecture").value() == c.architecture);
        CHECK(file.value().tensor("token_embd.weight")->n_rows == golden.n_vocab);
        CHECK(file.value().u64(c.architecture + ".expert_used_count", 0).value() == golden.n_used);
    }
}

TEST_CASE("The error of logits is relative, over all positions or the median one", "[families]") {
    FamilyGolden golden;
    golden.n_vocab = 2;
    golden.logits = {3, 4, 0, 5, 30, 40};
    FamilyCase over_all, by_median;
    by_median.by_median = true;
    CHECK(golden.error(over_all, golden.logits) == 0);
    const std::vector<float> found = {3, 4.5f, 1, 5, 30, 30};  // 10 %, 20 %, 20 % of a position
    CHECK(golden.error(over_all, found) == Approx(std::sqrt((0.25 + 1 + 100) / (25 + 25 + 2500))));
    CHECK(golden.error(by_median, found) == Approx(0.2));

    golden.n_layer = 1;
    golden.n_used = 2;
    golden.experts = {0, 1, 2, 3, 4, 5};
    CHECK(golden.same_routes(std::vector<uint8_t>{1, 0, 2, 3, 4, 6}) == Approx(2.0 / 3));
}
