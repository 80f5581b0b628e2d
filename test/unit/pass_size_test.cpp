// SPDX-License-Identifier: MIT
// How many tokens a pass takes, on machines whose times are made up: a row computes in kRow ticks, a pass
// takes the longer of its computing and its reading.
#include <algorithm>

#include "model/run/pass_size.h"
#include "test/unit/catch.h"

using axiom::PassSize;

namespace {

constexpr uint64_t kRow = 1000;

// What a prompt takes; `fixed` tokens a pass, or as many as `size` says.
uint64_t prompt_ticks(size_t n_tokens, uint64_t read_ticks, PassSize* size, size_t fixed = 0) {
    uint64_t total = 0;
    for (size_t n_left = n_tokens; n_left > 0;) {
        const size_t n = fixed != 0 ? std::min(fixed, n_left) : size->next(n_left);
        REQUIRE((n >= 1 && n <= n_left));
        const uint64_t compute = n * kRow, took = std::max(compute, read_ticks);
        if (fixed == 0) size->took(n, took, took - compute);
        total += took;
        n_left -= n;
    }
    return total;
}

}  // namespace

TEST_CASE("weights in memory are read in passes of one size") {
    PassSize size(128);
    REQUIRE(size.covering() == 0);
    REQUIRE(size.next(500) == 128);
    REQUIRE(size.next(20) == 20);
    size.took(128, 1000, 900);
    REQUIRE(size.covering() == 0);
    REQUIRE(size.next(500) == 128);
}

TEST_CASE("the fewest rows that cover the reading are found from what passes take") {
    for (const double guess : {0.0, 0.5, 1.0, 3.0}) {
        const uint64_t read_ticks = 300 * kRow;
        PassSize size(128, 512, guess * double(kRow), double(read_ticks));
        prompt_ticks(2000, read_ticks, &size);
        INFO(guess);
        REQUIRE(size.covering() >= 300);
        REQUIRE(size.covering() <= 301);
    }
    // A disk that is slower or faster than it seemed at the start.
    PassSize slow(128, 512, kRow, 100 * kRow);
    prompt_ticks(2000, 400 * kRow, &slow);
    REQUIRE(slow.covering() >= 400);
    REQUIRE(slow.covering() <= 401);
    PassSize too_slow(128, 512, kRow, 100 * kRow);
    prompt_ticks(2000, 900 * kRow, &too_slow);
    REQUIRE(too_slow.covering() == 512);
}

TEST_CASE("what single tokens take does not decide the size of passes of prompts") {
    PassSize size(128, 512, kRow, 300 * kRow);
    for (int i = 0; i < 4; i++) size.took(1, 300 * kRow, 280 * kRow);
    REQUIRE(size.covering() == 301);
}

TEST_CASE("a prompt takes at most a tenth longer than with the best fixed size of passes") {
    for (const uint64_t read_rows : {1u, 60u, 127u, 150u, 256u, 300u, 400u, 511u, 700u}) {
        for (const size_t n_tokens : {30u, 200u, 512u, 599u, 1000u, 2000u}) {
            const uint64_t read_ticks = read_rows * kRow;
            uint64_t best = ~uint64_t{0};
            for (size_t fixed = 1; fixed <= 512; fixed++)
                best = std::min(best, prompt_ticks(n_tokens, read_ticks, nullptr, fixed));
            for (const double guess : {0.95, 1.0, 1.05}) {
                PassSize size(128, 512, guess * double(kRow), double(read_ticks));
                INFO(read_rows << " rows to read, " << n_tokens << " tokens, guess " << guess);
                REQUIRE(double(prompt_ticks(n_tokens, read_ticks, &size)) <= 1.1 * double(best));
            }
        }
    }
}
