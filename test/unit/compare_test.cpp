// SPDX-License-Identifier: MIT
// Which runs axiom-compare puts side by side, what it refuses, and what it says of them.
#include "bench/compare/compare.h"

#include <nlohmann/json.hpp>

#include "bench/compare/print.h"
#include "test/unit/catch.h"

using namespace axiom::compare;
using nlohmann::json;

namespace {

struct Facts {
    std::string test = "tg32", model = "models/m-Q4_0.gguf", machine = "Some CPU", hash = "";
    int n_threads = 2;
    std::string format = "Q4_0", checksum = "";
    uint64_t n_params = 1000;
    std::string cache = "f16", disturb = "";
};

std::string records(const Facts& facts, const Values& speeds) {
    std::string out;
    for (const double ts : speeds) {
        out += json{{"axiom", 1},
                    {"status", "ok"},
                    {"test", facts.test},
                    {"avg_ts", ts},
                    {"n_threads", facts.n_threads},
                    {"cpu_info", facts.machine},
                    {"model_filename", facts.model},
                    {"model_type", "llama 135M " + facts.format},
                    {"model_n_params", facts.n_params},
                    {"type_k", facts.cache},
                    {"axm_checksum", facts.checksum},
                    {"logits_hash", facts.hash},
                    {"disturb", facts.disturb}}
                   .dump();
        out += "\n";
    }
    // "axiom" first, as in a record.
    for (size_t at = 0; (at = out.find("{\"avg_ts\"", at)) != out.npos;)
        out.replace(at, 1, "{\"axiom\":1,"), at += 10;
    return out;
}

struct Compared {
    Input input;
    Comparison result;

    Compared(const std::string& a, const std::string& b, const Rules& rules = {}) {
        read_text("a.json", a, &input);
        read_text("b.json", b, &input);
        REQUIRE(input.sides.size() >= 2);
        result = compare(input.sides, input.sides[0], rules);
    }
    const Pair& pair() const {
        for (const Row& row : result.rows) {
            if (row.pair) return *row.pair;
        }
        FAIL("nothing was compared");
        throw 0;
    }
    std::string text() const { return text_table({input, result}); }
};

const Values kSix = {100, 101, 102, 103, 104, 105}, kSlower = {90, 91, 92, 93, 94, 95.5};

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != text.npos;
}

}  // namespace

TEST_CASE("runs that are apart are shown to differ, with the ratio of their levels") {
    const Compared c(records({}, kSix), records({}, kSlower));
    CHECK(c.pair().differs);
    CHECK(c.pair().ratio == Approx(0.9).margin(0.01));
    CHECK((c.pair().interval.low.value() > 0.85 && c.pair().interval.high.value() < 1));
    CHECK(contains(c.text(), "slower"));
    CHECK(slower_than(c.result, 0.95).size() == 1);
    CHECK(slower_than(c.result, 0.85).empty());
    const Compared back(records({}, kSlower), records({}, kSix));
    CHECK(contains(back.text(), "faster"));
    CHECK(slower_than(back.result, 0.95).empty());
}

TEST_CASE("runs that overlap show no difference, and never fail") {
    const Compared c(records({}, {100, 90, 110, 95, 105}), records({}, {80, 104, 91, 108, 85}));
    CHECK_FALSE(c.pair().differs);
    CHECK(c.pair().ratio < 0.98);
    CHECK(contains(c.text(), " ~"));
    CHECK(slower_than(c.result, 0.99).empty());
}

TEST_CASE("three runs a side show nothing, which is said") {
    const Compared c(records({}, {100, 101, 102}), records({}, {50, 51, 52}));
    CHECK_FALSE(c.pair().differs);
    CHECK(c.pair().too_few);
    CHECK(contains(c.text(), "too few runs: 1 of 1 pairs"));
    CHECK(contains(c.text(), "?..?"));
    CHECK(slower_than(c.result, 0.95).empty());
}

TEST_CASE("unfair pairs are refused by the name of what differs, unless forced") {
    struct {
        Facts other;
        const char* why;
    } const cases[] = {
        {{.n_threads = 4}, "threads (2 and 4)"},
        {{.test = "tg64"}, "test sizes (tg32 and tg64)"},
        {{.machine = "Another CPU"}, "machine (Some CPU and Another CPU)"},
        {{.model = "n.gguf", .format = "Q8_0"}, "weights (m-Q4_0 and n Q8_0)"},
        {{.model = "n.gguf", .n_params = 5}, "weights (m-Q4_0 and n Q4_0)"},
        {{.checksum = "cd"}, "weights (ab and cd)"},
        {{.cache = "q8_0"}, "types of keys and values (f16 and q8_0)"},
        {{.hash = "2222"}, "logits hash (1111 and 2222)"},
    };
    for (const auto& c : cases) {
        INFO(c.why);
        Facts base, other = c.other;
        base.hash = "1111";
        base.checksum = "ab";
        if (other.hash.empty()) other.hash = "1111";
        if (other.checksum.empty()) other.checksum = "ab";
        if (other.n_params != base.n_params || other.format != base.format)
            base.checksum = other.checksum = "";
        const Compared refused(records(base, kSix), records(other, kSlower));
        REQUIRE(refused.result.refused.size() == 1);
        CHECK(refused.result.refused[0].unfair == std::vector<std::string>{c.why});
        CHECK(contains(refused.text(), "refused: a, "));
        CHECK(contains(refused.text(), c.why));
        for (const Row& row : refused.result.rows) CHECK_FALSE(row.pair.has_value());
        CHECK(slower_than(refused.result, 0.95).empty());

        const Compared forced(records(base, kSix), records(other, kSlower), {.force = true});
        CHECK(forced.result.refused.empty());
        CHECK(forced.pair().differs);
        CHECK(contains(forced.text(), "slower, UNFAIR"));
        CHECK(contains(forced.text(), std::string("other ") + c.why));
    }
}

TEST_CASE("other logits of the same weights and test are said loudly, in one file too") {
    Facts one, two;
    one.hash = "1111";
    two.hash = "2222";
    const Compared apart(records(one, kSix), records(two, kSix));
    CHECK(contains(apart.text(), "OTHER LOGITS: a and b, m-Q4_0, tg32"));
    const Compared inside(records(one, kSix) + records(two, kSix), records({}, kSix));
    CHECK(contains(inside.text(), "runs of one test have other logits: 1111 2222"));
    CHECK(Compared(records(one, kSix), records(one, kSix)).result.loud.empty());
}

TEST_CASE("tests find their own among many, whatever their order") {
    Facts prompt, deep, one_thread;
    prompt.test = "pp128";
    deep.test = "tg32 x8 @ d2000";
    one_thread.n_threads = 1;
    const Compared c(
        records({}, kSix) + records(prompt, kSix) + records(deep, kSix) + records(one_thread, kSix),
        records(one_thread, kSix) + records(deep, kSlower) + records({}, kSix) +
            records(prompt, kSix));
    CHECK(c.result.refused.empty());
    REQUIRE(c.result.rows.size() == 8);
    std::string order;
    for (const Row& row : c.result.rows) {
        order +=
            row.group.first().test.name() + " " + std::to_string(row.group.first().n_threads) + ",";
        if (row.pair) CHECK(row.pair->differs == (row.group.first().test.n_sequences == 8));
    }
    CHECK(order ==
          "pp128 2,pp128 2,tg32 1,tg32 1,tg32 2,tg32 2,tg32 x8 @ d2000 2,tg32 x8 @ d2000 2,");
}

TEST_CASE("disturbed runs are a side of their own, beside the undisturbed of the same file") {
    Facts tick;
    tick.disturb = "tick=1000";
    Input input;
    read_text("a.json", records({}, kSix) + records(tick, kSlower), &input);
    REQUIRE(input.sides.size() == 2);
    CHECK(input.sides[1].name == "a:tick=1000");
    const Comparison result = compare(input.sides, input.sides[0], {});
    REQUIRE(result.rows.size() == 2);
    CHECK((result.rows[1].pair && result.rows[1].pair->ratio < 0.95));
    CHECK(contains(text_table({input, result}), "disturbed: tick=1000"));
}

// Speeds of runs on a busy machine: about 3 % apart, and one run in eight loses up to half its speed.
class NoisyMachine {
  public:
    explicit NoisyMachine(uint64_t seed) : state_(seed) {}
    double run(double level) {
        double sum = 0;
        for (int i = 0; i < 12; i++) sum += uniform();
        const double common = level * (1 + 0.03 * (sum - 6));
        return uniform() < 0.125 ? common * (1 - 0.5 * uniform()) : common;
    }

  private:
    double uniform() {
        state_ = state_ * 6364136223846793005u + 1442695040888963407u;
        return double(state_ >> 11) / double(uint64_t{1} << 53);
    }
    uint64_t state_;
};

TEST_CASE("of builds alike at most one in ten is called different, of builds 5 % apart nine are") {
    // 20 runs of each side. A verdict at 95 % errs in 5 % of tries by design; of 400 tries, 400 * 0.05
    // and three standard deviations, 13, are 33. The noise is the same in every run of this test.
    constexpr int kTries = 400, kRuns = 20;
    NoisyMachine machine(7);
    int n_alike_differ = 0, n_slower = 0;
    for (int i = 0; i < kTries; i++) {
        Values base, alike, slowed;
        for (int k = 0; k < kRuns; k++) {
            base.push_back(machine.run(100));
            alike.push_back(machine.run(100));
            slowed.push_back(machine.run(95));
        }
        n_alike_differ += difference(base, alike, 0.95).differs;
        const Difference found = difference(base, slowed, 0.95);
        n_slower += found.differs && found.ratio < 1;
    }
    CHECK(n_alike_differ <= 33);
    CHECK(n_slower >= kTries * 9 / 10);
}

TEST_CASE("Markdown, CSV and JSON have the table's figures") {
    const Compared c(records({}, kSix), records({}, kSlower));
    const Results results{c.input, c.result};
    const std::string md = markdown_table(results), lines = csv_text(results);
    CHECK(contains(md, "| m-Q4_0 | tg32 | 2 | a | 6 | 102.5 | 100.0..105.0 |"));
    CHECK(contains(lines, "\"m-Q4_0\",\"tg32\",2,\"Some CPU\",\"b\",\"axiom\""));
    const json j = json::parse(json_text(results));
    REQUIRE(j["rows"].size() == 2);
    CHECK(j["rows"][0]["pair"].is_null());
    CHECK(j["rows"][0]["median_ts"] == 102.5);
    CHECK(j["rows"][1]["runs"].size() == 6);
    CHECK(j["rows"][1]["pair"]["verdict"] == "slower");
    CHECK(j["rows"][1]["pair"]["p"].get<double>() == c.pair().test.p);
    CHECK(j["baseline"] == "a");
}

TEST_CASE("texts of files cannot steer a terminal or break a table") {
    Facts facts;
    facts.machine = "\x1b[31mred\n|CPU\"";
    const Compared c(records(facts, kSix), records(facts, kSix));
    const Results results{c.input, c.result};
    CHECK_FALSE(contains(c.text(), "\x1b"));
    CHECK_FALSE(contains(markdown_table(results), "\x1b"));
    CHECK(contains(csv_text(results), "\"?[31mred?|CPU\"\"\""));
}
